"""Pictures for the pages: decoded, bounded, made small and written anew, so nothing of a file but pixels goes out.

A picture of 50 megapixels takes as many bytes a channel while it is decoded: such ones are decoded one at a time, and
reduced before anything else is done with them.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING

from registry.errors import Refusal
from registry.image_decoder import DAMAGED, FORMATS, MAX_PIXELS, eight_bits, on_white
from registry.images import ImageStore
from registry.store import Home

if TYPE_CHECKING:
    from PIL.Image import Image as Raster

SIDES = (320, 1600)
"""Longest sides, in px, that pictures are made for: beside a text, and alone."""
CRISP = 128
"""Longest side up to which a picture is enlarged without smoothing."""
LARGE_PIXELS = 4_000_000
"""Pictures beyond this are decoded one at a time."""
KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of made pictures that are kept."""

Made = tuple[bytes, str]
"""A written picture and its media type."""


class Pictures:
    """The pictures of one data home, made for pages. Any thread may ask."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._store: ImageStore | None = None
        self._opening, self._large, self._keeping = threading.Lock(), threading.Lock(), threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Made] = OrderedDict()
        self._bytes = 0

    def made(self, sha256: str, side: int) -> Made:
        """The picture with at most ``side`` px on its longest side; raises Refusal when it is not there or damaged."""
        key = (sha256, side)
        with self._keeping:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._make(sha256, side)
        with self._keeping:
            self._kept[key] = made
            self._bytes += len(made[0])
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1][0])
        return made

    def _make(self, sha256: str, side: int) -> Made:
        store = self._opened(sha256)
        found = store.find(sha256)
        data = store.read(sha256)
        if found is not None and found.width * found.height > LARGE_PIXELS:
            with self._large:
                return made_small(data, side)
        return made_small(data, side)

    def _opened(self, sha256: str) -> ImageStore:
        """The store; its indexes are read when a picture is first asked for, and again for one that came since."""
        with self._opening:
            if self._store is None:
                self._store = ImageStore(self._home)
            elif sha256 not in self._store:
                self._store.refresh()
            return self._store


def made_small(data: bytes, side: int) -> Made:
    """A picture file as a small PNG or JPEG; raises Refusal for what cannot be decoded, or is too large to be."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise Refusal("picture", "has too many pixels", "look at it outside")
                opened.draft("RGB", (2 * side, 2 * side))  # of a JPEG, only what is needed is decoded
                picture = on_white(eight_bits(_reduced(opened, side))).convert("RGB")
                picture.thumbnail((side, side))
    except Image.DecompressionBombError:
        raise Refusal("picture", "has too many pixels", "look at it outside") from None
    except DAMAGED:
        raise Refusal("picture", "cannot be decoded", "pull its dataset again") from None
    picture.info.clear()
    buffer = io.BytesIO()
    if max(picture.size) <= CRISP:
        picture.save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), "image/jpeg"


def _reduced(picture: Raster, side: int) -> Raster:
    """A large picture at a whole fraction of its size: all that follows is done with few pixels."""
    times = max(picture.size) // (2 * side)
    if times < 2 or picture.mode not in ("RGB", "L", "RGBA", "CMYK", "YCbCr"):
        return picture
    return picture.reduce(times)
