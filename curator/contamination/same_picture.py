"""Whether two pictures whose perceptual hashes are near are one picture: a closer look, for the few pairs that need it.

64 bits tell photographs apart, and not tables, charts or pages of text: half of the pictures of one table look like
those of another. So the grey values of both are correlated at 64 x 64; a copy that was made smaller or compressed again
correlates at more than 0.96. One that lost its border is found by taking borders off the other one, too.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from registry.image_decoder import DAMAGED, FORMATS

if TYPE_CHECKING:
    from PIL.Image import Image

Greys = npt.NDArray[np.float64]

SIDE = 64
ALIKE = 0.96
"""Correlation from which on two pictures are one."""
_WORTH = 0.3
"""Correlation below which taking borders off is not tried."""
_BORDERS = tuple(percent / 100 for percent in (1, 2, 3, 4, 5, 6))
"""Shares of the width and height that are taken off each side."""


def same_picture(first: bytes, second: bytes) -> bool:
    """Whether two files hold the same picture, resized, compressed again or without its border."""
    if first == second:
        return True
    one, other = _opened(first), _opened(second)
    if one is None or other is None:
        return False
    whole = _greys(one), _greys(other)
    agreement = _correlation(*whole)
    if agreement >= ALIKE or agreement < _WORTH:
        return agreement >= ALIKE
    inner = ((_greys(one, border), _greys(other, border)) for border in _BORDERS)
    return any(max(_correlation(a, whole[1]), _correlation(whole[0], b)) >= ALIKE for a, b in inner)


def _opened(data: bytes) -> Image | None:
    """Grey values over white; None for what cannot be decoded."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.mode in ("RGBA", "LA", "PA", "P") or "transparency" in picture.info:
                layer = picture.convert("RGBA")
                page = PIL.Image.new("RGBA", layer.size, "white")
                page.alpha_composite(layer)
                return page.convert("L")
            return picture.convert("L")
    except DAMAGED:
        return None


def _greys(picture: Image, border: float = 0.0) -> Greys:
    import PIL.Image

    width, height = picture.size
    box = (width * border, height * border, width * (1 - border), height * (1 - border))
    small = picture.resize((SIDE, SIDE), PIL.Image.Resampling.BOX, box=box, reducing_gap=2.0)
    return np.asarray(small, dtype=np.float64)


def _correlation(first: Greys, second: Greys) -> float:
    """Pearson's; 0 where one of the two is flat."""
    a, b = first - first.mean(), second - second.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / spread if spread else 0.0
