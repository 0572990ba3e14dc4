"""Reader of the published benchmark tables: one TSV, one row per prompt, pictures as base64 inside the row.

The tables are large (several GB for some) and nearly all of that is pictures. One pass keeps the text cells and the
place of each row in the file; a picture is read with one seek when it is asked for.

**As published, quirks included.** The scorer behind most published figures reads these tables with pandas' defaults.
Two of them change what a model is shown and what its reply is matched with, so they are reproduced here, without
pandas, and each cell they touch is named in ``Row.altered``:

* a cell whose text is one of :data:`MISSING_WORDS` (``None``, ``NA``, ``null`` …) is missing: an option ``None``
  vanishes from the prompt and from matching;
* an option column in which every text is a number is read as numbers: ``007`` becomes ``7``, and where one row has no
  such option the whole column becomes decimal: ``3`` becomes ``3.0``; ``true`` / ``TRUE`` become ``True``.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from registry.benchmark import Index, Question
from registry.errors import Refusal

_MISSING = "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null"
MISSING_WORDS = frozenset(["", *_MISSING.split("|")])
"""Texts that pandas (>= 2.0) reads as a missing value."""

MISSING_REPLY = "nan"
"""What a reply that is one of :data:`MISSING_WORDS` turns into before it is matched."""

ROW_LIMIT_BYTES = 64 * 2**20
"""Longest row that is read: four times the base64 form of a 12 MB picture."""

REFERENCE_LIMIT = 64
"""An image cell of at most so many characters is the index of the row that has the picture."""

LETTERS = frozenset(string.ascii_uppercase)
_READ_AS_TEXT = LETTERS | {"question", "hint", "answer"}
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_DECIMAL = re.compile(r"\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)\s*", re.ASCII | re.IGNORECASE)
_TRUTHS = {"True": "True", "TRUE": "True", "true": "True", "False": "False", "FALSE": "False", "false": "False"}


@dataclass(frozen=True)
class Row:
    """One prompt row without its picture."""

    line: int
    """Line of the file where the row starts, from 1."""
    index: Index
    cells: dict[str, str]
    """Non-missing cells by column; columns other than ``A`` .. ``Z`` are named in lower case."""
    altered: tuple[str, ...]
    """Columns a model sees that the published reading loses or rewrites."""
    image: str
    """Index text of the row that holds the picture (often its own); empty for a table without pictures."""


@dataclass(frozen=True)
class _Raw:
    """A row as it stands in the file."""

    line: int
    offset: int
    size: int
    cells: list[str]


class Table:
    """A benchmark table whose pictures stay in the file."""

    def __init__(self, path: Path, columns: list[str], rows: list[Row], places: dict[str, tuple[int, int]]) -> None:
        self.path = path
        self.columns = columns
        self.rows = rows
        self._places = places  # index text -> offset and size in bytes of the first row that holds its picture
        self._names: dict[tuple[int, int], str] = {}
        for index, place in places.items():
            self._names.setdefault(place, index)

    def image_key(self, row: Row) -> str:
        """Index text of the first row that holds the picture or a copy of it; empty in a table without pictures."""
        return self._names[self._places[row.image]] if row.image else ""

    def image(self, row: Row) -> str | None:
        """The base64 picture of a row, references followed; None in a table without pictures.

        Raises Refusal for a cell that lists several pictures.
        """
        if not row.image:
            return None
        offset, size = self._places[row.image]
        with self.path.open("rb") as file:
            file.seek(offset)
            raw = next(_raw_rows(self.path, file, row.line, size))
        return _one_picture(raw.cells[self.columns.index("image")], f"{self.path}:{row.line}")


def read_table(path: Path, needs: tuple[str, ...] = (), *, pandas_words: bool = True) -> Table:
    """Read a table; ``needs`` are columns it must have besides ``index`` and ``question``.

    ``pandas_words=False`` keeps every non-empty cell as it stands. Rows whose ``image`` is empty are dropped, as
    published. Raises Refusal (file:line) for a damaged row, an index that occurs twice, or a reference to no picture.
    """
    missing = MISSING_WORDS if pandas_words else frozenset([""])
    with _open(path) as file:
        raw_rows = _raw_rows(path, file, 1, ROW_LIMIT_BYTES)
        columns = _columns(path, next(raw_rows, None), ("index", "question", *needs))
        rows, places = _rows(path, columns, raw_rows, missing)
    if pandas_words:
        rows = _with_numbers_read(rows)
    rows = _with_int_index(rows)
    _check_references(path, rows, places)
    return Table(path, columns, rows, places)


def read_cells(path: Path, needs: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of every row of any TSV that has the columns ``needs``, one row in memory at a time."""
    with _open(path) as file:
        raw_rows = _raw_rows(path, file, 1, ROW_LIMIT_BYTES)
        columns = _columns(path, next(raw_rows, None), needs)
        for raw in raw_rows:
            yield raw.line, _cells(path, columns, raw)


