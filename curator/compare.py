"""Two models over the same questions: by how much do they differ, is that more than chance, and which answers changed?

What is compared are stored scores: those of trials, and those that ``curator score --save`` wrote. Only scores of the
same table, under the same rules and of the same questions have a difference that means anything; others are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from registry.answer_rows import read_answers
from registry.benchmark import load_benchmark
from registry.errors import Refusal
from registry.paired_tests import PairedTest, holm, paired_test
from registry.scores import answers_path, load_score
from registry.store import Home, find_folder
from registry.trial import BenchmarkScore

SIGNIFICANT = 0.05
UNCLEAR = "not told apart"
_NO_MOVE = 1e-9


@dataclass(frozen=True)
class StoredScore:
    """A score and the file it lies in; the answers lie beside it."""

    path: Path
    score: BenchmarkScore


@dataclass(frozen=True)
class Changed:
    """One question whose verdict changed."""

    index: str
    question: str | None
    answer: str | None
    before: str
    """Reply of the first model."""
    after: str
    fixed: bool
    """True when the second model is right; False when it broke what was right."""


@dataclass(frozen=True)
class Comparison:
    """One benchmark, the second model against the first."""

    benchmark: str
    rules: str
    first: BenchmarkScore
    second: BenchmarkScore
    test: PairedTest | None
    """None where the questions are too few to tell anything."""
    fixed: int
    """Groups of questions that score more with the second model."""
    broken: int
    p_adjusted: float | None = None
    """Over all benchmarks that are compared (Holm)."""
    changed: tuple[Changed, ...] = ()

    @property
    def blind_below(self) -> str | None:
        """What a benchmark that tells nothing apart cannot see, in words."""
        if self.verdict != UNCLEAR or self.test is None or self.test.detectable is None:
            return None
        return f"{self.benchmark} cannot see a difference under {self.test.detectable:.1f} points"

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``not told apart``, at 5 % over all benchmarks."""
        if self.test is None or self.p_adjusted is None or self.p_adjusted >= SIGNIFICANT:
            return UNCLEAR
        return "better" if self.test.effect.mean > 0 else "worse"

    def told(self) -> dict[str, Any]:
        """JSON-ready."""
        test = self.test
        return {
            "benchmark": self.benchmark,
            "rules": self.rules,
            "scores": [self.first.score, self.second.score],
            "verdict": self.verdict,
            "effect": test.effect.model_dump() if test else None,
            "p": test.p if test else None,
            "p_adjusted": self.p_adjusted,
            "test": test.test if test else None,
            "detectable": test.detectable if test else None,
            "clusters": test.clusters if test else None,
            "groups": len(self.first.items),
            "fixed": self.fixed,
            "broken": self.broken,
            "changed": [vars(change) for change in self.changed],
        }


def compare(
    home: Home, first: str, second: str, benchmarks: Sequence[str] = (), rules: str | None = None, show: int = 0
) -> tuple[list[Comparison], list[str]]:
    """Compare every benchmark that both were scored on, or those named; and what could not be compared, in words.

    Raises Refusal when there is nothing to compare, or what there is cannot be: other rules, another table, or other
    questions.
    """
    for name in benchmarks:
        load_benchmark(name)
    ours, theirs = (_by_benchmark(home, what, rules) for what in (first, second))
    wanted = list(dict.fromkeys(benchmarks)) or sorted(set(ours) & set(theirs))
    for name in wanted:
        for what, scores in ((first, ours), (second, theirs)):
            if name not in scores:
                raise Refusal(what, f"has no score on {name}{_under(rules)}", "make it with 'curator score'")
    if not wanted:
        told = f"no benchmark that both were scored on{_under(rules)} ({_listed(ours)}; {_listed(theirs)})"
        raise Refusal(f"{first}, {second}", told, "score both on the same benchmarks")
    pairs = [_pair(name, ours[name], theirs[name]) for name in wanted]
    found = _adjusted([_compared(*pair) for pair in pairs])
    if show:
        found = [replace(one, changed=_changes(*pair, show)) for one, pair in zip(found, pairs, strict=True)]
    return found, _notes(ours, theirs, pairs, bool(benchmarks))


def _by_benchmark(home: Home, what: str, rules: str | None) -> dict[str, list[StoredScore]]:
    """Benchmark -> the scores of a trial, a folder or a file."""
    found: dict[str, list[StoredScore]] = {}
    for path in _score_files(home, what):
        score = load_score(path)
        if rules in (None, score.rules):
            found.setdefault(score.benchmark, []).append(StoredScore(path, score))
    return found


