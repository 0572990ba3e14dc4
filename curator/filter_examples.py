"""Samples that show what a bound drops and keeps, or how a measured column is spread.

Which samples are shown depends on their content and their values alone: ties, and what is drawn at random, are
decided by ``order_key``, never by the order of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curator.batch import Column
from curator.bounds import keeps
from curator.filtering import QUANTILES, Measures, Row, Wanted, short_number
from curator.measure import load_filter
from curator.rules import first_text
from curator.samples import Samples
from curator.shown import rows_at
from registry.damage import table_of
from registry.identity import order_key
from registry.recipe import Bounds

if TYPE_CHECKING:
    import pyarrow as pa

NEAREST = 4
"""Samples next to a bound that are shown, on each side."""
DRAWN = 4
"""Samples drawn at random that are shown after them."""
AT_EACH = 2
"""Samples shown at each quantile, or of each frequent name."""
NAMES = 5
"""Most frequent names whose samples are shown, where a column holds names and no numbers."""

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Example:
    """One sample, with what the filter measured on it."""

    says: str
    """Why it is shown: ``dropped, next to the bound``."""
    value: object
    fate: str
    """``dropped``, ``kept``, or ``spread`` where there is no bound."""
    row: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        messages = self.row["messages"]
        return {
            "id": self.row["id"],
            "source_id": self.row["source_id"],
            "value": self.value,
            "fate": self.fate,
            "says": self.says,
            "request": first_text(messages, "user"),
            "answer": first_text(messages, "assistant"),
        }


@dataclass(frozen=True)
class Section:
    """One measured column, or one bound on it, and its examples."""

    filter: str
    column: str
    bound: str | None
    """The bound in words; None without one."""
    counts: dict[str, int]
    examples: list[Example]

    @property
    def title(self) -> str:
        """``text_length.words at least 3``."""
        return f"{self.filter}.{self.column}" + (f" {self.bound}" if self.bound else "")


@dataclass(frozen=True)
class _Pick:
    """The position of a sample among all of its folder, and why it is shown."""

    position: int
    says: str
    fate: str


def sections(samples: Samples, measures: Measures, wanted: Wanted) -> list[Section]:
    """Examples for every bound; without bounds, for every measured column."""
    keys = _keys(samples)
    chosen: list[tuple[Section, list[_Pick], pa.ChunkedArray]] = []
    for name in wanted or measures:
        columns: dict[str, Column] = load_filter(name).COLUMNS
        bounds = wanted.get(name, {})
        table = measures[name](["id", *(bounds or columns)])
        for column in bounds or columns:
            values, bound = table.column(column), bounds.get(column)
            kept = np.asarray(keeps(table, column, bound)) if bound else None
            picks = list(_spread(values, keys) if bound is None or kept is None else _around(values, kept, bound, keys))
            words = bound_in_words(bound) if bound else None
            chosen.append((Section(name, column, words, _counts(values, kept), []), picks, values))
    rows = _rows(samples, [pick.position for _, picks, _ in chosen for pick in picks])
    for section, picks, values in chosen:
        section.examples.extend(
            Example(p.says, short_number(values[p.position].as_py()), p.fate, rows[p.position]) for p in picks
        )
    return [section for section, _, _ in chosen]


def with_examples(rows: list[Row], shown: list[Section]) -> list[Row]:
    """The rows of a summary; those with a bound hold its examples."""
    examples = {(one.filter, one.column): [example.plain() for example in one.examples] for one in shown}
    return [
        row | {"examples": examples[key]} if (key := (str(row["filter"]), str(row["column"]))) in examples else row
        for row in rows
    ]


def bound_in_words(bounds: Bounds) -> str:
    """``at least 3``, ``3 to 7``, ``is 'en'``, ``among the lowest 20%``; joined where several hold."""
    words = [f"is '{bounds.equals}'"] if bounds.equals is not None else []
    if bounds.min is not None and bounds.max is not None:
        words.append(f"{bounds.min:g} to {bounds.max:g}")
    elif bounds.min is not None:
        words.append(f"at least {bounds.min:g}")
    elif bounds.max is not None:
        words.append(f"at most {bounds.max:g}")
    shares = [(name, share) for name, share in (("lowest", bounds.lowest), ("highest", bounds.highest)) if share]
    return " and ".join([*words, *(f"among the {name} {100 * share:g}%" for name, share in shares)])


def _keys(samples: Samples) -> npt.NDArray[np.uint64]:
    """A fixed number for each sample that looks drawn; it stands for its place in every draw."""
    tables = [table_of(path, ["id", "source_id"]) for path in samples.files()]
    pairs = ((row["id"], row["source_id"]) for table in tables for row in table.to_pylist())
    return np.fromiter((order_key("filter", *pair) for pair in pairs), np.uint64)


def _counts(values: pa.ChunkedArray, kept: Mask | None) -> dict[str, int]:
    """Samples dropped, kept, and to which the measure does not apply (they are kept too)."""
    measured = {"samples": len(values), "not measured": values.null_count}
    if kept is None:
        return measured
    return measured | {"dropped": int((~kept).sum()), "kept": int(kept.sum())}


def _around(values: pa.ChunkedArray, kept: Mask, bounds: Bounds, keys: npt.NDArray[np.uint64]) -> Iterator[_Pick]:
    """What a bound drops, then what it keeps: those next to it first, then some drawn."""
    measured = ~np.asarray(values.is_null())
    distance = _distance(values, kept & measured, bounds)
    for fate, there in (("dropped", ~kept), ("kept", kept & measured)):
        found = np.flatnonzero(there)
        near: Positions = np.empty(0, np.int64)
        if distance is not None:
            near = found[np.lexsort((keys[found], distance[found]))[:NEAREST]]
            yield from (_Pick(int(position), f"{fate}, next to the bound", fate) for position in near)
        rest = np.setdiff1d(found, near)
        drawn = rest[np.argsort(keys[rest], kind="stable")[:DRAWN]]
        yield from (_Pick(int(position), f"{fate}, drawn at random", fate) for position in drawn)


def _distance(values: pa.ChunkedArray, kept: Mask, bounds: Bounds) -> npt.NDArray[np.float64] | None:
    """How far each value is from the nearest end of the bounds; None for a name, which is near to nothing."""
    if (bounds.min, bounds.max, bounds.lowest, bounds.highest) == (None, None, None, None):
        return None
    numbers = _numbers(values)
    ends = [end for end in (bounds.min, bounds.max) if end is not None]
    if kept.any():  # a share ends where the last value lies that it keeps
        ends += [float(numbers[kept].max())] if bounds.lowest is not None else []
        ends += [float(numbers[kept].min())] if bounds.highest is not None else []
    found: npt.NDArray[np.float64] = np.min([np.abs(numbers - end) for end in ends or [0.0]], axis=0)
    return found


def _spread(values: pa.ChunkedArray, keys: npt.NDArray[np.uint64]) -> Iterator[_Pick]:
    """Samples at the least, the quantiles and the largest value, or of the most frequent names; each shown once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    held = _numbers(values) if numeric else np.asarray(values.cast(pa.string()).to_pylist(), object)
    if numeric:
        steps = {"least": 0.0, **QUANTILES, "largest": 1.0}
        found = pc.quantile(values, list(steps.values()), interpolation="lower").to_pylist()
        at = {name: value for name, value in zip(steps, found, strict=True) if value is not None}
    else:
        counted = pc.value_counts(values.drop_null()).to_pylist()
        frequent = sorted(counted, key=lambda one: (-one["counts"], str(one["values"])))[:NAMES]
        at = {f"{one['counts']:,} samples": str(one["values"]) for one in frequent}
    shown: list[int] = []
    for says, value in at.items():
        there = np.setdiff1d(np.flatnonzero(held == value), shown)
        picked = there[np.argsort(keys[there], kind="stable")[:AT_EACH]].tolist()
        shown += picked
        yield from (_Pick(position, says, "spread") for position in picked)


def _numbers(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """The values as numbers; NaN where nothing was measured."""
    import pyarrow as pa

    return np.asarray(values.cast(pa.float64()).fill_null(np.nan))


def _rows(samples: Samples, positions: list[int]) -> dict[int, dict[str, Any]]:
    """Position -> row of the sample."""
    wanted = sorted(set(positions))
    return dict(zip(wanted, rows_at(samples, wanted), strict=True))
