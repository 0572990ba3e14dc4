"""Published files, read row by row: parquet, a JSON array, or JSON lines. Never all rows at once."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from curator.arrow_values import python_values
from curator.raw_sample import RawSample, Rejected, Unusable, plain
from registry.errors import Refusal

DATA_SUFFIXES = (".parquet", ".json", ".jsonl")
BATCH_BYTES = 4 * 1024 * 1024
"""Rows with embedded pictures are read about this much at a time."""
MAX_BATCH_ROWS = 1024
CHUNK_CHARACTERS = 1 << 20
MAX_ROW_CHARACTERS = 1 << 26
"""One JSON row larger than this is a damaged file."""
ROWS_LOOKED_AT = 100
"""JSON rows whose keys are taken as a file's columns."""

Values = dict[str, Any]
"""Role -> value of one row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One published row by the roles that a format reads."""

    source_id: str
    """The value of the ``id`` role, else ``<file>#<row>``."""
    values: Values
    file: str
    place: str
    """The file with the row's line or number in it."""
    labels: dict[str, str]
    """Columns that the card's parts are told apart by, as text."""


Made = RawSample | list[RawSample | Rejected]
"""What a format makes of one row."""


@dataclass(frozen=True)
class RawFiles:
    """The data files of one pulled dataset, and which column plays which role."""

    folder: Path
    files: list[Path]
    columns: dict[str, str]
    """Role -> column name."""
    options: dict[str, str] = field(default_factory=dict)
    """The card's settings of the format."""
    prompts: list[str] = field(default_factory=list)
    """The card's requests for a caption."""
    rows_at: str | None = None
    """Where the rows lie in a JSON object: keys with dots between them."""
    labels: tuple[str, ...] = ()
    """Columns that the card's parts are told apart by."""
    limit: int | None = None
    """Rows to read at most, for a look."""

    def of(self, path: Path) -> RawFiles:
        """The same for one file alone."""
        return replace(self, files=[path])

    def rows(self) -> Iterator[Row | Rejected]:
        """Every row; one that is no object comes as Rejected."""
        wanted = list(dict.fromkeys((*self.columns.values(), *self.labels)))
        numbered = (
            (name, name + place, index, row)
            for path, name in [(path, path.relative_to(self.folder).as_posix()) for path in self.files]
            for index, (place, row) in enumerate(_placed_rows(path, wanted, self.rows_at))
        )
        for name, place, index, row in itertools.islice(numbered, self.limit):
            if isinstance(row, DamagedLine):
                yield Rejected(f"{name}#{index}", "line is not JSON", row.problem, place)
                continue
            if not isinstance(row, dict):
                yield Rejected(f"{name}#{index}", "row is not an object", type(row).__name__, place)
                continue
            values = {role: row.get(column) for role, column in self.columns.items()}
            known = values.get("id")
            source_id = plain(str(known)) if known not in (None, "") else f"{name}#{index}"
            yield Row(source_id, values, name, place, {column: _as_label(row.get(column)) for column in self.labels})

    def convert(self, make: Callable[[str, Values], Made]) -> Iterator[RawSample | Rejected]:
        """Apply ``make`` to every row; what it raises as Unusable sets the row aside.

        A row that holds several samples gives a list; each is then told apart by its number behind the row's id.
        """
        for row in self.rows():
            if isinstance(row, Rejected):
                yield row
                continue
            try:
                made = make(row.source_id, row.values)
            except Unusable as error:
                yield Rejected(row.source_id, error.reason, error.detail, row.place)
                continue
            for sample in made if isinstance(made, list) else [made]:
                if isinstance(sample, RawSample):
                    sample.file, sample.place, sample.labels = row.file, row.place, row.labels
                yield sample if isinstance(sample, RawSample) else replace(sample, place=row.place)

    def option(self, name: str, *allowed: str) -> str:
        """The card's value of a format option; the first allowed one is the default."""
        value = self.options.get(name, allowed[0])
        if value not in allowed:
            raise Refusal(f"option '{name}'", f"'{value}' is not known", f"write one of: {', '.join(allowed)}")
        return value


