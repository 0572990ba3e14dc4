"""Samples that satisfy what was asked for, found in the order of their files without holding them.

Windows of a few row groups are looked at by two threads, the cheap columns first: the texts of a window are read only
if a row of it is left. A search ends when a page is full and a moment was spent on counting on, or when its time is
up; then it says how far it came, and the next page goes on from there.
"""

from __future__ import annotations

import glob
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curator.ui.shelves import SampleFile, Shelf, sample_file
from registry.store import is_finished

if TYPE_CHECKING:
    import pyarrow as pa

Flags = npt.NDArray[np.bool_]

THREADS = 2
AHEAD = 2 * THREADS
"""Windows that are looked at or wait for it."""
WINDOW = 16_384
"""Rows that a window has, if its row groups are not larger."""
COUNTING = 0.45
"""Seconds until a full page is shown, though not all matches are counted."""
PATIENCE = 3.0
"""Seconds until a page is shown, full or not."""

_THREADS = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
_ONE_AT_A_TIME = threading.Lock()
"""Searches of several tabs wait for each other: together they would take each other's time."""


@dataclass(frozen=True)
class Range:
    """What a measured column must satisfy; without anything, that it is there."""

    measure: str
    """Folder of the measure, or the filter that measured: its folder has another name beside each dataset."""
    column: str
    low: float | None = None
    high: float | None = None
    equals: str | None = None


@dataclass(frozen=True, eq=False)
class Wanted:
    """What was asked for: all of it must hold."""

    text: str = ""
    """Words in a message, capitals or not."""
    name: str = ""
    """The id, or the id in the source."""
    folder: str = ""
    part: str = ""
    category: str = ""
    ranges: tuple[Range, ...] = ()
    moved_by: str = ""
    """Folder of a measure of labels: samples whose category it changes."""
    among: Flags | None = None
    """Of every row of the shelf, whether it is looked at: of a mix, those with the fate that was asked for."""

    @property
    def everything(self) -> bool:
        """Whether no sample is left out."""
        asked = (self.text, self.name, self.folder, self.part, self.category, self.ranges, self.moved_by)
        return not any(asked) and self.among is None


@dataclass(frozen=True)
class Hits:
    """A page of a search."""

    numbers: list[int]
    """Rows of the page, rising."""
    matched: int
    """Rows found so far, from where the search began."""
    searched: int
    """Rows looked at."""
    complete: bool
    """Whether all rows to the end were looked at."""
    onward: int | None
    """Where the next page begins; None at the end."""


@dataclass(frozen=True)
class _Window:
    file: SampleFile
    start: int
    """Number of the file's first row."""
    begin: int
    end: int
    """Rows in the file."""


def search(
    shelf: Shelf,
    wanted: Wanted,
    measures: Path,
    start: int = 0,
    page: int = 24,
    *,
    backwards: bool = False,
    patience: float = PATIENCE,
) -> Hits:
    """A page of what is wanted.

    Args:
        shelf: the samples.
        wanted: what was asked for.
        measures: the stage of measures of the data home.
        start: the row to begin at; backwards, the row to end before.
        page: rows wanted at most.
        backwards: look for the page before ``start``.
        patience: seconds after which to stop.
    """
    if wanted.everything:
        return _all_rows(shelf, start, page, backwards=backwards)
    windows = _windows(shelf, wanted, start, backwards=backwards)
    found: list[int] = []
    matched = searched = 0
    reached: int | None = None
    with _ONE_AT_A_TIME:
        begun = time.monotonic()
        for window, rows in _looked_at(windows, wanted, measures):
            numbers = [window.start + int(row) for row in (rows[::-1] if backwards else rows)]
            found += numbers[: page + 1 - len(found)]
            matched += len(numbers)
            searched += window.end - window.begin
            reached = window.start + (window.begin if backwards else window.end)
            spent = time.monotonic() - begun
            if spent > patience or (len(found) > page and (backwards or spent > COUNTING)):
                break
    ends = (0 if backwards else shelf.rows) if reached is None else reached
    complete = ends == (0 if backwards else shelf.rows)
    shown = sorted(found[:page])
    onward = found[page] if len(found) > page else None if complete else ends
    return Hits(shown, matched, searched, complete, onward)


