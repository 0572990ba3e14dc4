"""Nested subsets on disk: every row is written once, and a subset is a list of files.

The files of a size hold what the next smaller one lacks. Where a file or a row group ends depends on the rank of its
rows alone, so the same draw gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from curator.extract.columns import NEEDED, ORDER
from registry.errors import Refusal

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ROWS_PER_GROUP = 100_000
ROWS_PER_FILE = 1_000_000
_UNITS = {"k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


def parse_sizes(text: str) -> dict[str, int]:
    """``1M,2.5M,10M`` as label -> rows, rising; raises Refusal for anything else."""
    sizes: dict[str, int] = {}
    for part in filter(None, (part.strip().lower() for part in text.split(","))):
        number, unit = (part[:-1], _UNITS[part[-1]]) if part[-1] in _UNITS else (part, 1)
        try:
            rows = float(number) * unit
        except ValueError:
            rows = 0.5
        if rows != int(rows) or rows < 1:
            raise Refusal("--sizes", f"'{part}' is no number of rows", "write sizes as in 1M,2M,500k,1000")
        sizes[label(int(rows))] = int(rows)
    if not sizes:
        raise Refusal("--sizes", "names no size", "write sizes as in 1M,2M,500k,1000")
    return dict(sorted(sizes.items(), key=lambda item: item[1]))


def label(rows: int) -> str:
    """A size in as few characters as say it exactly: ``1m``, ``500k``, ``1234``."""
    for unit, factor in reversed(_UNITS.items()):
        if rows % factor == 0:
            return f"{rows // factor}{unit}"
    return str(rows)


def files_of(folder: Path, sizes: Mapping[str, int]) -> dict[str, list[Path]]:
    """Label -> the files that together are this subset, in the order of the draw."""
    found: list[Path] = []
    subsets = {}
    for name in sizes:
        found = [*found, *sorted((folder / name).glob("part-*.parquet"))]
        subsets[name] = found
    return subsets


class Tiers:
    """Takes rows in the order of the draw and writes them to the sizes that they belong to."""

    def __init__(self, folder: Path, sizes: Mapping[str, int], *, with_place: bool) -> None:
        self._folder, self._sizes = folder, dict(sizes)
        self._with_place = with_place
        self._largest = max(sizes.values())
        self._pending: list[pa.Table] = []
        self._waiting = self._written = 0
        self._out: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while kind is None and self._waiting:  # fewer rows came than the largest has
            self._write(min(self._waiting, self._next()))
        self._close()

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return self._written + self._waiting

    @property
    def full(self) -> bool:
        """Whether the largest subset has all its rows."""
        return self.rows >= self._largest

    def add(self, frame: pl.DataFrame) -> None:
        """Take the next rows; those beyond the largest subset are left."""
        import polars as pl

        frame = frame.head(self._largest - self.rows)
        if not self._with_place:
            frame = frame.drop(ORDER)
        self._pending.append(frame.to_arrow(compat_level=pl.CompatLevel.newest()))
        self._waiting += len(frame)
        while self._waiting and (self._waiting >= self._next() or self.full):
            self._write(min(self._waiting, self._next()))

    def _next(self) -> int:
        """Rows of the row group that is written next: it ends where a tier, a file, or its own length does."""
        below, here = self._tier()
        in_tier = self._written - below
        return min(here - self._written, ROWS_PER_GROUP - in_tier % ROWS_PER_GROUP)

    def _tier(self) -> tuple[int, int]:
        """Ranks at which the tier of the next row begins and ends."""
        ends = list(self._sizes.values())
        here = next(end for end in ends if end > self._written)
        return max((end for end in ends if end < here), default=0), here

    def _write(self, rows: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        below, here = self._tier()
        in_tier = self._written - below
        table = pa.concat_tables(self._pending)
        group = table.slice(0, rows).combine_chunks()
        if in_tier % ROWS_PER_FILE == 0:
            self._close()
            name = next(name for name, end in self._sizes.items() if end == here)
            path = self._folder / name / f"part-{in_tier // ROWS_PER_FILE:05d}.parquet"
            path.parent.mkdir(exist_ok=True)
            # Without our schema of Arrow, whose kind of text (views) is ours to choose and nobody else's business.
            dictionaries = _repeating(group)
            counted: Any = [name for name in group.column_names if name not in NEEDED]  # bounds of a text serve nobody
            self._out = pq.ParquetWriter(
                path, group.schema, use_dictionary=dictionaries, write_statistics=counted, store_schema=False
            )
        self._out.write_table(group, row_group_size=rows)
        self._pending = [table.slice(rows)] if table.num_rows > rows else []
        self._waiting -= rows
        self._written += rows
        if self._written == here:
            self._close()

    def _close(self) -> None:
        if self._out is not None:
            self._out.close()
        self._out = None


def _repeating(table: pa.Table) -> list[str]:
    """Columns whose values may come often: a dictionary of all different values costs time and makes files larger."""
    import pyarrow as pa

    def repeats(kind: pa.DataType) -> bool:
        text = pa.types.is_string_view(kind)
        return bool(text or (pa.types.is_integer(kind) and kind.bit_width <= 32))

    return [field.name for field in table.schema if field.name not in NEEDED and repeats(field.type)]
