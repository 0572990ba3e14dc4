"""Scores: of predictions made anywhere, without a model; and of a trial, by asking a trainer process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.predictions import json_line, read_predictions
from registry.answers import check_rules
from registry.benchmark import NOBODY, Benchmark, Index, Judged, Question, Result, check_replies, load_benchmark
from registry.errors import Refusal
from registry.sampling import picture_clusters
from registry.stratified import stratified

if TYPE_CHECKING:
    from curator.laboratory import Bench
    from curator.scored_models import ScoredModel
    from registry.store import Home

Asking = Callable[[Benchmark, Sequence[Question], Mapping[Index, str], str], Judged]
"""Benchmark, questions, replies and rule set -> what a judge says of replies."""


@dataclass(frozen=True)
class Scoring:
    """A result, and what was asked, replied and judged for it."""

    result: Result
    questions: list[Question]
    replies: dict[Index, str]
    table: Path
    judged: Judged = field(default_factory=dict)


def score_predictions(
    predictions: Path,
    table: Path,
    name: str,
    rules: str,
    partial: bool = False,
    judge: Asking | None = None,
    limit: int | None = None,
) -> Result:
    """The score of a file of predictions (:func:`scoring_of`)."""
    return scoring_of(predictions, table, name, rules, partial, judge, limit).result


def scoring_of(
    predictions: Path,
    table: Path,
    name: str,
    rules: str,
    partial: bool = False,
    judge: Asking | None = None,
    limit: int | None = None,
) -> Scoring:
    """Score a file of predictions against the table of a benchmark.

    With ``partial`` questions without a prediction are left out and the result says so; otherwise they are refused.
    With ``limit`` only so many questions are scored, drawn evenly (registry/stratified.py). Predictions for rows the
    table does not have are counted in the notes.
    """
    check_rules(rules)
    benchmark = load_benchmark(name)
    asked = list(benchmark.questions(table))
    said = read_predictions(predictions, questions=asked)
    drawn = asked if limit is None else stratified(asked, limit)
    replies = {question.index: said[str(question.index)] for question in drawn if str(question.index) in said}
    answered = [question for question in drawn if question.index in replies]
    scored = answered if partial else drawn
    check_replies(name, scored, replies)
    judged = judge(benchmark, scored, replies, rules) if judge is not None else NOBODY
    result = benchmark.score(scored, replies, rules, judged)
    notes = list(result.notes)
    if len(drawn) < len(asked):
        notes.append(f"partial: {len(drawn)} of {len(asked)} questions are scored")
    if len(answered) < len(drawn):
        notes.append(f"partial: {len(answered)} of {len(drawn)} questions have a prediction")
    ignored = len(said.keys() - {str(question.index) for question in asked})
    if ignored:
        told = "are for no row of the table, or for one without a picture (dropped, as published), and were ignored"
        notes.append(f"{ignored} predictions {told}")
    partly = result.partial or len(answered) < len(asked)
    result = dataclasses.replace(result, partial=partly, notes=notes, clusters=picture_clusters(scored))
    return Scoring(result, scored, replies, table, judged)


def replayed(path: Path) -> Asking:
    """A judge whose replies are in a file (index, reply)."""

    def ask(_: Benchmark, questions: Sequence[Question], __: Mapping[Index, str], ___: str) -> Judged:
        said = read_predictions(path, "reply")
        return {question.index: said[str(question.index)] for question in questions if str(question.index) in said}

    return ask


def write_answers(path: Path, scoring: Scoring) -> None:
    """Write what each reply was taken for as JSON lines: index, group, prediction, extracted, hit, the judge's word."""
    from registry.store import write_aside

    judged = scoring.judged
    rows = (
        dataclasses.asdict(answer)
        | {"prediction": scoring.replies[answer.index]}
        | ({"judge_reply": judged[answer.index]} if answer.judged and answer.index in judged else {})
        for answer in scoring.result.answers
    )
    write_aside(path, b"".join(json_line(dict(sorted(row.items()))) for row in rows))


def save_score(path: Path, scoring: Scoring) -> None:
    """Write a score as that of a trial is stored: items in ``path`` (.json), answers beside it (.parquet)."""
    from registry.answer_rows import answer_rows
    from registry.identity import file_digest
    from registry.scores import answers_path, as_stored
    from registry.store import dump_json, write_aside

    if path.suffix != ".json":
        raise Refusal(str(path), "a score is saved as JSON", f"name it {path.with_suffix('.json').name}")
    result = scoring.result
    rows = answer_rows(load_benchmark(result.benchmark), scoring.questions, scoring.replies, result)
    write_aside(answers_path(path), rows)
    write_aside(path, dump_json(as_stored(result, file_digest(scoring.table)).model_dump(mode="json")))


def count_questions(bench: Bench) -> int:
    """How many questions a benchmark's table has; Refusal for a file that is no such table."""
    count = sum(1 for _ in load_benchmark(bench.name).questions(bench.table))
    if not count:
        raise Refusal(str(bench.table), "has no question", "give the benchmark's published table")
    return count


def open_model(
    home: Home, name: str | None, api: str | None, *, dry_run: bool, api_model: str, concurrency: int, **asked: Any
) -> ScoredModel:
    """The model of this name, or the one behind an address, ready to be scored."""
    from curator import scored_models

    if api is not None:
        return scored_models.behind_address(home, api, api_model, concurrency, partial=asked["partial"])
    assert name is not None
    if scored_models.is_trial(home, name):
        return scored_models.trial(home, name)
    return scored_models.checkpoint(home, name, fetch=not dry_run)