def _all_rows(shelf: Shelf, start: int, page: int, *, backwards: bool) -> Hits:
    """A page where no sample is left out: nothing has to be read."""
    begin = max(0, start - page) if backwards else start
    end = start if backwards else min(start + page, shelf.rows)
    rest = start if backwards else shelf.rows - start
    onward = None if (begin == 0 if backwards else end == shelf.rows) else begin if backwards else end
    return Hits(list(range(begin, end)), rest, rest, True, onward)


def _windows(shelf: Shelf, wanted: Wanted, start: int, *, backwards: bool) -> Iterator[_Window]:
    """The windows from ``start`` on, or those before it, the last one first."""
    numbered = list(zip(shelf.starts, shelf.files, strict=False))
    for first, file in reversed(numbered) if backwards else numbered:
        if wanted.folder and file.folder != wanted.folder:
            continue
        low, high = (0, start - first) if backwards else (start - first, file.rows)
        spans = _spans(file, max(low, 0), min(high, file.rows))
        for begin, end in reversed(spans) if backwards else spans:
            yield _Window(file, first, begin, end)


def _spans(file: SampleFile, low: int, high: int) -> list[tuple[int, int]]:
    """Whole row groups, as many together as make a window, within ``low`` and ``high``."""
    spans: list[tuple[int, int]] = []
    begin = previous = 0
    for end in (*file.ends, None):
        if end is None or end - begin > WINDOW:
            cut = (max(begin, low), min(previous, high))
            if cut[0] < cut[1]:
                spans.append(cut)
            begin = previous
        previous = end or previous
    return spans


def _looked_at(
    windows: Iterator[_Window], wanted: Wanted, measures: Path
) -> Iterator[tuple[_Window, npt.NDArray[np.int64]]]:
    """Each window with its matching rows (numbers in the file), in order; a few are looked at ahead."""
    waiting: deque[tuple[_Window, Future[npt.NDArray[np.int64]]]] = deque()
    try:
        for window in windows:
            waiting.append((window, _THREADS.submit(_matching, window, wanted, measures)))
            if len(waiting) >= AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _matching(window: _Window, wanted: Wanted, measures: Path) -> npt.NDArray[np.int64]:
    """The rows of a window that satisfy everything; what costs more is asked of what is left."""
    left = np.ones(window.end - window.begin, np.bool_)
    if wanted.among is not None:
        first = window.start + window.begin
        left &= wanted.among[first : first + len(left)]
    for column, value in (("category", wanted.category), ("part", wanted.part)):
        if value and left.any():
            left &= _named(window, column, value)
    for one in wanted.ranges:
        if left.any():
            left &= _measured(window, measures, one)
    if wanted.moved_by and left.any():
        left &= _moved(window, measures, wanted.moved_by)
    if wanted.name and left.any():
        columns = [_column(window.file, name, window) for name in ("id", "source_id")]
        left &= _equal(columns[0], wanted.name) | _equal(columns[1], wanted.name)
    if wanted.text and left.any():
        left &= _said(window, wanted.text, left)
    return window.begin + np.flatnonzero(left)


def _column(file: SampleFile, name: str, window: _Window) -> pa.ChunkedArray:
    return file.read([name], window.begin, window.end).column(name)


def _beside(measures: Path, window: _Window, measure: str) -> SampleFile | None:
    """The file of a measure beside a file of samples; of the measure's folder, or of the filter of that name."""
    root = measures / window.file.folder
    for folder in (root / measure, *sorted(root.glob(f"{glob.escape(measure)}-*"))):
        path = folder / window.file.path.name
        if is_finished(folder) and path.is_file() and sample_file(path).rows == window.file.rows:
            return sample_file(path)
    return None


def _flags(values: Any) -> Flags:
    """True where it is true; what is not known is not."""
    return np.asarray(values.fill_null(False)).astype(np.bool_)


