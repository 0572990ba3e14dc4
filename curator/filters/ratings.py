"""Ratings that a dataset ships with its rows, as FineVision does: what its publisher's judge thought of a sample.

They are no measures of ours: ``curator pull`` takes them over, and they are read here so that a recipe can bound them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, with_nulls
from registry.sample import RATINGS

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
READS = ("ratings",)
COLUMNS = {name: Column("rating", meaning, "float32") for name, meaning in RATINGS.items()}


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null where it was not rated."""
    sample, names, given = batch.ratings()
    measured: dict[str, pa.Array] = {}
    for name in COLUMNS:
        there, values = names == name, np.full(len(batch), np.nan)
        values[sample[there]] = given[there]
        measured[name] = with_nulls(values, "float32")
    return measured
