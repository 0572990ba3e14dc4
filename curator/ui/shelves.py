"""Samples by one running number: the files of one or of many samples folders, one behind the other.

A million rows are never held. Known are the row groups of each file, from its footer; of measures, which file lies
beside which. Finished folders never change, so what was learned of one is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.damage import damage_refused
from registry.errors import Refusal
from registry.store import Home, is_finished

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class SampleFile:
    """One parquet file and where its row groups end."""

    path: Path
    ends: tuple[int, ...]
    columns: tuple[str, ...]
    """Names of its columns; of nested ones, of what is stored: ``messages.list.element.role``."""
    footer: Any = field(repr=False, compare=False)

    @property
    def rows(self) -> int:
        """How many it has."""
        return self.ends[-1] if self.ends else 0

    @property
    def folder(self) -> str:
        """Name of the folder that it lies in."""
        return self.path.parent.name

    def groups(self, begin: int, end: int) -> tuple[list[int], int]:
        """The row groups that hold the rows from ``begin`` to ``end``, and the first row of the first of them."""
        first, last = bisect_right(self.ends, begin), bisect_right(self.ends, end - 1)
        return list(range(first, last + 1)), self.ends[first - 1] if first else 0

    def may_hold(self, column: str, value: str, begin: int, end: int) -> bool:
        """Whether a row from ``begin`` to ``end`` can have this value, by what the footer says of the row groups."""
        at = self.columns.index(column)
        known = [self.footer.row_group(group).column(at).statistics for group in self.groups(begin, end)[0]]
        return any(one is None or not one.has_min_max or one.min <= value <= one.max for one in known)

    def read(self, columns: list[str], begin: int, end: int) -> pa.Table:
        """These columns of the rows from ``begin`` to ``end``: no other row group is touched."""
        import pyarrow.parquet as pq

        groups, start = self.groups(begin, end)
        with damage_refused(self.path), pq.ParquetFile(self.path, metadata=self.footer, pre_buffer=False) as file:
            table = file.read_row_groups(groups, columns=columns, use_threads=False)
        return table.slice(begin - start, end - begin)


@lru_cache(maxsize=1024)
def sample_file(path: Path) -> SampleFile:
    """What the footer of a file says."""
    import pyarrow.parquet as pq

    with damage_refused(path):
        footer = pq.read_metadata(path)
        sizes = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
        columns = tuple(footer.schema.column(number).path for number in range(footer.num_columns))
    return SampleFile(path, tuple(int(end) for end in np.cumsum(sizes)), columns, footer)


@dataclass(frozen=True)
class Shelf:
    """Files one behind the other; a row goes by its number among all of them."""

    files: tuple[SampleFile, ...]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Shelf:
        """All samples of these folders, each folder once."""
        paths = [path for folder in dict.fromkeys(folders) for path in sorted(folder.glob("part-*.parquet"))]
        return cls(tuple(map(sample_file, paths)))

    @cached_property
    def starts(self) -> list[int]:
        """Number of the first row of each file, and at the end of all rows."""
        return [0, *(int(end) for end in np.cumsum([file.rows for file in self.files]))]

    @property
    def rows(self) -> int:
        """All rows."""
        return self.starts[-1]

    def place(self, number: int) -> tuple[int, int]:
        """The file of a row and its number there."""
        index = bisect_right(self.starts, number) - 1
        return index, number - self.starts[index]

    def number(self, folder: str, file: str, row: int) -> int:
        """The running number of a row; raises Refusal when there is none such."""
        start = self._by_name.get((folder, file))
        if start is None or not 0 <= row < self.files[start].rows:
            raise Refusal(f"{folder}/{file}", f"has no row {row:,} here", "look for the sample in its dataset")
        return self.starts[start] + row

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], int]:
        return {(file.folder, file.path.name): index for index, file in enumerate(self.files)}

    def rows_at(self, numbers: Sequence[int], columns: list[str]) -> dict[int, tuple[SampleFile, int, pa.Table]]:
        """Number -> file, row there, and a table of that one row; a row group is read once for all its rows."""
        together: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for number in dict.fromkeys(numbers):
            index, row = self.place(number)
            together.setdefault((index, bisect_right(self.files[index].ends, row)), []).append((number, row))
        found: dict[int, tuple[SampleFile, int, pa.Table]] = {}
        for (index, _), rows in together.items():
            file = self.files[index]
            begin, end = min(row for _, row in rows), max(row for _, row in rows) + 1
            table = file.read(columns, begin, end)
            found |= {number: (file, row, table.slice(row - begin, 1)) for number, row in rows}
        return found


@dataclass(frozen=True)
class MeasureColumn:
    """One measured column of a samples folder."""

    key: str
    """``blank_image-0123456789ab.grey_deviation``: folder of the measure and column."""
    title: str
    """``blank_image.grey_deviation``; with the digest where a filter measured twice."""
    unit: str
    is_text: bool
    """Whether it is asked for by name: text, or true and false."""


def measure_folders(home: Home, samples: str) -> list[Path]:
    """The finished measures of a samples folder that have a row for each sample."""
    root = home.stage("measures") / samples
    there = [folder for folder in sorted(root.iterdir()) if is_finished(folder)] if root.is_dir() else []
    source = home.stage("samples") / samples
    return [folder for folder in there if _is_beside(source, folder)]


@lru_cache(maxsize=4096)
def _is_beside(source: Path, measure: Path) -> bool:
    """Whether each file of a measure has the rows of the file of samples of its name."""
    names = [path.name for path in sorted(source.glob("part-*.parquet"))]
    return bool(names) and all(
        (measure / name).is_file() and sample_file(measure / name).rows == sample_file(source / name).rows
        for name in names
    )


def measure_columns(home: Home, samples: str) -> list[MeasureColumn]:
    """What is measured of these samples and can be asked for by range or by name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: list[MeasureColumn] = []
    folders = measure_folders(home, samples)
    names = [measure_name(folder) for folder in folders]
    for folder, filtered in zip(folders, names, strict=True):
        path = next(folder.glob("part-*.parquet"))
        with damage_refused(path):
            schema = pq.read_schema(path)
        units = _units(folder)
        title = filtered if names.count(filtered) == 1 else folder.name
        for name, kind in zip(schema.names, schema.types, strict=True):
            is_text = pa.types.is_string(kind) or pa.types.is_boolean(kind)
            if name != "id" and (is_text or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                found.append(MeasureColumn(f"{folder.name}.{name}", f"{title}.{name}", units.get(name, ""), is_text))
    return found


def measure_name(folder: Path) -> str:
    """The filter (or what else measured) in the name of a measure's folder."""
    return folder.name.rpartition("-")[0]


def _units(folder: Path) -> dict[str, str]:
    from registry.store import read_record

    units: Any = read_record(folder).settings.get("columns")
    return {name: str(unit) for name, unit in units.items()} if isinstance(units, dict) else {}