def _as_label(value: Any) -> str:
    """A cell as the text that a rule looks at."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def read_rows(path: Path, columns: list[str] | None = None, rows_at: str | None = None) -> Iterator[Any]:
    """The rows of one file as Python values; raises Refusal when the file is damaged.

    ``rows_at`` says where the list of rows lies when a JSON file holds an object.
    """
    yield from (row for _, row in _placed_rows(path, columns, rows_at))


def _placed_rows(path: Path, columns: list[str] | None, rows_at: str | None) -> Iterator[tuple[str, Any]]:
    """The rows of one file, each with its line (``:1`` is the first) or its number (``#0``) there."""
    if path.suffix == ".jsonl":
        yield from ((f":{line}", row) for line, row in _json_lines(path))
        return
    rows = _parquet_rows(path, columns) if path.suffix == ".parquet" else _json_array(path, rows_at)
    yield from ((f"#{number}", row) for number, row in enumerate(rows))


def columns_of(path: Path, rows_at: str | None = None) -> set[str]:
    """Column names of a parquet file, or the keys of the first rows of a JSON file."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with _damage_as_refusal(path):
            return set(pq.read_schema(path).names)
    found: set[str] = set()
    for index, row in enumerate(read_rows(path, rows_at=rows_at)):
        if index == ROWS_LOOKED_AT:
            break
        found.update(row if isinstance(row, dict) else ())
    return found


def _parquet_rows(path: Path, columns: list[str] | None) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with _damage_as_refusal(path), pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
        names = set(file.schema_arrow.names)
        kept = None if columns is None else [column for column in columns if column in names]
        for batch in file.iter_batches(_batch_rows(file), columns=kept):
            if not batch.num_columns:  # a file without any wanted column: its rows count all the same
                yield from ({} for _ in range(batch.num_rows))
                continue
            columns_of_batch = [python_values(column) for column in batch.columns]
            yield from (dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns_of_batch, strict=True))


def _batch_rows(file: Any) -> int:
    """How many rows make about ``BATCH_BYTES``."""
    metadata = file.metadata
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    a_row = max(1, size // max(1, metadata.num_rows))
    return int(max(1, min(MAX_BATCH_ROWS, BATCH_BYTES // a_row)))


@dataclass(frozen=True, slots=True)
class DamagedLine:
    """A line of a JSON lines file that is no JSON: one row that cannot be used, not the end of the file."""

    problem: str


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip())
            except json.JSONDecodeError as error:
                yield number, DamagedLine(f"line {number}: {error.msg} (column {error.colno})")
            except (ValueError, RecursionError) as error:
                yield number, DamagedLine(f"line {number}: {error}")


def _json_array(path: Path, rows_at: str | None = None) -> Iterator[Any]:
    """Elements of a JSON array, one at a time: memory does not grow with the file."""
    with _damage_as_refusal(path), path.open(encoding="utf-8-sig") as file:
        elements = _Elements(path, file, file.read(CHUNK_CHARACTERS))
        for key in rows_at.split(".") if rows_at else ():
            if key == VALUES:
                yield from elements.values()
                return
            elements.enter(key)
        elements.open_array()
        while (element := elements.next()) is not _END:
            yield element
        if not rows_at:
            elements.refuse_more()


_END = object()
VALUES = "*"
"""In ``rows_at``: the values of the object are the rows."""
_AFTER_VALUE = (" ", "\t", "\r", "\n", ",", "]", "}", ":")


class _Elements:
    """Decodes the elements of an array, which may lie in objects, out of a text that is read in chunks."""

    def __init__(self, path: Path, file: Any, text: str) -> None:
        self._path, self._file, self._text = path, file, text
        self._at = 0
        self._lines = 0
        """Line ends before the text that is held."""
        self._first = True
        self._decoder = json.JSONDecoder()

    def open_array(self) -> None:
        """Step into the array that begins here."""
        if self._peek() != "[":
            raise self._damaged("is not a JSON array of rows")
        self._at += 1

    def refuse_more(self) -> None:
        """Raise Refusal when the file goes on behind the array: a second array would be lost without a word."""
        self._at += 1
        while not (rest := self._text[self._at :].lstrip()):
            self._at = len(self._text)
            if not self._grow(None):
                return
        self._at = len(self._text) - len(rest)
        raise self._damaged(f"goes on behind the array of rows ({rest.rstrip()[:20]!r})")

    def enter(self, key: str) -> None:
        """Step from the object that begins here to the value of ``key``, reading past the values before it."""
        if self._peek() != "{":
            raise self._damaged(f"has no object that could hold '{key}'")
        self._at += 1
        for found in self._keys():
            if found == key:
                return
            self._value()
        raise self._damaged(f"has no '{key}'")

    def values(self) -> Iterator[Any]:
        """The values of the object that begins here."""
        if self._peek() != "{":
            raise self._damaged("holds no object of rows")
        self._at += 1
        for _ in self._keys():
            yield self._value()

    def _keys(self) -> Iterator[Any]:
        """The keys of an object; whoever asks for the next one has taken the value of the last."""
        while self._peek() != "}":
            key = self._value()
            if self._peek() != ":":
                raise self._damaged(f"expected ':' after {key!r}")
            self._at += 1
            self._peek()
            yield key
            if self._peek() == ",":
                self._at += 1

    def next(self) -> Any:
        """The next element, or ``_END`` after the closing bracket."""
        character = self._peek()
        if character == "]":
            return _END
        if not self._first:
            if character != ",":
                raise self._damaged(f"expected ',' and found {character!r}")
            self._at += 1
            self._peek()
        self._first = False
        return self._value()

    def _value(self) -> Any:
        """The value that begins here."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._grow(f"a row is not JSON ({error.msg}, in line {self._lines + error.lineno})")
                continue
            if self._text[end : end + 1] not in _AFTER_VALUE and self._grow(None):
                continue  # a number may go on in the next chunk: "1" may become "1.5e3"
            self._at = end
            return value

    def _peek(self) -> str:
        """The next character that is not blank, without taking it."""
        while True:
            rest = len(self._text)
            while self._at < rest and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < rest:
                return self._text[self._at]
            self._grow("a row is not JSON (the file ends inside the array)")

    def _grow(self, problem: str | None) -> bool:
        """Read one more chunk; at the end of the file raise ``problem``, or give False when there is none."""
        chunk = self._file.read(max(CHUNK_CHARACTERS, len(self._text) - self._at))
        if not chunk or len(self._text) - self._at > MAX_ROW_CHARACTERS:
            if problem is None:
                return False
            raise self._damaged(problem)
        self._lines += self._text.count("\n", 0, self._at)
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return True

    def _damaged(self, problem: str) -> Refusal:
        """A refusal that names the line where reading stopped; of a row that is not JSON, where it begins."""
        line = 1 + self._lines + self._text.count("\n", 0, self._at)
        return _damaged(self._path, problem, line)


@contextlib.contextmanager
def _damage_as_refusal(path: Path) -> Iterator[None]:
    """Turn what the readers raise about a damaged file into a Refusal."""
    import pyarrow as pa

    try:
        yield
    except (ValueError, OverflowError, pa.ArrowException, RecursionError, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # no permission, not there: no damage
            raise
        raise _damaged(path, " ".join(str(error).split()) or type(error).__name__) from None


def _damaged(path: Path, problem: str, line: int | None = None) -> Refusal:
    where = path.name if line is None else f"{path.name}:{line}"
    return Refusal(where, problem, "pull the dataset again, or report the file to its publisher")
