"""Windows of characters, or of words, that occurred before in the same sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.compiled import BYTES, INT64S, TWO_COLUMNS, compiled, inlined
from curator.kernels.flat_text import FlatText, ascii_blank, character_at

Ints = npt.NDArray[np.int64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the hashes: odd, so it is invertible modulo 2**64."""
_OTHER = np.uint64(0xC2B2AE3D27D4EB4F)
_SHIFT = np.uint64(29)
_FEWEST_SLOTS = 16


class Windows(NamedTuple):
    """One value a sample."""

    all: Ints
    repeated: Ints
    """Those that occurred before in the sample."""


def character_windows(text: FlatText, sample: Ints, n_samples: int, window: int) -> Windows:
    """Windows of characters; none reaches across texts.

    Two windows are taken for the same if they agree in 31 bits of their hashes and in those that lead into the table,
    44 in all for a thousand characters: one window is miscounted in 10**7 such samples.

    Args:
        text: texts in the order of their samples.
        sample: for each text its sample, never falling.
        n_samples: length of the results.
        window: characters of a window, 9 to 16.
    """
    assert 9 <= window <= 16, "what a window holds of ASCII is two machine words, the second of them not empty"
    starts, slots = _groups(text, sample, n_samples)
    return Windows(*_character_windows(text.data, text.offsets, sample, starts, n_samples, window, slots))


def word_windows(text: FlatText, sample: Ints, n_samples: int, window: int) -> Windows:
    """Windows of words (runs of characters without ASCII blanks); otherwise as ``character_windows``."""
    starts, slots = _groups(text, sample, n_samples)
    return Windows(*_word_windows(text.data, text.offsets, sample, starts, n_samples, window, slots))


def _groups(text: FlatText, sample: Ints, n_samples: int) -> tuple[Ints, int]:
    """First text of each sample (and the end), and the slots that the largest sample needs."""
    starts = np.flatnonzero(np.diff(sample, prepend=-1, append=n_samples))
    sizes = text.offsets[starts[1:]] - text.offsets[starts[:-1]]
    return starts, _slots(int(sizes.max(initial=0)))


def _slots(n_bytes: int) -> int:
    """Slots of a table for the windows of so many bytes: a power of two, filled to an eighth at most.

    A fuller one is slower, because the processor cannot guess where a search ends.
    """
    return max(_FEWEST_SLOTS, 1 << (8 * n_bytes - 1).bit_length() if n_bytes else 0)


@inlined
def _met(seen: npt.NDArray[np.uint32], mixed: int, bits: int) -> int:
    """1 if the hash is in the table, which it is afterwards; 0 means that a slot is free."""
    key = np.uint32(mixed) | np.uint32(1)
    slot = np.uint64(mixed) >> np.uint64(bits)
    last = (np.uint64(1) << (np.uint64(64) - np.uint64(bits))) - np.uint64(1)
    while seen[slot] != 0 and seen[slot] != key:
        slot = (slot + np.uint64(1)) & last
    met = seen[slot] == key
    seen[slot] = key
    return met


@inlined
def _cleared(seen: npt.NDArray[np.uint32], n_bytes: int) -> int:
    """Clear as much of the table as a sample of so many bytes needs: the nearest cache holds it; returns its shift."""
    taken, bits = _FEWEST_SLOTS, 60
    while taken < 8 * n_bytes:
        taken, bits = taken * 2, bits - 1
    seen[:taken] = 0
    return bits


@inlined
def _ascii_windows(
    data: npt.NDArray[np.uint8], at: int, end: int, window: int, seen: npt.NDArray[np.uint32], bits: int
) -> tuple[int, int]:
    """A window is the last eight bytes (one word) and those before them (the low end of another)."""
    near, far, before = np.uint64(0), np.uint64(0), 0
    kept = (np.uint64(1) << np.uint64(8 * (window - 8))) - np.uint64(1) if window < 16 else ~np.uint64(0)
    n = end - at
    for i in range(n):
        far = (far << np.uint64(8)) | (near >> np.uint64(56))
        near = (near << np.uint64(8)) | np.uint64(data[at + i])
        if i + 1 >= window:
            mixed = (near ^ ((far & kept) * _OTHER)) * _FACTOR
            before += _met(seen, (mixed ^ (mixed >> _SHIFT)) * _FACTOR, bits)
    return max(0, n - window + 1), before


