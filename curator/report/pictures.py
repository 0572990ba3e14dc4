"""Sample pictures for the page: decoded, made small, written anew and embedded as ``data:`` addresses.

Nothing of the published file reaches the page but its pixels: metadata, trailing bytes and exotic
formats end here.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.image_decoder import FORMATS, BadImage, eight_bits, on_white
from registry.images import inspect

if TYPE_CHECKING:
    from PIL.Image import Image as Raster

PIXELATED_BELOW = 128
"""Longest side, in px, up to which a picture is kept as it is and enlarged without smoothing."""
LONGEST_SIDE = 320
"""Longest side, in px, of the embedded copy of a larger picture."""


@dataclass(frozen=True)
class Picture:
    """One embedded picture: its address, the published size in pixels, and whether to enlarge it crisply."""

    address: str
    width: int
    height: int
    pixelated: bool

    @property
    def description(self) -> str:
        """Text for those who do not see it."""
        return f"picture of the sample, {self.width} by {self.height} pixels"


def embed(data: bytes) -> Picture | None:
    """The picture in these file bytes as a ``data:`` address; None when they are no usable picture."""
    from PIL import Image

    try:
        width, height, _ = inspect(data)
    except BadImage:
        return None
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        image = on_white(eight_bits(opened)).convert("RGB")
    small = max(width, height) <= PIXELATED_BELOW
    encoded, kind = (_png(image), "png") if small else (_jpeg(image), "jpeg")
    return Picture(f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}", width, height, small)


def _png(image: Raster) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _jpeg(image: Raster) -> bytes:
    smaller = image.copy()
    smaller.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    smaller.info.clear()
    buffer = io.BytesIO()
    smaller.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()
