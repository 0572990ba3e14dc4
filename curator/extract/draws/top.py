"""The rows with the largest values of a column, such as similarity or aesthetic: better rows instead of more rows.

Values count as 32-bit floats; rows of equal value are ordered by their keys. A row without a value is never drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.extract.order import LAST, Draw, Numbers, Preparing
from registry.errors import Refusal, did_you_mean

if TYPE_CHECKING:
    import polars as pl

    from curator.extract.scan import Look

VERSION = 1


def check(draw: Draw, columns: Mapping[str, Any]) -> None:
    """Refuse a column that is not there or holds no numbers."""
    numbers = [name for name, kind in columns.items() if kind.is_numeric()]
    if draw.by not in numbers:
        what = f"there is no column of numbers '{draw.by}' in these files{did_you_mean(draw.by or '', numbers)}"
        raise Refusal("--by", what, f"choose one of: {', '.join(numbers)}")


def prepare(asked: Preparing, look: Look) -> None:
    """A row's place is known from the row."""


def places(draw: Draw, frame: pl.DataFrame, keys: Numbers, looked_up: Path | None) -> Numbers:  # noqa: ARG001  one signature for all
    """High bits: the value, the largest first. Low bits: the high bits of the key."""
    import polars as pl

    assert draw.by is not None
    values = frame[draw.by].cast(pl.Float32).fill_nan(None)
    none = values.is_null().to_numpy()
    bits = (values.fill_null(0.0).to_numpy() + np.float32(0)).view(np.uint32)  # -0 and 0 are one value
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    found = (~rising).astype(np.uint64) << np.uint64(32) | keys >> np.uint64(32)
    return np.where(none, np.uint64(LAST), found)