@inlined
def _any_windows(
    data: npt.NDArray[np.uint8],
    at: int,
    end: int,
    recent: npt.NDArray[np.uint64],
    seen: npt.NDArray[np.uint32],
    bits: int,
) -> tuple[int, int]:
    """A polynomial of the code points that rolls: what leaves a window is subtracted."""
    window, read, place, before = len(recent), 0, 0, 0
    rolled, leaving = np.uint64(0), np.uint64(1)
    for _ in range(window):
        leaving *= _FACTOR
    while at < end:
        character, n_bytes = character_at(data, at)
        at += n_bytes
        rolled = rolled * _FACTOR + np.uint64(character)
        if read >= window:
            rolled -= leaving * recent[place]
        recent[place] = np.uint64(character)
        place = place + 1 if place + 1 < window else 0
        read += 1
        if read >= window:
            before += _met(seen, (rolled ^ (rolled >> _SHIFT)) * _FACTOR, bits)
    return max(0, read - window + 1), before


@compiled(TWO_COLUMNS, BYTES, INT64S, INT64S, INT64S, types.int64, types.int64, types.int64)
def _character_windows(
    data: npt.NDArray[np.uint8],
    offsets: Ints,
    sample: Ints,
    starts: Ints,
    n_samples: int,
    window: int,
    slots: int,
) -> tuple[Ints, Ints]:
    total, repeated = np.zeros(n_samples, np.int64), np.zeros(n_samples, np.int64)
    seen, recent = np.empty(slots, np.uint32), np.empty(window, np.uint64)
    for group in range(len(starts) - 1):
        first, last = starts[group], starts[group + 1]
        bits = _cleared(seen, offsets[last] - offsets[first])
        high = np.uint8(0)
        for at in range(offsets[first], offsets[last]):
            high |= data[at]
        here = sample[first]
        for i in range(first, last):
            if high < 0x80:
                found, before = _ascii_windows(data, offsets[i], offsets[i + 1], window, seen, bits)
            else:
                found, before = _any_windows(data, offsets[i], offsets[i + 1], recent, seen, bits)
            total[here] += found
            repeated[here] += before
    return total, repeated


@compiled(TWO_COLUMNS, BYTES, INT64S, INT64S, INT64S, types.int64, types.int64, types.int64)
def _word_windows(
    data: npt.NDArray[np.uint8],
    offsets: Ints,
    sample: Ints,
    starts: Ints,
    n_samples: int,
    window: int,
    slots: int,
) -> tuple[Ints, Ints]:
    total, repeated = np.zeros(n_samples, np.int64), np.zeros(n_samples, np.int64)
    seen, recent = np.empty(slots, np.uint32), np.empty(window, np.uint64)
    leaving = np.uint64(1)
    for _ in range(window):
        leaving *= _FACTOR
    for group in range(len(starts) - 1):
        first, last = starts[group], starts[group + 1]
        bits = _cleared(seen, offsets[last] - offsets[first])
        here = sample[first]
        for i in range(first, last):
            rolled, word, read, place = np.uint64(0), np.uint64(0), 0, 0
            for at in range(offsets[i], offsets[i + 1]):
                if not ascii_blank(data[at]):
                    word = (word + np.uint64(data[at]) + np.uint64(1)) * _FACTOR
                    if at + 1 < offsets[i + 1] and not ascii_blank(data[at + 1]):
                        continue
                    rolled = rolled * _FACTOR + word
                    if read >= window:
                        rolled -= leaving * recent[place]
                    recent[place], word = word, np.uint64(0)
                    place = place + 1 if place + 1 < window else 0
                    read += 1
                    if read >= window:
                        repeated[here] += _met(seen, (rolled ^ (rolled >> _SHIFT)) * _FACTOR, bits)
            total[here] += max(0, read - window + 1)
    return total, repeated
