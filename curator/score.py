"""Scores: of predictions made anywhere, without a model; and of a trial, by asking a trainer process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.trials import Event, Workers, score_request
from registry.answers import check_rules
from registry.benchmark import Index, Question, Result, load_benchmark
from registry.errors import Refusal
from registry.sampling import picture_clusters
from registry.table import read_cells

if TYPE_CHECKING:
    from curator.laboratory import Bench
    from registry.store import Home
    from registry.trial import BenchmarkScore

_FORMATS = "JSON lines or tab-separated text with the columns index and"


@dataclass(frozen=True)
class Scoring:
    """A result, and what was asked and replied for it."""

    result: Result
    questions: list[Question]
    replies: dict[Index, str]
    table: Path


def score_predictions(
    predictions: Path, table: Path, name: str, rules: str, partial: bool = False, judge_replies: Path | None = None
) -> Result:
    """The score of a file of predictions (:func:`scoring_of`)."""
    return scoring_of(predictions, table, name, rules, partial, judge_replies).result


def scoring_of(
    predictions: Path, table: Path, name: str, rules: str, partial: bool = False, judge_replies: Path | None = None
) -> Scoring:
    """Score a file of predictions against the table of a benchmark.

    With ``partial`` questions without a prediction are left out and the result says so; otherwise they are refused.
    Predictions for rows the table does not have are counted in the notes.
    """
    check_rules(rules)
    benchmark = load_benchmark(name)
    said = read_predictions(predictions)
    asked = list(benchmark.questions(table))
    replies = {question.index: said[str(question.index)] for question in asked if str(question.index) in said}
    answered = [question for question in asked if question.index in replies]
    judged = read_predictions(judge_replies, "reply") if judge_replies is not None else {}
    heard = {question.index: judged[str(question.index)] for question in asked if str(question.index) in judged}
    scored = answered if partial else asked
    result = benchmark.score(scored, replies, rules, heard)
    notes = list(result.notes)
    if len(answered) < len(asked):
        notes.append(f"partial: {len(answered)} of {len(asked)} questions have a prediction")
    if len(replies) < len(said):
        notes.append(f"{len(said) - len(replies)} predictions are for no row of the table and were ignored")
    result = dataclasses.replace(
        result,
        partial=result.partial or len(answered) < len(asked),
        notes=notes,
        clusters=picture_clusters(scored),
    )
    return Scoring(result, scored, replies, table)


def read_predictions(path: Path, column: str = "prediction") -> dict[str, str]:
    """Index text -> reply, from ``.jsonl`` or ``.tsv``. Refusal (file:line) for a bad or second row.

    Args:
        path: the file.
        column: the one that holds the replies.
    """
    formats = f"{_FORMATS} {column}"
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise Refusal(
            str(path), f"predictions cannot be read from {path.suffix or 'a file without ending'}", f"give {formats}"
        )
    found: dict[str, str] = {}
    for line, index, reply in reader(path, column):
        if index in found:
            raise Refusal(f"{path}:{line}", f"index {index} has a {column} already", "keep one of them")
        found[index] = reply
    if not found:
        raise Refusal(str(path), f"no {column} in it", f"give {formats}")
    return found


def write_answers(path: Path, result: Result, predictions: Path) -> None:
    """Write what each reply was taken for as JSON lines: index, group, prediction, extracted, hit."""
    from registry.store import write_aside

    said = read_predictions(predictions)
    rows = [dataclasses.asdict(answer) | {"prediction": said[str(answer.index)]} for answer in result.answers]
    text = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    write_aside(path, text.encode())


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


def _json_lines(path: Path, column: str) -> Iterator[tuple[int, str, str]]:
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                row = json.loads(raw)
            except (ValueError, RecursionError):
                raise Refusal(f"{path}:{line}", "not a JSON object", f"give {_FORMATS} {column}") from None
            yield line, *_index_and_reply(path, line, row, column)


def _index_and_reply(path: Path, line: int, row: Any, column: str) -> tuple[str, str]:
    if not isinstance(row, dict) or "index" not in row or column not in row:
        keys = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
        raise Refusal(f"{path}:{line}", f"no index and {column} in it ({keys[:80]})", f"give {_FORMATS} {column}")
    index, reply = row["index"], row[column]
    if not isinstance(index, (int, str)) or not isinstance(reply, (str, int, float, type(None))):
        raise Refusal(f"{path}:{line}", f"index or {column} is not plain text", f"give {_FORMATS} {column}")
    return _index_text(str(index)), "" if reply is None else str(reply)


def _tab_separated(path: Path, column: str) -> Iterator[tuple[int, str, str]]:
    for line, cells in read_cells(path, ("index", column)):
        yield line, _index_text(cells["index"]), cells[column]


def _index_text(index: str) -> str:
    """The form an index has in a table: whole numbers without leading zeros or blanks."""
    bare = index.strip()
    return str(int(bare)) if bare.isdecimal() else bare


_READERS: Mapping[str, Callable[[Path, str], Iterator[tuple[int, str, str]]]] = {
    ".jsonl": _json_lines,
    ".tsv": _tab_separated,
}


def count_questions(bench: Bench) -> int:
    """How many questions a benchmark's table has; Refusal for a file that is no such table."""
    count = sum(1 for _ in load_benchmark(bench.name).questions(bench.table))
    if not count:
        raise Refusal(str(bench.table), "has no question", "give the benchmark's published table")
    return count


def score_trial(home: Home, trial: Path, benches: Sequence[Bench], rules: str) -> list[BenchmarkScore]:
    """Make the scores that are not there yet, in one trainer process, and read all of them."""
    from curator.laboratory import missing_scores, read_score
    from curator.output import note

    def listen(event: Event) -> None:
        if event["event"] == "started":
            note(f"scoring {event['label']}")

    missing = missing_scores(trial, benches, rules)
    if missing:
        requests = [score_request(home, trial.name, trial, bench, rules) for bench in missing]
        with Workers(count=1) as workers:
            workers.run([requests], listen)
    return [read_score(trial, bench, rules) for bench in benches]
