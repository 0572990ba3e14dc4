"""Predictions that others made, and predictions for others: one reply for each row of a benchmark's table.

========= ==========================================================================================================
file      what it is
========= ==========================================================================================================
.jsonl    objects with ``index`` and ``prediction``; or the samples that lmms-eval logs (``doc_id``, ``filtered_resps``)
.tsv      columns ``index`` and ``prediction``, such as VLMEvalKit writes with ``PRED_FORMAT=tsv``
.xlsx     the same columns in the first sheet, as VLMEvalKit writes them
========= ==========================================================================================================

lmms-eval numbers the rows of its own copy of a benchmark, whose order may be another one. A sample is taken for the
row that has its number only if it asks that row's question; else for the one row that it can be, and never guessed.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from curator.spreadsheet import LONGEST_CELL, read_sheet, write_sheet
from registry.benchmark import Index, Question
from registry.errors import Refusal
from registry.store import whole_file
from registry.table import read_cells

Row = tuple[int, str, str]
"""Line, index, reply."""

_FORMATS = "JSON lines, tab-separated text or .xlsx with the columns index and"
_SAMPLE = frozenset(("filtered_resps", "resps"))
_SUFFIXES = ("\nPlease answer yes or no.", " Please answer yes or no.")
"""What lmms-eval takes off a question before it adds a request of its own."""


def read_predictions(path: Path, column: str = "prediction", questions: Sequence[Question] = ()) -> dict[str, str]:
    """Index text -> reply. Refusal (file:line) for a bad row, or a second one of an index.

    Args:
        path: the file; its ending says what it is (module docstring).
        column: the one that holds the replies.
        questions: of the table, in its order: what samples of lmms-eval are matched with.
    """
    formats = f"{_FORMATS} {column}"
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        what = f"predictions cannot be read from {path.suffix or 'a file without ending'}"
        raise Refusal(str(path), what, f"give {formats}")
    found: dict[str, str] = {}
    for line, index, reply in reader(path, column, questions):
        if index in found:
            raise Refusal(f"{path}:{line}", f"index {index} has a {column} already", "keep one of them")
        found[index] = reply
    if not found:
        raise Refusal(str(path), f"no {column} in it", f"give {formats}")
    return found


def _json_lines(path: Path, column: str, questions: Sequence[Question]) -> Iterator[Row]:
    samples: _Samples | None = None
    try:
        with path.open("rb") as file:
            for line, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                row = _json(path, line, raw, column)
                if isinstance(row, dict) and column not in row and not _SAMPLE.isdisjoint(row):
                    samples = samples or _Samples(path, questions)
                    yield line, *samples.index_and_reply(line, row)
                else:
                    yield line, *_index_and_reply(path, line, row, column)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Refusal(str(path), f"cannot be read ({reason})", f"give {_FORMATS} {column}") from None


def _json(path: Path, line: int, raw: bytes, column: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Refusal(f"{path}:{line}", "not a JSON object", f"give {_FORMATS} {column}") from None


def _index_and_reply(path: Path, line: int, row: Any, column: str) -> tuple[str, str]:
    if not isinstance(row, dict) or "index" not in row or column not in row:
        keys = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
        raise Refusal(f"{path}:{line}", f"no index and {column} in it ({keys[:80]})", f"give {_FORMATS} {column}")
    index, reply = row["index"], row[column]
    if not isinstance(index, (int, str)) or not isinstance(reply, (str, int, float, type(None))):
        raise Refusal(f"{path}:{line}", f"index or {column} is not plain text", f"give {_FORMATS} {column}")
    return _index_text(str(index)), "" if reply is None else str(reply)


def _tab_separated(path: Path, column: str, _: Sequence[Question]) -> Iterator[Row]:
    for line, cells in read_cells(path, ("index", column)):
        yield line, _index_text(cells["index"]), cells[column]


def _spreadsheet(path: Path, column: str, _: Sequence[Question]) -> Iterator[Row]:
    for line, cells in read_sheet(path, ("index", column)):
        if not cells["index"].strip():
            raise Refusal(f"{path}:{line}", "no index", f"give {_FORMATS} {column}")
        yield line, _index_text(cells["index"]), cells[column]


def _index_text(index: str) -> str:
    """The form an index has in a table: whole numbers without leading zeros or blanks."""
    bare = index.strip()
    return str(int(bare)) if bare.isdecimal() else bare


_READERS: Mapping[str, Callable[[Path, str, Sequence[Question]], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".tsv": _tab_separated,
    ".xlsx": _spreadsheet,
}


class _Samples:
    """Which row of a table each sample of lmms-eval is about."""

    def __init__(self, path: Path, questions: Sequence[Question]) -> None:
        if not questions:
            raise Refusal(str(path), "samples of lmms-eval need the table they are about", "give it with --data")
        self._path = path
        self._questions = questions
        self._by_text: dict[str, list[Question]] = {}
        for question in questions:
            self._by_text.setdefault(_first_line(question.text), []).append(question)

    def index_and_reply(self, line: int, row: Mapping[str, Any]) -> tuple[str, str]:
        """Index text and reply of a sample."""
        reply = row.get("filtered_resps", row.get("resps"))
        while isinstance(reply, list) and len(reply) == 1:
            reply = reply[0]
        if not isinstance(reply, str):
            what = f"holds no reply, but {type(reply).__name__} (a task that compares likelihoods?)"
            raise Refusal(f"{self._path}:{line}", what, "give the samples of a task that generates text")
        return self._index(line, row), reply

    def _index(self, line: int, row: Mapping[str, Any]) -> str:
        given = [row, *(value for value in row.values() if isinstance(value, dict))]
        named = next((one["index"] for one in given if isinstance(one.get("index"), (int, str))), None)
        if named is not None:
            return _index_text(str(named))
        asked, target, place = str(row.get("input", "")), str(row.get("target", "")), row.get("doc_id")
        if isinstance(place, int) and 0 <= place < len(self._questions):
            question = self._questions[place]
            if _stem(question.text) in asked and _may_be(question, target):
                return str(question.index)
        lines = dict.fromkeys(map(_stem, asked.split("\n")))
        candidates = [one for text in lines for one in self._by_text.get(text, []) if _stem(one.text) in asked]
        fitting = [question for question in candidates if _may_be(question, target)]
        if len(fitting) == 1:
            return str(fitting[0].index)
        what = f"fits {len(fitting)} rows of the table (doc_id {place})"
        raise Refusal(f"{self._path}:{line}", what, "give the table these samples are about, or predictions by index")


def _stem(text: str) -> str:
    """A question without the request that lmms-eval replaces."""
    bare = text.strip()
    for suffix in _SUFFIXES:
        bare = bare.removesuffix(suffix)
    return bare.strip()


def _first_line(text: str) -> str:
    return _stem(_stem(text).split("\n")[0])


def _may_be(question: Question, target: str) -> bool:
    """Whether a sample's answer may be that of a question: the letter, the option's text, or one of several answers."""
    if not target or not question.answer:
        return True
    answer, said = question.answer.strip().lower(), target.strip().lower()
    option = question.options.get(question.answer, "").strip().lower()
    return said == option or said in answer


@dataclass(frozen=True)
class Said:
    """Replies to questions of a table; each question has one."""

    table: Path
    questions: Sequence[Question]
    replies: Mapping[Index, str]


def write_predictions(path: Path, said: Said) -> None:
    """Write replies as VLMEvalKit does (.xlsx, .tsv: every column of the table but the picture, and ``prediction``).

    Or as lmms-eval logs samples (.jsonl), with the ``index`` of the table beside its number. Rows without a reply are
    left out, as both do in a run that is not finished.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        what = f"predictions cannot be written as {path.suffix or 'a file without ending'}"
        raise Refusal(str(path), what, "name a file that ends with .xlsx, .tsv (VLMEvalKit) or .jsonl (lmms-eval)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as aside, aside.open("wb") as file:
        writer(file, path, said)


def json_line(row: Mapping[str, Any]) -> bytes:
    """One object as a line; text that no file can hold as it is (half a surrogate pair) is escaped."""
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row).encode() + b"\n"


