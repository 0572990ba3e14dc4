"""Pictures that show nothing: how much the grey values of a sample's plainest picture vary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, least, with_nulls
from registry.image_decoder import eight_bits, on_white

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

VERSION = 2
NEEDS_PICTURES = True
READS = ("images",)
COLUMNS = {
    "grey_deviation": Column("grey levels 0..127.5", "standard deviation of the plainest picture", "float32"),
}
_LOOKED_AT = 256
"""Longer side in pixels of what is looked at: a JPEG is decoded no larger than needed."""


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null without a picture."""
    sample, deviation = batch.each_picture(_grey_deviation)
    return {"grey_deviation": with_nulls(least(sample, deviation, len(batch)), "float32")}


def _grey_deviation(picture: Image) -> float:
    """Standard deviation of the picture on a white page (0 = one flat tone)."""
    import PIL.Image

    picture.draft("L", (_LOOKED_AT, _LOOKED_AT))
    picture.thumbnail((_LOOKED_AT, _LOOKED_AT), PIL.Image.Resampling.BOX)
    return float(np.asarray(eight_bits(on_white(picture)).convert("L"), dtype=np.float64).std())