def read_questions(path: Path, group: Callable[[Row], str], needs: tuple[str, ...] = ()) -> Iterator[Question]:
    """The prompts of a table in its order; ``group`` names what is scored together."""
    table = read_table(path, needs)
    for row in table.rows:
        yield question_of(table, row, group(row))


def question_of(table: Table, row: Row, group: str) -> Question:
    """One table row as a question."""
    cells = row.cells
    if "question" not in cells:
        raise Refusal(f"{table.path}:{row.line}", "the row has no question", "remove the row or fill the cell")
    return Question(
        index=row.index,
        group=group,
        text=cells["question"],
        options={letter: cells[letter] for letter in string.ascii_uppercase if letter in cells},
        answer=cells.get("answer", ""),
        category=cells.get("category", ""),
        row=cells,
        altered=row.altered,
        image_key=table.image_key(row),
        read_image=lambda: table.image(row),
    )


def reply_as_read(reply: str) -> str:
    """The reply as the published rules see it after it went through a file: some words become ``nan``."""
    return MISSING_REPLY if reply in MISSING_WORDS else reply


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Refusal(str(path), f"cannot be read ({reason})", "give the path of a benchmark table (.tsv)") from None


def _raw_rows(path: Path, file: BinaryIO, line: int, limit: int) -> Iterator[_Raw]:
    """Rows from the current position on. Rows without a quote, which is nearly all, are only split at tabs."""
    offset = file.tell()
    while raw := file.readline(limit + 1):
        start, consumed = line, [raw]
        _check_size(path, line, len(raw), limit)
        body = raw.removesuffix(b"\n").removesuffix(b"\r")
        if not body:
            line, offset = line + 1, offset + len(raw)
            continue
        if b'"' in body or b"\r" in body:
            cells = _quoted_row(path, file, line, consumed, limit)
        else:
            cells = _text(path, line, body.removeprefix(b"\xef\xbb\xbf")).split("\t")
        size = sum(map(len, consumed))
        yield _Raw(start, offset, size, cells)
        line, offset = line + len(consumed), offset + size


def _quoted_row(path: Path, file: BinaryIO, line: int, consumed: list[bytes], limit: int) -> list[str]:
    """A row with quotes; it may go on over several lines, which are added to ``consumed``."""

    def lines() -> Iterator[str]:
        yield _text(path, line, consumed[0].removeprefix(b"\xef\xbb\xbf"))
        while raw := file.readline(limit + 1):
            consumed.append(raw)
            _check_size(path, line, sum(map(len, consumed)), limit)
            yield _text(path, line + len(consumed) - 1, raw)
        raise Refusal(f"{path}:{line}", "a quote is opened and never closed", "fetch the table again")

    csv.field_size_limit(max(csv.field_size_limit(), ROW_LIMIT_BYTES))
    try:
        return next(csv.reader(lines(), delimiter="\t"))
    except csv.Error as error:
        raise Refusal(f"{path}:{line}", f"not a readable row ({error})", "fetch the table again") from None


def _check_size(path: Path, line: int, size: int, limit: int) -> None:
    if size > limit:
        what = f"the row is longer than {limit / 2**20:.0f} MiB"
        raise Refusal(f"{path}:{line}", what, "check that this is a benchmark table, one prompt a line")


