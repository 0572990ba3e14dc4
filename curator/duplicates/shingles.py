"""Shingles: the sets of neighbouring words by which near copies are found (MinHash) and compared (Jaccard).

The signature of a set is the smallest value that each of many functions takes on it; the share of functions on which
two sets agree estimates their Jaccard similarity. Signatures are cut into bands of a few rows: sets of similarity
``j`` agree on a band with probability ``j ** rows``, and on one of them at least with ``1 - (1 - j ** rows) ** bands``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.compiled import (
    INT64S,
    OUT_INT64S,
    OUT_UINT32_ROWS,
    OUT_UINT32S,
    UINT32S,
    UINT64S,
    Number,
    compiled,
)
from curator.duplicates.words import Hashes, Worded, mix
from registry.recipe import Banding

Small = npt.NDArray[np.uint32]


class Functions(NamedTuple):
    """The functions ``x -> factor * x + term`` modulo 2**32, on numbers that are hashes already."""

    factors: Small
    terms: Small


_WEIGHTS = 64
"""A shingle has at most so many words."""


def functions(count: int) -> Functions:
    """So many functions, the same ones in all processes: the first ones of an endless list."""
    numbers = _numbers(np.arange(2 * count, dtype=np.uint64))
    return Functions((numbers[::2] >> np.uint64(32)).astype(np.uint32) | np.uint32(1), numbers[1::2].astype(np.uint32))


def _numbers(n: Hashes) -> Hashes:
    """A fixed number for each ``n`` that looks drawn (splitmix64)."""
    x = (n + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


_PLACES = _numbers(np.arange(1 << 20, (1 << 20) + _WEIGHTS, dtype=np.uint64)) | np.uint64(1)
"""What the words of a shingle are multiplied by, so that their order counts."""
_32 = np.uint64(32)


@compiled(types.int64, UINT64S, types.int64, types.int64, types.int64, OUT_UINT32S)
def shingle(words: Hashes, start: int, end: int, size: int, out: Small) -> int:
    """Write the shingles of one sample's words; how many there are (at least one, and repeated ones as they come)."""
    text = words[start:end]
    size = min(size, len(text))
    n = len(text) - size + 1
    for i in range(n):
        together = np.uint64(size)
        for j in range(size):
            together += text[i + j] * _PLACES[j]
        out[i] = np.uint32(mix(together) >> _32)
    return n


@compiled(types.void, UINT64S, INT64S, types.int64, UINT32S, UINT32S, OUT_UINT32_ROWS)
def _sign(
    words: Hashes,
    starts: npt.NDArray[np.int64],
    size: int,
    factors: Small,
    terms: Small,
    bands: npt.NDArray[np.uint32],
) -> None:
    """Fill the band keys of every sample."""
    shingles = np.empty(np.max(starts[1:] - starts[:-1]) + 4, np.uint32)
    least = np.empty(len(factors), np.uint32)
    rows = len(factors) // bands.shape[1]
    for sample in range(len(starts) - 1):
        n = shingle(words, starts[sample], starts[sample + 1], size, shingles)
        least[:] = np.uint32(0xFFFFFFFF)
        shingles[n : n + 3] = shingles[n - 1]  # four at a time: the last one again changes no minimum
        for i in range(0, n, 4):
            w, x, y, z = shingles[i], shingles[i + 1], shingles[i + 2], shingles[i + 3]
            for f in range(len(least)):
                factor, term = factors[f], terms[f]
                one = min(np.uint32(np.uint32(factor * w) + term), np.uint32(np.uint32(factor * x) + term))
                other = min(np.uint32(np.uint32(factor * y) + term), np.uint32(np.uint32(factor * z) + term))
                least[f] = min(one, other, least[f])
        for band in range(bands.shape[1]):
            key = np.uint64(band)
            for f in range(band * rows, (band + 1) * rows):
                key = mix(key ^ np.uint64(least[f]))
            bands[sample, band] = np.uint32(key >> _32)


def bands_of(worded: Worded, banding: Banding) -> npt.NDArray[np.uint32]:
    """One key for each sample and band."""
    count = len(worded.starts) - 1
    bands = np.empty((count, banding.bands), np.uint32)
    if count:
        chosen = functions(banding.bands * banding.rows)
        _sign(worded.words, worded.starts, banding.words, chosen.factors, chosen.terms, bands)
    return bands


@compiled(types.int64, UINT64S, INT64S, types.int64, OUT_UINT32S, OUT_INT64S)
def _all_shingles(
    words: Hashes, starts: npt.NDArray[np.int64], size: int, out: Small, owners: npt.NDArray[np.int64]
) -> int:
    done: Number = 0
    for sample in range(len(starts) - 1):
        n = shingle(words, starts[sample], starts[sample + 1], size, out[done:])
        ordered = np.sort(out[done : done + n])
        for i in range(n):
            if i == 0 or ordered[i] != ordered[i - 1]:
                out[done] = ordered[i]
                owners[done] = sample
                done += 1
    return int(done)


def shingles_of(worded: Worded, size: int) -> tuple[npt.NDArray[np.int64], Small]:
    """``(sample, shingle)`` of every shingle of a batch: those of a sample sorted, each once."""
    room = len(worded.words) + len(worded.starts)
    shingles, owners = np.empty(room, np.uint32), np.empty(room, np.int64)
    count = _all_shingles(worded.words, worded.starts, size, shingles, owners)
    return owners[:count], shingles[:count]