def _equal(column: pa.ChunkedArray, value: str) -> Flags:
    import pyarrow.compute as pc

    return _flags(pc.equal(column, value))


def _named(window: _Window, column: str, value: str) -> Flags:
    """Rows whose column has this value, which is read only where the footer does not exclude it."""
    if not window.file.may_hold(column, value, window.begin, window.end):
        return np.zeros(window.end - window.begin, np.bool_)
    return _equal(_column(window.file, column, window), value)


def _moved(window: _Window, measures: Path, measure: str) -> Flags:
    """Rows to which a measure of labels gives another category."""
    import pyarrow.compute as pc

    labels = _beside(measures, window, measure)
    if labels is None:
        return np.zeros(window.end - window.begin, np.bool_)
    return _flags(pc.not_equal(_column(labels, "category", window), _column(window.file, "category", window)))


def _measured(window: _Window, measures: Path, wanted: Range) -> Flags:
    """Rows whose measured value is as wanted; none where nobody measured."""
    file = _beside(measures, window, wanted.measure)
    if file is None or wanted.column not in file.columns:
        return np.zeros(window.end - window.begin, np.bool_)
    return _within(_column(file, wanted.column, window), wanted)


def _within(column: pa.ChunkedArray, wanted: Range) -> Flags:
    import pyarrow as pa
    import pyarrow.compute as pc

    left = ~np.asarray(column.is_null())
    if wanted.equals is not None:
        left &= _flags(pc.equal(column.cast(pa.string()), wanted.equals))
    if wanted.low is None and wanted.high is None:
        return left
    numbers = np.asarray(column.cast(pa.float64()).fill_null(np.nan))
    low = -np.inf if wanted.low is None else _as_stored(column, wanted.low)
    high = np.inf if wanted.high is None else _as_stored(column, wanted.high)
    return left & (numbers >= low) & (numbers <= high)


def _as_stored(column: pa.ChunkedArray, bound: float) -> float:
    """A bound as the column would hold it: 0.2 is a little more in single precision, and within a bound of 0.2."""
    import pyarrow as pa

    return float(np.float32(bound)) if pa.types.is_float32(column.type) else bound


def _said(window: _Window, text: str, left: Flags) -> Flags:
    """Rows in which a message holds the text; row groups of which no row is left are not read."""
    file = window.file
    stored = [name for name in file.columns if name.startswith("messages.") and name.endswith(".text")]
    said = np.zeros(len(left), np.bool_)
    for begin, end in _with_any(file, window, left):
        column = file.read(stored, begin, end).column("messages")
        said[begin - window.begin : end - window.begin] = _holds(column, text)
    return said


def _with_any(file: SampleFile, window: _Window, left: Flags) -> Iterator[tuple[int, int]]:
    """The row groups of a window with a row that is left, neighbours together, as far as they are in the window."""
    groups, _ = file.groups(window.begin, window.end)
    waiting: tuple[int, int] | None = None
    for group in groups:
        begin = max(file.ends[group - 1] if group else 0, window.begin)
        end = min(file.ends[group], window.end)
        if left[begin - window.begin : end - window.begin].any():
            waiting = (waiting[0] if waiting else begin, end)
        elif waiting:
            yield waiting
            waiting = None
    if waiting:
        yield waiting


def _holds(column: pa.ChunkedArray, text: str) -> Flags:
    """Rows of the messages that hold the text. What is nested is matched flat and led back to its row."""
    import pyarrow.compute as pc

    flags: Sequence[Flags] = [np.zeros(len(chunk), np.bool_) for chunk in column.chunks]
    for chunk, found in zip(column.chunks, flags, strict=True):
        contents = pc.struct_field(pc.list_flatten(chunk), "content")
        texts = pc.struct_field(pc.list_flatten(contents), "text")
        at = np.flatnonzero(_flags(pc.match_substring(texts, text, ignore_case=True)))
        if len(at):
            messages = np.asarray(pc.list_parent_indices(contents))[at]
            found[np.asarray(pc.list_parent_indices(chunk))[messages]] = True
    return np.concatenate(flags) if flags else np.zeros(0, np.bool_)
