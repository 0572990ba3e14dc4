"""Shingles: the sets of neighbouring words by which near copies are found (MinHash) and compared (Jaccard).

The signature of a set is the smallest value that each of many functions takes on it; the share of functions on which
two sets agree estimates their Jaccard similarity. Signatures are cut into bands of a few rows: sets of similarity
``j`` agree on a band with probability ``j ** rows``, and on one of them at least with ``1 - (1 - j ** rows) ** bands``.
Sets of samples whose short answers differ agree on none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from curator.duplicates.words import ANSWERS, ASKS, Hashes, Worded, mix
from registry.compiled import (
    INT64S,
    OUT_INT64S,
    OUT_UINT16S,
    OUT_UINT32_ROWS,
    OUT_UINT32S,
    OUT_UINT64S,
    UINT16S,
    UINT32S,
    UINT64S,
    compiled,
)
from registry.recipe import Banding

Small = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]
Tiny = npt.NDArray[np.uint16]


SHORT_WORDS = 10
"""An answer of so many words must be the same in a near copy: "9" and "8", or "woman frowning" and "woman pouting", say
different things however much of the question is the same."""
_WEIGHTS = 64
"""A shingle has at most so many words."""


def factors(count: int) -> Tiny:
    """The factors of so many functions ``x -> factor * x`` modulo 2**16, on odd numbers that are hashes already.

    They are the same ones in all processes: the first ones of an endless list. A vector of a processor holds twice as
    many numbers of 16 bits as of 32. What it costs: two sets that have nothing in common agree on a function by
    accident with a probability of about their size / 2**16. Such candidates are compared and dropped; none is missed.
    """
    numbers = _numbers(np.arange(count, dtype=np.uint64))
    return (numbers >> _48).astype(np.uint16) | np.uint16(1)


def _numbers(n: Hashes) -> Hashes:
    """A fixed number for each ``n`` that looks drawn (splitmix64)."""
    x = (n + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


_PLACES = _numbers(np.arange(1 << 20, (1 << 20) + _WEIGHTS, dtype=np.uint64)) | np.uint64(1)
"""What the words of a shingle are multiplied by, so that their order counts."""
_32, _48 = np.uint64(32), np.uint64(48)
_LANES = 32
"""Functions are taken in vectors of so many at most."""


@compiled(types.int64, UINT64S, types.int64, types.int64, types.int64, OUT_UINT64S, OUT_UINT32S)
def shingle(words: Hashes, start: int, end: int, size: int, sums: Hashes, out: Small) -> int:
    """Write the shingles of one sample's words; how many there are (at least one, and repeated ones as they come).

    ``sums`` is room for as many numbers. Its loops run over the shingles, not over the words of one, so that a vector
    holds several shingles.
    """
    text = words[start:end]
    size = min(size, len(text))
    n = len(text) - size + 1
    sums[:n] = np.uint64(size)
    for j in range(size):
        some, place = text[j : j + n], _PLACES[j]
        for i in range(n):
            sums[i] += some[i] * place
    for i in range(n):
        out[i] = np.uint32(mix(sums[i]) >> _32)
    return n


@compiled(types.uint64, UINT64S, types.int64, types.int64)
def _short_answers(words: Hashes, start: int, end: int) -> np.uint64:
    """A digest of the sample's short answers, words and places; 0 where it has none."""
    digest, begin = np.uint64(0), end
    for at in range(start, end + 1):
        if at == end or words[at] == ANSWERS or words[at] == ASKS:
            length = at - begin
            if 0 <= length <= SHORT_WORDS:
                answer = np.uint64(0)
                for i in range(begin, at):
                    answer = mix(answer ^ words[i])
                digest = mix(digest ^ (answer + np.uint64(length) + np.uint64(1)))
            begin = at + 1 if at < end and words[at] == ANSWERS else end + 1
    return digest


@compiled(types.void, UINT32S, types.int64, UINT16S, OUT_UINT16S)
def _smallest(shingles: Small, n: int, chosen: Tiny, least: Tiny) -> None:
    """Write the smallest value of each function on the first ``n`` shingles; seven more are read."""
    least[:] = np.uint16(0xFFFF)
    odd = np.uint32(1)
    for i in range(0, n, 8):
        a, b = np.uint16(shingles[i] | odd), np.uint16(shingles[i + 1] | odd)
        c, d = np.uint16(shingles[i + 2] | odd), np.uint16(shingles[i + 3] | odd)
        e, f = np.uint16(shingles[i + 4] | odd), np.uint16(shingles[i + 5] | odd)
        g, h = np.uint16(shingles[i + 6] | odd), np.uint16(shingles[i + 7] | odd)
        for k in range(len(least)):
            factor = chosen[k]
            one = min(np.uint16(factor * a), np.uint16(factor * b), np.uint16(factor * c), np.uint16(factor * d))
            two = min(np.uint16(factor * e), np.uint16(factor * f), np.uint16(factor * g), np.uint16(factor * h))
            least[k] = min(one, two, least[k])


