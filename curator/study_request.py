"""What a user asks of a study, and the laboratory that answers it. Refuses before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from curator.benchmark_tables import TABLES
from curator.candidate_edits import expected_samples, parse_edit
from curator.laboratory import Bench, Laboratory
from curator.select import candidate_from, category_order
from curator.study import Candidate, Study
from curator.trials import Event, Workers
from registry.answers import check_rules
from registry.benchmark import load_benchmark
from registry.discovery import load_module
from registry.errors import Refusal
from registry.identity import file_digest
from registry.recipe import load_recipe
from registry.scale import load_scale
from registry.scores import USUAL, Replying
from registry.store import Home
from registry.trial import DecisionRule

GUIDE_BENCHMARKS = ("mme", "mmbench_dev_en", "scienceqa_test", "seedbench_img")
"""The paper's four: its guide to selection and the columns of its Table 5."""

MARGINS = {"statistics": 3.0, "paper": 1.0}
"""Points that a candidate may cost: that intervals must leave out, and that one measurement may show."""


@dataclass(frozen=True)
class StudyRequest:
    """The options of ``curator select``."""

    candidates: tuple[str, ...]
    baseline: str
    pretrain: str | None = None
    scale: str = "demo"
    benchmarks: tuple[str, ...] = GUIDE_BENCHMARKS
    strategy: str = "individual"
    seeds: int = 2
    max_seeds: int = 4
    rule: Literal["statistics", "paper"] = "statistics"
    margin: float | None = None
    """None = 3 points that statistics must exclude, 1 point that the paper's rule allows."""
    errors_over: Literal["candidate", "category", "study"] = "candidate"
    question_noise: bool = False
    extra_trials: int | None = None
    held_out: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()
    replay: bool = False
    categories: tuple[str, ...] = ()
    rules: str = "2024-05"
    base: str | None = None
    workers: int = 2
    name: str = "select"
    truth: tuple[tuple[str, str], ...] = ()
    """Candidate -> planted truth (the demo only)."""


def open_laboratory(home: Home, request: StudyRequest, workers: Workers) -> Laboratory:
    """Check everything the study needs and set it up; nothing is trained yet."""
    load_module("curator.strategies", request.strategy, "strategy")
    check_rules(request.rules)
    scale = load_scale(request.scale)
    if request.base is not None:
        scale = scale.model_copy(update={"base": request.base})
    if request.pretrain is None and scale.pretrain is not None:
        scale = scale.model_copy(update={"pretrain": None})
    rule = _rule(request)
    truth = dict(request.truth)
    names = tuple(dict.fromkeys(request.benchmarks)) or GUIDE_BENCHMARKS
    _refuse_held_out(names)
    held_out = _held_out(request.held_out, names)
    whole = [candidate_from(home, name, truth=truth.get(name)) for name in dict.fromkeys(request.candidates)]
    candidates = _sized(home, [*whole, *(parse_edit(home, text) for text in request.edits)])
    study = Study(
        name=request.name,
        baseline=request.baseline,
        candidates=candidates,
        benchmarks=names,
        rule=rule,
        categories=category_order(candidates, request.categories),
        noise=scale.noise,
        held_out=held_out,
    )
    return Laboratory(
        home=home,
        study=study,
        scale=scale,
        baseline=load_recipe(request.baseline, home),
        pretrain=load_recipe(request.pretrain, home) if request.pretrain else None,
        benches=tuple(find_table(home, name, replying=Replying(scale.max_new_tokens)) for name in (*names, *held_out)),
        rules=request.rules,
        workers=workers,
        listen=_silent,
        replay=request.replay,
    )


def _refuse_held_out(benchmarks: Sequence[str]) -> None:
    """What a selection was guided by cannot tell what it was worth."""
    held_out = [name for name in benchmarks if load_benchmark(name).HELD_OUT]
    if held_out:
        what = "is held out: a selection that looks at it cannot be checked with it"
        way_out = f"guide the selection with others, and score its result: curator score --benchmark {held_out[0]}"
        raise Refusal(f"benchmark '{held_out[0]}'", what, way_out)


def _rule(request: StudyRequest) -> DecisionRule:
    """The numbers of the decision; raises Refusal where one makes no sense."""
    try:
        return DecisionRule(
            by=request.rule,
            seeds=request.seeds,
            max_seeds=max(request.seeds, request.max_seeds),
            comparable_margin=MARGINS[request.rule] if request.margin is None else request.margin,
            errors_over=request.errors_over,
            question_noise=request.question_noise,
            extra_trials=request.extra_trials,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f", {name}" for name in first["loc"])
        raise Refusal(f"decision rule{where}", first["msg"].removeprefix("Value error, "), "give another") from None


def find_table(
    home: Home,
    benchmark: str,
    table: Path | None = None,
    replying: Replying = USUAL,
) -> Bench:
    """The table of a benchmark: the file given, or ``<home>/benchmarks/<name>.*``; raises Refusal when absent.

    Where a folder is given, the table has the name under which it is published there.
    """
    published = load_benchmark(benchmark).TABLE
    folder = home.path / TABLES
    if table is not None and table.is_dir() and published is not None:
        table = table / f"{published.name}.tsv"
    found = [table] if table else sorted(path for path in folder.glob(f"{benchmark}.*") if path.is_file())
    if not found or not found[0].is_file():
        where = str(table or folder / f"{benchmark}.tsv")
        raise Refusal(
            where,
            f"the table of benchmark '{benchmark}' is not there",
            f"get it with 'curator pull-benchmark {benchmark}', or name the file",
        )
    return Bench(benchmark, found[0].resolve(), file_digest(found[0]), replying)


def _sized(home: Home, candidates: list[Candidate]) -> tuple[Candidate, ...]:
    """The candidates with the samples they have in the home; raises Refusal for one not pulled, or a name twice."""
    from curator.mix import part_size

    named = [candidate.name for candidate in candidates]
    for name in named:
        if named.count(name) > 1:
            raise Refusal(f"candidate '{name}'", "is the name of two candidates", "give the edit another name")
    if not named:
        raise Refusal("the study", "has no candidate", "name a dataset, or give an --edit")
    sized = []
    for one in candidates:
        whole = part_size(home, one.dataset, one.part) if not (one.edit and one.edit.quota) else 0
        sized.append(replace(one, samples=expected_samples(one.edit, whole)))
    return tuple(sized)


def _held_out(asked: tuple[str, ...], guides: tuple[str, ...]) -> tuple[str, ...]:
    """Benchmarks that guide nothing; raises Refusal for one that does."""
    for name in asked:
        if name in guides:
            raise Refusal(f"benchmark '{name}'", "guides this study and so is not held out", "name it once")
    return tuple(dict.fromkeys(asked))


def _silent(_: Event) -> None:
    """Until a table listens."""