def _rows(said: Said) -> tuple[list[str], Iterator[list[str | int]]]:
    """Column names and the rows of the table that have a reply, with their cells as they stand in the file."""
    replies = {str(question.index): (question.index, said.replies[question.index]) for question in said.questions}
    rows = (cells for _, cells in read_cells(said.table, ("index",)))
    first = next(rows, {"index": ""})
    columns = [name for name in first if name not in ("image", "prediction")]

    def with_replies() -> Iterator[list[str | int]]:
        for cells in itertools.chain([first], rows):
            index = _index_text(cells["index"])
            if index in replies:
                number, reply = replies[index]
                yield [number if name == "index" else cells[name] for name in columns] + [reply]

    return [*columns, "prediction"], with_replies()


def _write_tsv(file: IO[bytes], _: Path, said: Said) -> None:
    columns, rows = _rows(said)
    with io.TextIOWrapper(file, "utf-8", errors="replace", newline="") as text:
        writer = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_xlsx(file: IO[bytes], path: Path, said: Said) -> None:
    columns, rows = _rows(said)

    def checked() -> Iterator[list[str | int]]:
        for row in rows:
            longest = max(len(cell) for cell in row if isinstance(cell, str))
            if longest > LONGEST_CELL:
                what = f"a cell of index {row[columns.index('index')]} has {longest:,} characters"
                raise Refusal(str(path), f"{what}, and .xlsx holds {LONGEST_CELL:,}", "write .tsv instead")
            yield row

    write_sheet(file, columns, checked())


def _write_samples(file: IO[bytes], _: Path, said: Said) -> None:
    for place, question in enumerate(said.questions):
        row = {
            "doc_id": place,
            "index": question.index,
            "target": question.answer,
            "input": question.text,
            "filtered_resps": said.replies[question.index],
        }
        file.write(json_line(row))


_WRITERS: Mapping[str, Callable[[IO[bytes], Path, Said], None]] = {
    ".jsonl": _write_samples,
    ".tsv": _write_tsv,
    ".xlsx": _write_xlsx,
}