@compiled(types.void, UINT64S, INT64S, types.int64, UINT16S, UINT64S, OUT_UINT32_ROWS)
def _sign(words: Hashes, starts: Ints, size: int, chosen: Tiny, weights: Hashes, bands: npt.NDArray[np.uint32]) -> None:
    """Fill the band keys of every sample; there are functions for all rows of all bands, and maybe more."""
    longest = np.max(starts[1:] - starts[:-1])
    sums, shingles = np.empty(longest + 1, np.uint64), np.empty(longest + 8, np.uint32)
    count = bands.shape[1]
    least, keys = np.empty(len(chosen), np.uint16), np.empty(count, np.uint64)
    for sample in range(len(starts) - 1):
        n = shingle(words, starts[sample], starts[sample + 1], size, sums, shingles)
        shingles[n : n + 7] = shingles[n - 1]  # the last one again changes no minimum
        _smallest(shingles, n, chosen, least)
        short = _short_answers(words, starts[sample], starts[sample + 1])
        for band in range(count):
            keys[band] = short + np.uint64(band)
        for row in range(0, len(weights), count):  # all bands at once: a vector holds several keys
            some, weigh = least[row : row + count], weights[row : row + count]
            for band in range(count):
                keys[band] += np.uint64(some[band]) * weigh[band]
        for band in range(count):
            bands[sample, band] = np.uint32(mix(keys[band]) >> _32)


def bands_of(worded: Worded, banding: Banding) -> npt.NDArray[np.uint32]:
    """One key for each sample and band."""
    count, hashes = len(worded.starts) - 1, banding.bands * banding.rows
    bands = np.empty((count, banding.bands), np.uint32)
    if count:
        chosen = factors(-(-hashes // _LANES) * _LANES)
        weights = _numbers(np.arange(1 << 21, (1 << 21) + hashes, dtype=np.uint64)) | np.uint64(1)
        _sign(worded.words, worded.starts, banding.words, chosen, weights, bands)
    return bands


@compiled(types.int64, UINT32S, types.int64, OUT_INT64S, OUT_UINT32S)
def _once(hashes: Small, n: int, places: Ints, out: Small) -> int:
    """Write the first ``n`` hashes sorted, each once; how many there are.

    Hashes are spread evenly: each is put where its high bits say, nearly its place, and neighbours change places.
    """
    bits = 1
    while 1 << bits < n:
        bits += 1
    places[: (1 << bits) + 1] = 0
    for i in range(n):
        places[np.int64(hashes[i] >> np.uint32(32 - bits)) + 1] += 1
    for i in range(1 << bits):
        places[i + 1] += places[i]
    for i in range(n):
        bucket = np.int64(hashes[i] >> np.uint32(32 - bits))
        out[places[bucket]] = hashes[i]
        places[bucket] += 1
    found = 0
    for i in range(n):
        value, at = out[i], found
        while at > 0 and out[at - 1] > value:
            at -= 1
        if at > 0 and out[at - 1] == value:
            continue
        for k in range(found, at, -1):
            out[k] = out[k - 1]
        out[at] = value
        found += 1
    return found


@compiled(types.int64, UINT64S, INT64S, types.int64, OUT_UINT32S, OUT_INT64S)
def _all_shingles(words: Hashes, starts: Ints, size: int, out: Small, owners: Ints) -> int:
    longest = np.max(starts[1:] - starts[:-1])
    sums, shingles = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.uint32)
    places, done = np.empty(2 * longest + 3, np.int64), 0
    for sample in range(len(starts) - 1):
        n = shingle(words, starts[sample], starts[sample + 1], size, sums, shingles)
        end = done + _once(shingles, n, places, out[done:])
        owners[done:end] = sample
        done = end
    return done


def shingles_of(worded: Worded, size: int) -> tuple[Ints, Small]:
    """``(sample, shingle)`` of every shingle of a batch: those of a sample sorted, each once."""
    room = len(worded.words) + len(worded.starts)
    shingles, owners = np.empty(room, np.uint32), np.empty(room, np.int64)
    count = 0 if len(worded.starts) == 1 else _all_shingles(worded.words, worded.starts, size, shingles, owners)
    return owners[:count], shingles[:count]