def _score_files(home: Home, what: str) -> list[Path]:
    path = Path(what)
    if path.suffix == ".json" or path.is_file():
        return [path]
    folder = path if (path / "scores").is_dir() else find_folder(home, "trials", path.name)
    files = sorted((folder / "scores").glob("*.json"))
    if not files:
        raise Refusal(what, "was not scored yet", "score it with 'curator score'")
    return files


def _under(rules: str | None) -> str:
    return f" under rules {rules}" if rules else ""


def _listed(found: Mapping[str, Any]) -> str:
    return ", ".join(sorted(found)) or "none"


def _pair(name: str, ours: Sequence[StoredScore], theirs: Sequence[StoredScore]) -> tuple[StoredScore, StoredScore]:
    """The one score of each that can be set against each other.

    Scores of trials that were made in the same way have the same file name, which is a digest of the way.
    """
    if len(ours) == len(theirs) == 1:
        return ours[0], theirs[0]
    fitting = [(a, b) for a in ours for b in theirs if _differences(a, b) == {}]
    if len(fitting) == 1:
        return fitting[0]
    several = ", ".join(str(one.path) for one in [*ours, *theirs])
    what = "several scores that fit together" if fitting else "several scores, none of which fit together"
    raise Refusal(f"benchmark {name}", what, f"name two of the files: {several}")


def _differences(a: StoredScore, b: StoredScore) -> dict[str, tuple[Any, Any]]:
    """What keeps two scores from being compared: field -> both values."""
    fields = ("rules", "version", "table_digest")
    found = {name: (getattr(a.score, name), getattr(b.score, name)) for name in fields}
    found = {name: values for name, values in found.items() if values[0] != values[1]}
    if not found and a.path.parent.name == b.path.parent.name == "scores" and a.path.name != b.path.name:
        found["how replies were made"] = (a.path.stem, b.path.stem)
    return found


def _compared(a: StoredScore, b: StoredScore) -> Comparison:
    where = f"{a.path}, {b.path}"
    for field, (ours, theirs) in _differences(a, b).items():
        what = f"{field.replace('_', ' ')} differ ({str(ours)[:20]}, {str(theirs)[:20]})"
        raise Refusal(where, f"cannot be compared: {what}", "score both with the same table, rules and options")
    only = set(a.score.items) ^ set(b.score.items)
    if only or _grouping(a.score) != _grouping(b.score):
        few = ", ".join(sorted(only)[:3])
        what = f"cover other questions ({len(only):,} are in one only: {few})" if only else "group questions otherwise"
        raise Refusal(where, f"cannot be compared: they {what}", "score both on the same questions, without --partial")
    moves = [b.score.items[group] - value for group, value in a.score.items.items()]
    return Comparison(
        benchmark=a.score.benchmark,
        rules=a.score.rules,
        first=a.score,
        second=b.score,
        test=paired_test(a.score, b.score),
        fixed=sum(move > _NO_MOVE for move in moves),
        broken=sum(move < -_NO_MOVE for move in moves),
    )


def _grouping(score: BenchmarkScore) -> tuple[Any, ...]:
    """How the questions of a score belong together."""
    return score.strata, score.clusters, {name: set(groups) for name, groups in score.ratios.items()}


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """With p-values adjusted over the benchmarks."""
    tested = [one for one in found if one.test is not None]
    adjusted = dict(zip((one.benchmark for one in tested), holm([t.test.p for t in tested if t.test]), strict=True))
    return [replace(one, p_adjusted=adjusted.get(one.benchmark)) for one in found]


def _notes(
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    pairs: Sequence[tuple[StoredScore, StoredScore]],
    named: bool,
) -> list[str]:
    """What a reader should know beside the figures."""
    said = []
    alone = sorted(set(ours) ^ set(theirs))
    if alone and not named:
        said.append(f"only one of them was scored on {', '.join(alone)}")
    partial = [a.score.benchmark for a, b in pairs if a.score.partial or b.score.partial]
    if partial:
        said.append(f"both cover the same part of the benchmark only: {', '.join(partial)}")
    return said


def _changes(a: StoredScore, b: StoredScore, show: int) -> tuple[Changed, ...]:
    """The first questions that were fixed, then the first that were broken, in the order of the table."""
    before = {row["index"]: row for row in read_answers(answers_path(a.path), ("index", "reply", "hit"))}
    found: dict[bool, list[Changed]] = {True: [], False: []}
    for row in read_answers(answers_path(b.path), ("index", "question", "answer", "reply", "hit")):
        old = before.get(row["index"])
        if old is None or old["hit"] is None or row["hit"] is None or old["hit"] == row["hit"]:
            continue
        if len(found[row["hit"]]) < show:
            texts = (row["question"], row["answer"], old["reply"], row["reply"])
            found[row["hit"]].append(Changed(row["index"], *texts, fixed=row["hit"]))
    return (*found[True], *found[False])
