"""Whether two pictures whose perceptual hashes are near are one picture: a closer look, for the few pairs that need it.

64 bits tell photographs apart, and not tables, charts or pages of text: half of the pictures of one table look like
those of another. So the grey values of both are correlated at 48 x 48, and their colours compared at 8 x 8. Of copies
of TabMWP's tables (halved, enlarged, compressed hard, cut) 98 % pass, of other tables with a near hash 2 %. The filter
that makes them small matters: with a box in place of Lanczos's, 10 % of the others pass at the same recall. A copy that
lost its border is found by taking borders off the other one.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from registry.image_decoder import DAMAGED, FORMATS, on_white

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = npt.NDArray[np.float32]

SIDE, COLOURS = 48, 8
ALIKE = 0.985
"""Correlation of the grey values from which on two pictures are one."""
TINT = 12.0
"""Mean difference of the colours (levels of 255) up to which they are."""
_BORDERS = tuple(percent / 100 for percent in range(7))
"""Shares of the width and height that are taken off each side: none first."""
_LARGEST = 512
"""Longer side in pixels of what is looked at."""


class Views(NamedTuple):
    """A picture without so much of its border each."""

    greys: Floats
    """``[borders, 48 * 48]``, each of mean 0 and length 1 (or all 0, where it is flat): products are correlations."""
    colours: Floats
    """``[borders, 8 * 8 * 3]`` levels."""


def look_closely(data: bytes) -> Views | None:
    """The views of a picture file; None for what cannot be decoded."""
    picture = _opened(data)
    if picture is None:
        return None
    grey = picture.convert("L")
    greys = np.stack([_view(grey, SIDE, border) for border in _BORDERS])
    greys -= greys.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(greys, axis=1, keepdims=True)
    colours = np.stack([_view(picture, COLOURS, border) for border in _BORDERS])
    return Views((greys / np.where(lengths == 0, 1, lengths)).astype(np.float32), colours)


def same_picture(one: Views, other: Views) -> bool:
    """Whether two pictures are one: resized, compressed again, or one of them without its border."""
    return _without_border(one, other) or _without_border(other, one)


def _without_border(whole: Views, cut: Views) -> bool:
    """Whether the whole of one picture is the other one without some border."""
    alike = cut.greys @ whole.greys[0] >= ALIKE
    return bool((alike & (np.abs(cut.colours - whole.colours[0]).mean(axis=1) <= TINT)).any())


def _opened(data: bytes) -> Image | None:
    """The colours over white, not larger than needed; None for what cannot be decoded."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            picture.draft("RGB", (_LARGEST, _LARGEST))
            opened = on_white(picture).convert("RGB")
    except DAMAGED:
        return None
    opened.thumbnail((_LARGEST, _LARGEST), PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
    return opened


def _view(picture: Image, side: int, border: float) -> Floats:
    """A picture without its border, made small and flat."""
    import PIL.Image

    width, height = picture.size
    box = (width * border, height * border, width * (1 - border), height * (1 - border))
    small = picture.resize((side, side), PIL.Image.Resampling.LANCZOS, box=box)
    return np.asarray(small, dtype=np.float32).reshape(-1)
