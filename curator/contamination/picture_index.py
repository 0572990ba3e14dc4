"""Which pictures of a benchmark a picture may be: those whose perceptual hash differs in few bits.

All are compared with all: ten thousand hashes take a picture 20 microseconds, and to make its hash takes a thousand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.contamination.questions import Looked
from curator.kernels.bits import ones
from registry.compiled import BYTES, OUT_INT64S, UINT64S, compiled

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


class Near(NamedTuple):
    """Pictures of a benchmark that given ones may be."""

    picture: Ints
    """Position of the given picture."""
    other: Ints
    """Number of the benchmark's picture."""
    bits: Ints
    """Bits in which their hashes differ."""


def near_pictures(hashes: Hashes, flat: npt.NDArray[np.bool_], known: Looked, distance: int) -> Near:
    """All pairs that differ in at most ``distance`` bits; flat pictures only if their hashes (digests) are equal."""
    room = 1024
    while True:
        out = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
        count = _near(hashes, flat.view(np.uint8), known.hashes, known.flat.view(np.uint8), distance, *out)
        if count <= room:
            return Near(*(one[:count] for one in out))
        room = count


@compiled(types.int64, UINT64S, BYTES, UINT64S, BYTES, types.int64, OUT_INT64S, OUT_INT64S, OUT_INT64S)
def _near(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    hashes: Hashes,
    flat: npt.NDArray[np.uint8],
    known: Hashes,
    known_flat: npt.NDArray[np.uint8],
    distance: int,
    out_picture: Ints,
    out_other: Ints,
    out_bits: Ints,
) -> int:
    """Write the pairs, as far as there is room; how many there are."""
    count = 0
    for i in range(len(hashes)):
        for other in range(len(known)):
            bits = np.int64(ones(hashes[i] ^ known[other]))
            if bits > distance or flat[i] != known_flat[other] or (flat[i] and bits > 0):
                continue
            if count < len(out_picture):
                out_picture[count] = i
                out_other[count] = other
                out_bits[count] = bits
            count += 1
    return count
