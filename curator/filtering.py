"""What ``curator filter`` shows: how the measures of a dataset are spread, and what bounds would drop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from curator.batch import Column
from curator.measure import (
    Advance,
    checked_columns,
    checked_library,
    filter_names,
    keeps,
    load_filter,
    measure,
    measure_digest,
    measure_folder,
)
from curator.samples import Samples
from registry.errors import Refusal
from registry.recipe import Bounds
from registry.store import Home, is_finished

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, object]
Wanted = dict[str, dict[str, Bounds]]
"""Filter -> column -> bounds."""

QUANTILES = {"p05": 0.05, "median": 0.5, "p95": 0.95}


def parse_bounds(texts: Iterable[str]) -> Wanted:
    """``image_size.aspect=:2.5`` and the like; raises Refusal for a text of another form or an unknown column."""
    wanted: Wanted = {}
    for text in texts:
        left, _, right = text.partition("=")
        name, _, column = left.partition(".")
        low, colon, high = right.partition(":")
        try:
            bounds = Bounds(min=_number(low), max=_number(high)) if colon else Bounds(equals=right)
        except ValueError:
            way_out = "for example image_size.aspect=:2.5"
            raise Refusal(f"--bound {text}", "is not FILTER.COLUMN=MIN:MAX", way_out) from None
        checked_columns(name, {column: bounds})
        wanted.setdefault(name, {})[column] = bounds
    return wanted


def filter_rows() -> list[Row]:
    """One row a column that a filter measures."""
    return [
        {"filter": name, "column": column, "unit": about.unit, "meaning": about.meaning}
        for name in filter_names()
        for column, about in load_filter(name).COLUMNS.items()
    ]


def plan_rows(home: Home, samples: Samples, names: list[str]) -> list[Row]:
    """What measuring would do: one row a filter."""
    rows: list[Row] = []
    for name in names:
        folder = measure_folder(home, samples, name, measure_digest(samples, name))
        done = is_finished(folder)
        rows.append({"filter": name, "samples": 0 if done else samples.record.rows_out, "folder": str(folder)})
    return rows


def measure_rows(
    home: Home, samples: Samples, names: list[str], wanted: Wanted, advance: Advance | None = None
) -> list[Row]:
    """Measure (or find) and summarise: one row a column, with what its bounds would drop alone."""
    for name in names:
        checked_library(name)
    return [
        row
        for name in names
        for row in _summary(name, measure(home, samples, name, advance).columns, wanted.get(name, {}))
    ]


def _summary(name: str, read: Any, bounds: dict[str, Bounds]) -> list[Row]:
    columns: dict[str, Column] = load_filter(name).COLUMNS
    table: pa.Table = read(list(columns))
    rows: list[Row] = []
    for column, about in columns.items():
        values = table.column(column)
        row: Row = {"filter": name, "column": column, "unit": about.unit, "measured": len(values) - values.null_count}
        rows.append(row | _spread(values) | {"dropped": _dropped(values, bounds.get(column))})
    return rows


def _spread(values: pa.ChunkedArray) -> Row:
    """Least, quantiles and largest; None where nothing was measured. Of names, the most frequent as the median."""
    import pyarrow as pa
    import pyarrow.compute as pc

    steps = {"min": 0.0, **QUANTILES, "max": 1.0}
    if pa.types.is_string(values.type):
        named = pc.value_counts(values.drop_null()).to_pylist()
        most = min(named, key=lambda one: (-one["counts"], one["values"]), default={"values": None})
        return {**dict.fromkeys(steps), "median": most["values"]}
    found = pc.quantile(values, list(steps.values()), interpolation="lower").to_pylist()
    return {name: short_number(value) for name, value in zip(steps, found, strict=True)}


def short_number(value: Any) -> object:
    """A value as tables show it."""
    return round(value, 4) if isinstance(value, float) else value


def _dropped(values: pa.ChunkedArray, bounds: Bounds | None) -> int | None:
    """Samples that these bounds alone would drop; None without bounds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if bounds is None:
        return None
    return len(values) - int(pc.sum(keeps(values, bounds).cast(pa.int64())).as_py() or 0)


def _number(text: str) -> float | None:
    return float(text) if text.strip() else None
