"""The loop of packing, compiled: which waiting sample goes next, asked of sets of lengths that are words of bits.

A set of lengths is an array of 64-bit words, bit ``n`` for the length ``n``; beside it lies its mirror, bit
``capacity - n``. The mirror shifted by what a row holds already, and the set itself, have the bits in common that are
one half of a pair that closes the row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from registry.compiled import INT64S, OUT_INT64S, compiled, inlined

Indices = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_ONE, _SIX, _LOW, _WORD = (np.uint64(number) for number in (1, 6, 63, 64))
_NONE = -1


@inlined
def _highest(word: int) -> int:
    """The highest bit that is set in a word that has one."""
    left, found = np.uint64(word), 0
    for shift in (32, 16, 8, 4, 2, 1):
        if left >> np.uint64(shift):
            left >>= np.uint64(shift)
            found += shift
    return found


@inlined
def _set(bits: Words, number: int) -> None:
    bits[number >> 6] |= _ONE << (np.uint64(number) & _LOW)


@inlined
def _clear(bits: Words, number: int) -> None:
    bits[number >> 6] &= ~(_ONE << (np.uint64(number) & _LOW))


@inlined
def _has(bits: Words, number: int) -> bool:
    return bool((bits[number >> 6] >> (np.uint64(number) & _LOW)) & _ONE)


@inlined
def _pair(present: Words, mirrored: Words, capacity: int, gap: int) -> int:
    """The larger of two waiting lengths that fill a gap together; 0 = there are none."""
    shift = np.uint64(capacity - gap)
    words, rest = np.int64(shift >> _SIX), shift & _LOW
    last = len(mirrored) - 1
    for word in range(gap >> 6, (gap >> 7) - 1, -1):
        other = np.uint64(0)
        if word + words <= last:
            other = mirrored[word + words] >> rest
            if rest and word + words < last:
                other |= mirrored[word + words + 1] << (_WORD - rest)
        both = present[word] & other
        if both:
            return word * 64 + _highest(both)
    return 0


@inlined
def _below(present: Words, limit: int) -> int:
    """The largest waiting length below a limit; 0 = there is none."""
    word = limit >> 6
    bits = present[word] & ((_ONE << (np.uint64(limit) & _LOW)) - _ONE)
    while not bits and word > 0:
        word -= 1
        bits = present[word]
    return word * 64 + _highest(bits) if bits else 0


@inlined
def _next(present: Words, mirrored: Words, capacity: int, gap: int, oldest: int, head: Indices, after: Indices) -> int:
    """Length to take next: one that closes the gap, one of a pair that does, the oldest, the largest; 0 = none."""
    size = gap if _has(present, gap) else _pair(present, mirrored, capacity, gap)
    if size * 2 == gap and size and after[head[size]] == _NONE:  # one sample is no pair
        size = 0
    if not size:
        size = oldest if oldest <= gap else _below(present, gap)
    return size


@compiled(types.int64, INT64S, types.int64, types.int64, OUT_INT64S, OUT_INT64S)
def fill_rows(sizes: Indices, capacity: int, window: int, order: Indices, ends: Indices) -> int:
    """Write the samples of all rows one after another, and where each row ends; returns the number of rows.

    Args:
        sizes: length of each sample, 1..capacity.
        capacity: tokens of a row.
        window: samples that wait at a time.
        order: written to: ``[samples]``.
        ends: written to: as many as there are rows.
    """
    n = len(sizes)
    present, mirrored = np.zeros((capacity >> 6) + 1, np.uint64), np.zeros((capacity >> 6) + 1, np.uint64)
    head, tail = np.full(capacity + 1, _NONE, np.int64), np.full(capacity + 1, _NONE, np.int64)
    after, taken = np.full(n, _NONE, np.int64), np.zeros(n, np.uint8)
    entered, oldest, done, rows, gap = 0, 0, 0, 0, capacity
    while done < n:
        while entered < n and entered - done < window:
            size = sizes[entered]
            if head[size] == _NONE:
                head[size] = entered
                _set(present, size)
                _set(mirrored, capacity - size)
            else:
                after[tail[size]] = entered
            tail[size] = entered
            entered += 1
        size = _next(present, mirrored, capacity, gap, sizes[oldest], head, after) if gap else 0
        if not size:
            ends[rows] = done
            rows, gap = rows + 1, capacity
            continue
        number = head[size]
        head[size] = after[number]
        if head[size] == _NONE:
            _clear(present, size)
            _clear(mirrored, capacity - size)
        taken[number] = 1
        order[done] = number
        done += 1
        gap -= size
        while oldest < n and taken[oldest]:
            oldest += 1
    ends[rows] = done
    return rows + 1
