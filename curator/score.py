"""Scores: of predictions made anywhere, without a model; and of a trial, by asking a trainer process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.answers import check_rules
from registry.benchmark import Result, load_benchmark
from registry.errors import Refusal
from registry.table import read_cells

if TYPE_CHECKING:
    from curator.scored_models import ScoredModel
    from registry.store import Home

_FORMATS = "JSON lines or tab-separated text with the columns index and"


def score_predictions(
    predictions: Path, table: Path, name: str, rules: str, partial: bool = False, judge_replies: Path | None = None
) -> Result:
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
    result = benchmark.score(answered if partial else asked, replies, rules, heard)
    notes = list(result.notes)
    if len(answered) < len(asked):
        notes.append(f"partial: {len(answered)} of {len(asked)} questions have a prediction")
    if len(replies) < len(said):
        notes.append(f"{len(said) - len(replies)} predictions are for no row of the table and were ignored")
    return dataclasses.replace(result, partial=result.partial or len(answered) < len(asked), notes=notes)


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
