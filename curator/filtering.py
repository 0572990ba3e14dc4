"""What ``curator filter`` shows: how the measures of a dataset are spread, and what bounds would drop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.batch import Column
from curator.bounds import keeps
from curator.measure import (
    Advance,
    checked_columns,
    checked_library,
    checked_model,
    filter_names,
    load_filter,
    measure,
    measure_digest,
    measure_folder,
    measured_in_memory,
    ready_filters,
    resolve_model,
    wanted_model,
)
from curator.models import described
from curator.runner import HERE, Place
from curator.samples import Samples
from registry.errors import Refusal
from registry.recipe import Bounds
from registry.store import Home, is_finished

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, object]
Wanted = dict[str, dict[str, Bounds]]
"""Filter -> column -> bounds."""

Read = Callable[[list[str]], "pa.Table"]
Measures = Mapping[str, Read]
"""Filter -> what gives its columns (and ``id``) over all samples, in their order."""

_FOR_EXAMPLE = "for example image_size.aspect=:2.5 or answer_loss.answer_loss=lowest:0.2"
SHARES = ("lowest", "highest")
QUANTILES = {"p05": 0.05, "median": 0.5, "p95": 0.95}


def parse_bounds(texts: Iterable[str]) -> Wanted:
    """``image_size.aspect=:2.5`` and the like.

    Raises:
        Refusal: a text is of another form, a filter or column is unknown or bounded twice, or nothing could stay.
    """
    from pydantic import ValidationError

    wanted: Wanted = {}
    for text in texts:
        left, _, right = text.partition("=")
        name, _, column = left.partition(".")
        try:
            bounds = _bounds(right)
        except ValidationError as error:
            what = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise Refusal(f"--bound {text}", f"is not FILTER.COLUMN=MIN:MAX ({what})", _FOR_EXAMPLE) from None
        except ValueError:
            raise Refusal(f"--bound {text}", "is not FILTER.COLUMN=MIN:MAX", _FOR_EXAMPLE) from None
        checked_columns(name, {column: bounds})
        if column in wanted.get(name, {}):
            raise Refusal(f"--bound {text}", f"{name}.{column} is bounded twice", "give one MIN:MAX")
        wanted.setdefault(name, {})[column] = bounds
    return wanted


def _bounds(text: str) -> Bounds:
    """``MIN:MAX``, ``lowest:SHARE``, ``highest:SHARE``, or what a value must equal."""
    low, colon, high = text.partition(":")
    if not colon:
        return Bounds(equals=text)
    if low in SHARES:
        return Bounds.model_validate({low: _number(high)})
    return Bounds(min=_number(low), max=_number(high))


def parse_models(texts: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Filter -> model, from ``FILTER=MODEL``, or ``MODEL`` alone for the filters of ``names`` that need one."""
    models: dict[str, str] = {}
    for text in texts:
        name, mark, model = text.partition("=")
        if mark and name in filter_names():
            models[name] = model
            continue
        needy = [name for name in names if wanted_model(name)]
        if not needy:
            raise Refusal(f"--model {text}", "is for no filter that runs", "say which: --model similarity=MODEL")
        models |= dict.fromkeys(needy, text)
    return models


def filter_rows() -> list[Row]:
    """One row a column that a filter measures, with the model that has to be passed for it."""
    return [
        {
            "filter": name,
            "column": column,
            "unit": about.unit,
            "meaning": about.meaning,
            "needs": wanted_model(name),
        }
        for name in filter_names()
        for column, about in load_filter(name).COLUMNS.items()
    ]


def chosen_filters(names: Iterable[str], models: Mapping[str, str]) -> list[str]:
    """The named filters, or all that can measure here, and those that a model is given for.

    Raises:
        Refusal: a filter is unknown, its library is not installed, or its model is missing or not wanted.
    """
    chosen = list(dict.fromkeys([*(names or ready_filters()), *models]))
    for name in chosen:
        checked_library(name)
        checked_model(name, name in models)
    return chosen


def plan_rows(home: Home, samples: Samples, names: Iterable[str], models: Mapping[str, str]) -> list[Row]:
    """What measuring would do: one row a filter."""
    rows: list[Row] = []
    for name in names:
        row: Row = {"filter": name, "samples": samples.record.rows_out, "model": None, "folder": None}
        here = True
        if name in models:
            found, row["model"] = described(home, models[name])
            here = found is not None
        if here:
            model = resolve_model(home, name, models.get(name), fetch=False)
            folder = measure_folder(home, samples, name, measure_digest(samples, name, model))
            row["folder"] = str(folder)
            row["samples"] = 0 if is_finished(folder) else samples.record.rows_out
        rows.append(row)
    return rows


def measure_all(
    home: Home,
    samples: Samples,
    names: Iterable[str],
    models: Mapping[str, str] | None = None,
    place: Place = HERE,
    advance: Advance | None = None,
) -> Measures:
    """Measure, or find what is measured."""
    resolved = [(name, resolve_model(home, name, (models or {}).get(name))) for name in names]
    return {name: measure(home, samples, name, advance, place, model).columns for name, model in resolved}


def look(
    home: Home,
    samples: Samples,
    names: Iterable[str],
    models: Mapping[str, str] | None = None,
    advance: Advance | None = None,
) -> Measures:
    """As ``measure_all``, without writing anything: what is not measured is measured in memory, unless by a model."""
    found: dict[str, Read] = {}
    for name in names:
        model = resolve_model(home, name, (models or {}).get(name), fetch=False)
        if is_finished(measure_folder(home, samples, name, measure_digest(samples, name, model))):
            found[name] = measure(home, samples, name, model=model).columns
        else:
            checked_model(name, given=False)
            found[name] = measured_in_memory(home, samples, name, advance).select
    return found


def summary_rows(measures: Measures, wanted: Wanted) -> list[Row]:
    """One row a measured column, with what its bounds would drop alone."""
    return [row for name, read in measures.items() for row in _summary(name, read, wanted.get(name, {}))]


def _summary(name: str, read: Read, bounds: dict[str, Bounds]) -> list[Row]:
    columns: dict[str, Column] = load_filter(name).COLUMNS
    table = read(["id", *columns])
    rows: list[Row] = []
    for column, about in columns.items():
        values = table.column(column)
        row: Row = {"filter": name, "column": column, "unit": about.unit, "measured": len(values) - values.null_count}
        rows.append(row | _spread(values) | {"dropped": _dropped(table, column, bounds.get(column))})
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


def _dropped(table: pa.Table, column: str, bounds: Bounds | None) -> int | None:
    """Samples that these bounds alone would drop; None without bounds."""
    if bounds is None:
        return None
    return int(table.num_rows - np.asarray(keeps(table, column, bounds)).sum())


def _number(text: str) -> float | None:
    return float(text) if text.strip() else None
