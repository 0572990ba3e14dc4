"""Whether two pictures whose perceptual hashes are near are one picture: a closer look, for the few pairs that need it.

64 bits tell photographs apart, and not tables, charts or pages of text: half of the pictures of one table look like
those of another. So the grey values of both are correlated at 48 x 48, and their colours compared at 8 x 8. Of copies
of TabMWP's tables (halved, enlarged, compressed hard, cut) 98 % pass, of other tables with a near hash 2 %. The filter
that makes them small matters: with a box in place of Lanczos's, 10 % of the others pass at the same recall. A copy that
lost its border is found by taking borders off the other one.
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

SIDE, COLOURS = 48, 8
ALIKE = 0.985
"""Correlation of the grey values from which on two pictures are one."""
TINT = 12.0
"""Mean difference of the colours (levels of 255) up to which they are."""
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
    agreement = _correlation(_greys(one), _greys(other))
    if agreement < _WORTH:
        return False
    cuts = [(0.0, 0.0), *((0.0, border) for border in _BORDERS), *((border, 0.0) for border in _BORDERS)]
    return any(
        _correlation(_greys(one, mine), _greys(other, theirs)) >= ALIKE and _tint(one, mine, other, theirs) <= TINT
        for mine, theirs in cuts
    )


def _opened(data: bytes) -> Image | None:
    """The colours over white; None for what cannot be decoded."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.mode in ("RGBA", "LA", "PA", "P") or "transparency" in picture.info:
                layer = picture.convert("RGBA")
                page = PIL.Image.new("RGBA", layer.size, "white")
                page.alpha_composite(layer)
                return page.convert("RGB")
            return picture.convert("RGB")
    except DAMAGED:
        return None


def _view(picture: Image, side: int, border: float) -> Greys:
    """A picture without its border, made small."""
    import PIL.Image

    width, height = picture.size
    box = (width * border, height * border, width * (1 - border), height * (1 - border))
    view: Greys = np.asarray(picture.resize((side, side), PIL.Image.Resampling.LANCZOS, box=box), dtype=np.float64)
    return view


def _greys(picture: Image, border: float = 0.0) -> Greys:
    return _view(picture.convert("L"), SIDE, border)


def _tint(one: Image, border: float, other: Image, other_border: float) -> float:
    """Mean difference of the colours."""
    return float(np.abs(_view(one, COLOURS, border) - _view(other, COLOURS, other_border)).mean())


def _correlation(first: Greys, second: Greys) -> float:
    """Pearson's; 0 where one of the two is flat."""
    a, b = first - first.mean(), second - second.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / spread if spread else 0.0
