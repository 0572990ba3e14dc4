"""What bounds keep of a measured column: absolute limits, and shares of the samples that have a value.

A share keeps an exact number of samples that depends on their values and ids alone: where the last place falls among
equal values, ``order_key`` of the ids decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from registry.identity import order_key
from registry.recipe import Bounds

if TYPE_CHECKING:
    import pyarrow as pa

Flags = npt.NDArray[np.bool_]


def keeps(table: pa.Table, column: str, bounds: Bounds) -> pa.ChunkedArray:
    """True where a value is within the bounds, or null: what does not apply excludes nothing.

    Args:
        table: ``id`` and the measured column, over all samples of which a share is taken.
        column: its name.
        bounds: what its values must satisfy.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = table.column(column)
    kept = pc.is_null(values)
    inside = pa.chunked_array([pa.array(np.ones(len(values), np.bool_))])
    # A share of exactly 0.2 is within a bound of 0.2, though as a float32 it is a little more than the number.
    number = values.type if pa.types.is_floating(values.type) else pa.float64()
    if bounds.min is not None:
        inside = pc.and_(inside, pc.greater_equal(values, pa.scalar(bounds.min, number)))
    if bounds.max is not None:
        inside = pc.and_(inside, pc.less_equal(values, pa.scalar(bounds.max, number)))
    if bounds.equals is not None:
        inside = pc.and_(inside, pc.equal(values.cast(pa.string()), bounds.equals))
    if bounds.lowest is not None:
        inside = pc.and_(inside, pa.array(_share(table, column, bounds.lowest, 1)))
    if bounds.highest is not None:
        inside = pc.and_(inside, pa.array(_share(table, column, bounds.highest, -1)))
    return pc.or_kleene(kept, inside)


def _share(table: pa.Table, column: str, share: float, sign: int) -> Flags:
    """True for the share of the valued rows whose ``sign`` times value is lowest."""
    import pyarrow.compute as pc

    values = table.column(column)
    chosen = np.zeros(len(values), np.bool_)
    valued = np.flatnonzero(np.asarray(pc.is_valid(values)))
    count = int(share * len(valued) + 0.5)
    if count == 0:
        return chosen
    found: npt.NDArray[Any] = sign * np.asarray(values.drop_null().cast("float64"))
    last = np.partition(found, count - 1)[count - 1]
    below, tied = valued[found < last], valued[found == last]
    chosen[below] = True
    chosen[_first(table, tied, count - len(below))] = True
    return chosen


def _first(table: pa.Table, rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """``count`` of these rows: those whose ids come first in the one order that nothing else decides."""
    if count == len(rows):
        return rows
    ids = table.column("id").take(rows).to_pylist()
    keys = np.fromiter((order_key("share", name) for name in ids), np.uint64, len(rows))
    return rows[np.argsort(keys, kind="stable")[:count]]
