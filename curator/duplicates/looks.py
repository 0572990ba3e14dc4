"""How a picture looks, in 64 bits: the perceptual hash of ImageHash (``phash``), in integers alone.

A picture becomes 32 x 32 grey values and these become 8 x 8 cosine coefficients; a bit says whether a coefficient lies
above their median. JPEGs are decoded at a fraction of their size, which is most of the speed and flips a bit in a few
pictures. A picture that is flat (one tone, or nearly) has no look: the signs of its coefficients are noise.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import types

from registry.compiled import BYTES, OUT_BYTES, OUT_INT64S, OUT_UINT64S, Number, compiled
from registry.image_decoder import DAMAGED, FORMATS, on_white

if TYPE_CHECKING:
    from PIL.Image import Image

Hashes = npt.NDArray[np.uint64]

INSETS = (0.0, 0.02, 0.04)
"""Shares of the width and height that are taken off each side: a copy that lost up to 5 % of them looks like one."""
SIDE = 32
_LOW = 8
_SCALE = 1 << 14
_COSINES = np.array(
    [[round(math.cos(math.pi * k * (2 * i + 1) / (2 * SIDE)) * _SCALE) for i in range(SIDE)] for k in range(_LOW)],
    np.int64,
)
_DECODED = 56
"""Least shorter side in pixels to which a JPEG is scaled while it is decoded: an eighth of 480 is still more."""
FLAT = 2.0
"""Standard deviation of the 32 x 32 grey values up to which a picture is flat."""


def greys(picture: Image, insets: Sequence[float]) -> npt.NDArray[np.uint8]:
    """The 32 x 32 grey values of a picture without so much of its border each, transparency over white."""
    import PIL.Image

    drafted = picture.draft("L", (_DECODED, _DECODED))
    # the last row and column of a scaled JPEG may lie half outside of it
    left, top, right, bottom = drafted[1] if drafted else (0, 0, *picture.size)
    grey = on_white(picture).convert("L")
    found = []
    for inset in insets:
        x, y = (right - left) * inset, (bottom - top) * inset
        box = (left + x, top + y, right - x, bottom - y)
        found.append(np.asarray(grey.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS, box)))
    return np.stack(found)


@compiled(types.void, BYTES, OUT_INT64S)
def _transform(pixels: npt.NDArray[np.uint8], found: npt.NDArray[np.int64]) -> None:
    """Write the lowest cosine coefficients of one picture."""
    rows = np.zeros((_LOW, SIDE), np.int64)
    for k in range(_LOW):
        for y in range(SIDE):
            for x in range(SIDE):
                rows[k, x] += _COSINES[k, y] * np.int64(pixels[y * SIDE + x])
    for k in range(_LOW):
        for m in range(_LOW):
            value = 0
            for x in range(SIDE):
                value += rows[k, x] * _COSINES[m, x]
            found[k * _LOW + m] = value


@compiled(types.boolean, BYTES)
def _is_flat(pixels: npt.NDArray[np.uint8]) -> bool:
    total, squares, n = 0, 0, SIDE * SIDE
    for i in range(n):
        value: Number = np.int64(pixels[i])
        total += value
        squares += value * value
    return n * squares - total * total <= FLAT * FLAT * n * n


@compiled(types.void, BYTES, OUT_UINT64S, OUT_BYTES)
def _hash(greys: npt.NDArray[np.uint8], hashes: npt.NDArray[np.uint64], flat: npt.NDArray[np.uint8]) -> None:
    found = np.empty(_LOW * _LOW, np.int64)
    for picture in range(len(hashes)):
        pixels = greys[picture * SIDE * SIDE : (picture + 1) * SIDE * SIDE]
        flat[picture] = _is_flat(pixels)
        _transform(pixels, found)
        ordered = np.sort(found)
        middle = ordered[31] + ordered[32]
        bits = np.uint64(0)
        for i in range(_LOW * _LOW):
            bits = (bits << np.uint64(1)) | np.uint64(2 * found[i] > middle)
        hashes[picture] = bits


def look_at(files: Iterable[bytes]) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """``(hashes, whether each is flat)`` of picture files; one that cannot be decoded any more counts as flat."""
    hashes, flat = _look(files, (0.0,))
    return hashes[:, 0], flat


def look_inside(files: Iterable[bytes]) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """What ``look_at`` gives, and beside the hash of a whole picture those of it without a border: ``INSETS``."""
    return _look(files, INSETS)


def _look(files: Iterable[bytes], insets: Sequence[float]) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    import PIL.Image

    seen = []
    for data in files:
        try:
            with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                seen.append(greys(picture, insets))
        except DAMAGED:
            seen.append(np.zeros((len(insets), SIDE, SIDE), np.uint8))
    hashes, flat = np.empty((len(seen), len(insets)), np.uint64), np.empty((len(seen), len(insets)), np.uint8)
    if seen:
        _hash(np.stack(seen).reshape(-1), hashes.reshape(-1), flat.reshape(-1))
    return hashes, flat[:, 0].astype(np.bool_)
