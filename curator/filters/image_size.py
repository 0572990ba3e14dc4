"""Sizes of a sample's pictures, from the sizes stored with it: nothing is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, least, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
READS = ("images",)
COLUMNS = {
    "short_side_px": Column("pixels", "shorter side of the smallest picture"),
    "aspect": Column("ratio", "longer by shorter side, of the longest picture", "float32"),
    "pixels": Column("pixels", "width times height of the smallest picture"),
}


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null without a picture."""
    sample, width, height = batch.picture_sizes()
    short, long = np.minimum(width, height), np.maximum(width, height)
    aspect = -least(sample, -(long / np.maximum(short, 1)), len(batch))
    return {
        "short_side_px": with_nulls(least(sample, short, len(batch)), "int32"),
        "aspect": with_nulls(aspect, "float32"),
        "pixels": with_nulls(least(sample, width * height, len(batch)), "int32"),
    }