def _text(path: Path, line: int, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(f"{path}:{line}", "not UTF-8 text", "fetch the table again, or convert it to UTF-8") from None


def _columns(path: Path, header: _Raw | None, needs: tuple[str, ...]) -> list[str]:
    columns = [name if name in LETTERS else name.lower() for name in (header.cells if header else [])]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    lacking = [name for name in needs if name not in columns]
    if twice:
        raise Refusal(f"{path}:1", f"column {', '.join(twice)} occurs twice", "keep one of them")
    if lacking:
        what = f"no column {', '.join(lacking)} in the header ({', '.join(columns[:12]) or 'the file is empty'})"
        raise Refusal(f"{path}:1", what, "give the benchmark's own table: tab-separated, column names in line 1")
    return columns


def _cells(path: Path, columns: list[str], raw: _Raw) -> dict[str, str]:
    if len(raw.cells) != len(columns):
        what = f"{len(raw.cells)} cells where the header has {len(columns)}"
        raise Refusal(f"{path}:{raw.line}", what, "the file may be cut off; fetch the table again")
    return dict(zip(columns, raw.cells, strict=True))


def _rows(
    path: Path, columns: list[str], raw_rows: Iterator[_Raw], missing: frozenset[str]
) -> tuple[list[Row], dict[str, tuple[int, int]]]:
    """Rows with their text cells, and where the pictures lie."""
    rows: list[Row] = []
    places: dict[str, tuple[int, int]] = {}
    first_line: dict[str, int] = {}
    first_with: dict[bytes, tuple[int, int]] = {}
    for raw in raw_rows:
        cells = _cells(path, columns, raw)
        image = cells.pop("image", None)
        if image is not None and image in MISSING_WORDS:
            continue
        index = cells["index"].strip()
        if index in MISSING_WORDS or first_line.setdefault(index, raw.line) != raw.line:
            what = f"index {index!r} stands in line {first_line[index]} already" if index in first_line else "no index"
            raise Refusal(f"{path}:{raw.line}", what, "give every row an index of its own")
        holder = "" if image is None else image
        if image is not None and len(image) > REFERENCE_LIMIT:
            picture = hashlib.sha256(image.encode()).digest()
            holder, places[index] = index, first_with.setdefault(picture, (raw.offset, raw.size))
        lost = tuple(name for name, cell in cells.items() if cell and cell in missing and name in _READ_AS_TEXT)
        kept = {name: cell for name, cell in cells.items() if cell not in missing}
        rows.append(Row(raw.line, index, kept, lost, holder))
    return rows, places


def _with_int_index(rows: list[Row]) -> list[Row]:
    """Indexes as int when all are ints. Rows stay in place; ``Row.image`` stays the text of the file."""
    if not all(_INTEGER.fullmatch(str(row.index)) for row in rows):
        return rows
    return [replace(row, index=int(row.index)) for row in rows]


def _check_references(path: Path, rows: list[Row], places: dict[str, tuple[int, int]]) -> None:
    for row in rows:
        if row.image and row.image not in places:
            what = f"image refers to index {row.image!r}, and no row of that index has a picture"
            raise Refusal(f"{path}:{row.line}", what, "fetch the table again")


def _with_numbers_read(rows: list[Row]) -> list[Row]:
    """Rewrite option columns that hold nothing but numbers or truth values (module docstring)."""
    changes: dict[int, dict[str, str]] = {}
    for letter in sorted(LETTERS):
        texts = {place: row.cells[letter] for place, row in enumerate(rows) if letter in row.cells}
        for place, text in _as_numbers(texts, has_gaps=len(texts) < len(rows)).items():
            if text != texts[place]:
                changes.setdefault(place, {})[letter] = text
    return [_rewritten(row, changes[place]) if place in changes else row for place, row in enumerate(rows)]


def _rewritten(row: Row, cells: dict[str, str]) -> Row:
    return replace(row, cells=row.cells | cells, altered=tuple(sorted({*row.altered, *cells})))


def _as_numbers(texts: dict[int, str], has_gaps: bool) -> dict[int, str]:
    """The texts of one column as they read after numbers were inferred from all of them."""
    values = texts.values()
    if all(_INTEGER.fullmatch(text) for text in values):
        if not all(-(2**63) <= int(text) < 2**64 for text in values):
            return texts
        if not has_gaps:
            return {place: str(int(text)) for place, text in texts.items()}
    if all(_DECIMAL.fullmatch(text) for text in values):
        return {place: str(float(text)) for place, text in texts.items()}
    if all(text in _TRUTHS for text in values):
        return {place: _TRUTHS[text] for place, text in texts.items()}
    return texts


def _one_picture(cell: str, where: str) -> str:
    """The picture of an image cell, which may be written as a list."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell
    try:
        pictures = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise Refusal(where, "the image cell is neither base64 nor a list of it", "fetch the table again") from None
    if len(pictures) != 1:
        raise Refusal(where, f"{len(pictures)} pictures in one prompt", "use a table with one picture a prompt")
    return str(pictures[0])
