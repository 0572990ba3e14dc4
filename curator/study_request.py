"""What a user asks of a study, and the laboratory that answers it. Refuses before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from curator.benchmark_tables import TABLES
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
from registry.scores import USUAL, Replying
from registry.store import Home
from registry.trial import DecisionRule, load_scale

GUIDE_BENCHMARKS = ("mme", "mmbench_dev_en", "scienceqa_test", "seedbench_img")
"""The paper's four: its guide to selection and the columns of its Table 5."""


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
    margin: float = 3.0
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
    candidates = tuple(_candidate(home, name, truth.get(name)) for name in dict.fromkeys(request.candidates))
    names = tuple(dict.fromkeys(request.benchmarks)) or GUIDE_BENCHMARKS
    _refuse_held_out(names)
    study = Study(
        name=request.name,
        baseline=request.baseline,
        candidates=candidates,
        benchmarks=names,
        rule=rule,
        categories=category_order(candidates, request.categories),
        noise=scale.noise,
    )
    return Laboratory(
        home=home,
        study=study,
        scale=scale,
        baseline=load_recipe(request.baseline, home),
        pretrain=load_recipe(request.pretrain, home) if request.pretrain else None,
        benches=tuple(find_table(home, name, replying=Replying(scale.max_new_tokens)) for name in names),
        rules=request.rules,
        workers=workers,
        listen=_silent,
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
            seeds=request.seeds,
            max_seeds=max(request.seeds, request.max_seeds),
            comparable_margin=request.margin,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise Refusal(f"decision rule, {first['loc'][0]}", first["msg"], "give another number") from None


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


def _candidate(home: Home, name: str, truth: str | None) -> Candidate:
    """A candidate with the number of samples it has in the home; raises Refusal when it was not pulled."""
    from curator.mix import part_size

    candidate = candidate_from(home, name, truth=truth)
    samples = part_size(home, candidate.dataset, candidate.part)
    return candidate_from(home, name, samples=samples, truth=truth)


def _silent(_: Event) -> None:
    """Until a table listens."""
