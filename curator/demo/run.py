"""``curator demo``: the whole chain on the built-in world, through the same functions as the commands.

cards -> pull -> normalise -> filter and reclassify -> build-mix -> train (two stages, packed) -> score -> select ->
report. Everything lands in one data home, where every other command works on it; running it again goes on where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.demo.truth import CANDIDATES
from curator.demo.world import write_world
from curator.live import StudyTable
from curator.measure import measure
from curator.normalise import normalise
from curator.pull import offer_from_folder, pull
from curator.reclassify import labels
from curator.samples import find_samples
from curator.select import run_study, save_decision
from curator.study_request import StudyRequest, open_laboratory
from curator.trials import Workers
from registry.card import load_card
from registry.discovery import names
from registry.errors import Refusal, did_you_mean
from registry.recipe import load_recipe
from registry.store import Home, write_aside
from registry.trial import Decision

HERE = Path(__file__).parent
BASELINE = "demo-baseline"
PRETRAIN = "demo-pretrain"

Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoRequest:
    """The options of ``curator demo``."""

    seed: int = 0
    candidates: tuple[str, ...] = ()
    """Names to try; empty = all."""
    candidate_samples: int = 896
    seeds: int = 2
    max_seeds: int = 4
    workers: int = 2
    base: str | None = None


def run_demo(home: Home, request: DemoRequest, say: Say, quiet: bool = False) -> tuple[Decision, Path]:
    """Run the demo to its decision; ``say`` hears one line a step. Returns the decision and its folder."""
    asked = _study(request)  # a misspelt candidate is refused before anything is drawn
    with Workers(request.workers) as workers:
        workers.warm_up()
        prepare(home, request, say)
        laboratory = open_laboratory(home, asked, workers)
        say(f"select: {len(laboratory.study.candidates)} candidates, {request.seeds} seeds each")
        with StudyTable(laboratory.study, quiet=quiet) as table:
            laboratory.listen = table.listen
            decision = run_study(laboratory, "individual", table.on_wave)
        return decision, save_decision(home, decision)


def plan_demo(home: Home, request: DemoRequest) -> dict[str, Any]:
    """What a run would do, before anything is drawn or trained."""
    asked = _study(request)
    planted = {candidate.name: candidate for candidate in CANDIDATES}
    everything = len(asked.candidates) + 2  # the baseline, and all candidates together
    return {
        "home": str(home.path),
        "candidates": list(asked.candidates),
        "categories": list(dict.fromkeys(planted[name].category for name in asked.candidates)),
        "trials_at_least": request.seeds * (everything + 1),  # and the first stage
        "trials_here": len(home.finished("trials")),
    }


def prepare(home: Home, request: DemoRequest, say: Say) -> None:
    """Everything before training: the world as published files, then pulled, filtered and relabelled."""
    world = home.path / "world"
    say("world: drawing pictures, writing datasets and benchmarks in their published shapes")
    write_world(world, request.seed, candidate_samples=request.candidate_samples)
    install(home, world)
    for name in names(home.cards, ".yaml"):
        card = load_card(name, home)
        raw = pull(home, offer_from_folder(card, world / "datasets" / name), link=True)
        made = normalise(home, card, raw.folder)
        rejected = sum(made.record.rejected.values())
        say(f"pull {name}: {made.record.rows_out:,} samples, {rejected:,} rejected")
    measure_and_label(home, say)


def measure_and_label(home: Home, say: Say) -> None:
    """Run every filter that a recipe asks for, and the rules of every card with several parts."""
    for recipe in (load_recipe(name, home) for name in names(home.path / "recipes", ".yaml")):
        for part in recipe.parts:
            if part.dataset is None:
                continue
            samples = find_samples(home, part.dataset)
            for name in [name for name in {**recipe.filters, **part.filters} if name not in recipe.models]:
                measured = measure(home, samples, name)
                say(f"filter {part.dataset}: {name} measured on {measured.record.rows_out:,} samples")
    for name in names(home.cards, ".yaml"):
        samples = find_samples(home, name)
        if len(samples.card.parts) > 1:
            labelled = labels(home, samples)
            say(f"reclassify {name}: {labelled.record.rows_out:,} samples in {len(samples.card.parts)} parts")


def install(home: Home, world: Path) -> None:
    """Put the demo's cards, recipes and benchmark tables where the commands look for them."""
    for folder in ("cards", "recipes"):
        for path in sorted((HERE / folder).glob("*.yaml")):
            write_aside(home.path / folder / path.name, path.read_bytes())
    tables = home.path / "benchmarks"
    tables.mkdir(parents=True, exist_ok=True)
    for path in sorted((world / "benchmarks").iterdir()):
        if not (tables / path.name).is_file():
            aside = tables / f".{path.name}"
            shutil.copyfile(path, aside)
            aside.replace(tables / path.name)


def _study(request: DemoRequest) -> StudyRequest:
    """The demo as a request to ``select``: every candidate unless some are named, with the planted truth."""
    truth = {candidate.name: candidate.truth for candidate in CANDIDATES}
    unknown = [name for name in request.candidates if name not in truth]
    if unknown:
        hint = did_you_mean(unknown[0], truth)
        raise Refusal(
            f"candidate '{unknown[0]}'", f"the demo has none of that name{hint}", f"it has: {', '.join(truth)}"
        )
    return StudyRequest(
        candidates=request.candidates or tuple(planted.name for planted in CANDIDATES if planted.default),
        baseline=BASELINE,
        pretrain=PRETRAIN,
        scale="demo",
        seeds=request.seeds,
        max_seeds=request.max_seeds,
        base=request.base,
        workers=request.workers,
        name=f"demo-seed{request.seed}",
        truth=tuple(truth.items()),
    )
