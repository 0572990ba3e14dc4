"""One pass over the metadata: of every file the rows that are wanted and lie in a range of the order, set down aside.

A stretch of a file is a task, and what it gives is one file: a record batch for each bin of the order, so that the cut
reads a bin from all of them without reading anything else. A task that is done is never done again.
"""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.extract.columns import KEY, NEEDED, ORDER
from curator.extract.order import LAST, Draw, Numbers, keys_of, strategy
from curator.extract.sources import Pool, Table
from curator.extract.wanted import Wanted
from registry.errors import Refusal
from registry.store import fsync

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ROWS_PER_TASK = 4_000_000
"""Rows that are read, and after a kill repeated, together; larger files are read in stretches of this."""
MOST_TASKS = 600
"""Stretches grow beyond this many, because the cut keeps a file of each open."""


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows of one file."""

    table: Table
    first: int
    rows: int
    whole: bool


@dataclass(frozen=True)
class Look:
    """What is looked for: the same for all stretches."""

    schema: dict[str, Any]
    wanted: Wanted
    draw: Draw
    looked_up: Path | None = None
    """What the strategy found out in a pass of its own."""


@dataclass(frozen=True)
class Task:
    """One stretch and where its rows go."""

    stretch: Stretch
    look: Look
    above: int
    """Places up to this one were taken before; -1 at first."""
    edges: tuple[int, ...]
    """Last place of each bin; the last of all is the end of the range."""
    target: Path


def stretches(pool: Pool) -> list[Stretch]:
    """All rows of a pool, cut at row groups."""
    size = max(ROWS_PER_TASK, -(-pool.rows // MOST_TASKS))
    return [stretch for table in pool.tables for stretch in _of_table(table, size)]


def scan(task: Task) -> Iterator[int]:
    """Do one task; yields the rows read."""
    if not task.target.is_file():
        frame = looked_at(task.stretch, task.look, (task.above, task.edges[-1]))
        _write(task, frame.sort(ORDER))
    yield task.stretch.rows


def looked_at(
    stretch: Stretch, look: Look, between: tuple[int, int] = (-1, LAST), only: tuple[str, ...] | None = None
) -> pl.DataFrame:
    """Rows of a stretch that are wanted and whose place is above the first and at most the second number.

    Args:
        stretch: where.
        look: what is looked for.
        between: the range of the order.
        only: columns that are needed beside key and place; None = all.
    """
    import polars as pl

    above, last = between

    def place(columns: Sequence[pl.Series]) -> pl.Series:
        frame = pl.DataFrame(columns)
        keys = keys_of(look.draw.seed, frame["url"], frame["caption"])
        return pl.Series(strategy(look.draw).places(look.draw, frame, keys, look.looked_up))

    needs = [*NEEDED, *([look.draw.by] if look.draw.by else [])]
    placed = pl.map_batches(needs, place, return_dtype=pl.UInt64, is_elementwise=True)
    in_range = (pl.col(ORDER) <= last) & (pl.col(ORDER) < LAST)
    if above >= 0:
        in_range &= pl.col(ORDER) > above
    frame = stretch.table.layout.selected(pl.scan_parquet(stretch.table.path, glob=False))
    if not stretch.whole:
        frame = frame.slice(stretch.first, stretch.rows)
    frame = frame.filter(*look.wanted.cheap()).with_columns(placed.alias(ORDER))
    columns = list(look.schema) if only is None else [*NEEDED, *only, *look.wanted.read_later(look.schema)]
    frame = frame.filter(in_range).select(*dict.fromkeys(columns), ORDER)
    try:
        found = frame.collect(engine="streaming")
        found = found.cast({name: look.schema[name] for name in found.columns[:-1]})
        found = found.filter(look.wanted.holding(found))  # few rows are left to ask of their texts what is costly
        by_key = look.draw.by_key
        keys = found[ORDER] if by_key else pl.Series(keys_of(look.draw.seed, found["url"], found["caption"]))
        return found.insert_column(len(found.columns) - 1, keys.alias(KEY))
    except FileNotFoundError:
        what, way_out = f"is not there on the machine '{platform.node()}'", "put it where every node sees it"
        raise Refusal(str(stretch.table.path), what, way_out) from None
    except pl.exceptions.PolarsError as error:
        problem = " ".join(str(error).split())
        raise Refusal(str(stretch.table.path), f"cannot be read ({problem})", "download it again") from None


def _of_table(table: Table, size: int) -> Iterator[Stretch]:
    first = rows = 0
    for group in table.groups:
        if rows and rows + group > size:
            yield Stretch(table, first, rows, whole=False)
            first, rows = first + rows, 0
        rows += group
    if rows:
        yield Stretch(table, first, rows, whole=not first)


def _write(task: Task, frame: pl.DataFrame) -> None:
    """Write the bins, such that the file is there whole or not at all."""
    import polars as pl
    import pyarrow as pa

    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    bounds = _bounds(frame[ORDER].to_numpy(), task.edges)
    aside = task.target.with_suffix(".aside")
    with pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        for first, end in itertools.pairwise(bounds):
            out.write_batch(_batch(table.slice(first, end - first)))
    fsync(aside)
    os.replace(aside, task.target)  # noqa: PTH105  Path.replace does the same


def _bounds(places: Numbers, edges: Sequence[int]) -> list[int]:
    return [0, *np.searchsorted(places, np.array(edges, np.uint64), side="right").tolist()]


def _batch(table: pa.Table) -> pa.RecordBatch:
    import pyarrow as pa

    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
