"""Windows of characters, or of words, that occurred before in the same sample.

A sample's characters (or the hashes of its words) are laid out as *units*. Every window has a rough hash, made of
eight or sixteen windows at a time. ``heads`` leads from a hash to the last window that had one like it, and ``before``
from each window to the one that ``heads`` held until then. So one pass without a branch finds the windows for which
there is anything to compare, and a second looks at these alone, unit by unit. Nothing is cleared between samples:
windows are numbered on and on, and a number below a sample's first is of another sample.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.kernels.flat_text import FlatText, ascii_blank, character_at
from registry.compiled import BYTES, INT64S, TWO_COLUMNS, Number, compiled, inlined

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]
Units = npt.NDArray[np.unsignedinteger]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the hashes of words: odd, so it is invertible modulo 2**64."""
_UNIT = np.uint32(0x9E3779B1)
_HALF = np.uint32(0xC2B2AE3D)
_SPREAD = np.uint32(0x85EBCA6B)
_HASHED = 5
"""Units at each end of a window that its hash is made of."""
_STEP = 32
"""Hashes are made so many at a time: what is left over of a loop would not be vectorised."""
_FEWEST_BITS = 14
"""16,384 heads: with fewer, texts of a thousand characters meet more windows that only look alike."""
_MOST_BITS = 26
"""256 MB of heads, for a text of 16 MB; in a longer one more windows share a head."""


class Windows(NamedTuple):
    """One value a sample."""

    all: Ints
    repeated: Ints
    """Those that occurred before in the sample."""


def character_windows(text: FlatText, sample: Ints, n_samples: int, window: int) -> Windows:
    """Windows of characters; none reaches across texts. The count is exact.

    Args:
        text: texts in the order of their samples.
        sample: for each text its sample, never falling.
        n_samples: length of the results.
        window: characters of a window, 5 to 10, which are all that is hashed.
    """
    return _windows(_character_windows, text, sample, n_samples, window)


def word_windows(text: FlatText, sample: Ints, n_samples: int, window: int) -> Windows:
    """Windows of words (runs of characters without ASCII blanks); otherwise as ``character_windows``.

    Two words are taken for the same if 64 bits of their hashes agree.
    """
    return _windows(_word_windows, text, sample, n_samples, window)


def _windows(count: Number, text: FlatText, sample: Ints, n_samples: int, window: int) -> Windows:
    """Call a kernel with the first text of each sample (and the end), and with the size of its memory."""
    assert _HASHED <= window <= 2 * _HASHED, "units in the middle would not be hashed, and many windows look alike"
    assert text.offsets[-1] - text.offsets[0] < 2**32 - 1, "windows are numbered in 32 bits; an Arrow string holds less"
    starts = np.flatnonzero(np.diff(sample, prepend=-1, append=n_samples))
    most = int((text.offsets[starts[1:]] - text.offsets[starts[:-1]]).max(initial=0))
    bits = _bits(most, _FEWEST_BITS, _MOST_BITS)
    counted = count(text.data, text.offsets, starts, window, most + 2 * _STEP, bits)
    found = Windows(np.zeros(n_samples, np.int64), np.zeros(n_samples, np.int64))
    for column, values in zip(found, counted, strict=True):
        column[sample[starts[:-1]]] = values
    return found


@inlined
def _bits(n_bytes: int, fewest: int, most: int) -> int:
    """Bits of a hash that lead into the heads of a sample of so many bytes: a short one keeps to the nearest cache."""
    bits = fewest
    while bits < most and 1 << bits < 4 * n_bytes:
        bits += 1
    return bits


@inlined
def _hash(units: Units, n: int, window: int, hashes: Numbers) -> None:
    """A hash for each of ``n`` windows (and for some behind them: both arrays have room for it)."""
    ends = units[window - _HASHED :]
    made = hashes[: (n + _STEP - 1) // _STEP * _STEP]
    for i in range(len(made)):
        first, last = np.uint32(0), np.uint32(0)
        for j in range(_HASHED):
            first = first * _UNIT + np.uint32(units[i + j])
            last = last * _UNIT + np.uint32(ends[i + j])
        made[i] = (first * _HALF + last) * _SPREAD


@inlined
def _number(
    hashes: Numbers, first: Number, least: Number, heads: Numbers, shift: Number, before: Numbers, met: Numbers
) -> int:
    """Number the windows of one text from ``first`` on; those whose head was of this sample go to ``met``.

    Returns:
        How many these are.
    """
    found = np.uint64(0)
    for i in range(len(before)):
        slot = hashes[i] >> shift
        head = heads[slot]
        heads[slot] = first + np.uint32(i)
        before[i] = head
        met[found] = first + np.uint32(i)
        found += np.uint64(head >= least)
    return np.int64(found)


@inlined
def _repeated(units: Units, hashes: Numbers, least: Number, before: Numbers, met: Numbers, window: int) -> int:
    """Those of the windows ``met`` that are the same, unit by unit, as one before them in the sample."""
    found = 0
    for number in met:
        this, other = np.int64(number) - np.int64(least), np.int64(before[number - least]) - np.int64(least)
        same = 0
        while other >= 0 and same < window:
            same = 0
            if hashes[other] == hashes[this]:
                while same < window and units[other + same] == units[this + same]:
                    same += 1
            other = np.int64(before[other]) - np.int64(least)
        found += same == window
    return found


@inlined
def _counted(
    lay_out: Number,
    units: Units,
    data: npt.NDArray[np.uint8],
    offsets: Ints,
    starts: Ints,
    window: int,
    bits: int,
) -> tuple[Ints, Ints]:
    """All windows and the repeated ones of each sample with text; ``lay_out`` writes the units of a text."""
    total, repeated = np.zeros(len(starts) - 1, np.int64), np.zeros(len(starts) - 1, np.int64)
    hashes, before = np.empty(len(units), np.uint32), np.empty(len(units), np.uint32)
    met, heads = np.empty(len(units), np.uint32), np.zeros(1 << bits, np.uint32)
    least = np.uint32(1)
    for group in range(len(starts) - 1):
        n_bytes = offsets[starts[group + 1]] - offsets[starts[group]]
        shift = np.uint32(32 - _bits(n_bytes, min(_FEWEST_BITS, bits), bits))
        read, found = 0, 0
        for i in range(starts[group], starts[group + 1]):
            begun = units[read:]
            laid = lay_out(data[offsets[i] : offsets[i + 1]], begun)
            n = max(0, laid - window + 1)
            _hash(begun, n, window, hashes[read:])
            first = least + np.uint32(read)
            found += _number(hashes[read:], first, least, heads, shift, before[read : read + n], met[found:])
            total[group] += n
            read += laid
        repeated[group] = _repeated(units, hashes, least, before, met[:found], window)
        least += np.uint32(read)
    return total, repeated


@inlined
def _characters(text: npt.NDArray[np.uint8], units: Units) -> int:
    """The code points of a text; how many there are."""
    high = np.uint8(0)
    for i in range(len(text)):
        high |= text[i]
    if high < 0x80:
        here = units[: len(text)]
        for i in range(len(text)):
            here[i] = text[i]
        return len(text)
    at, read = 0, 0
    while at < len(text):
        units[read], n_bytes = character_at(text, at)
        at, read = at + n_bytes, read + 1
    return read


@inlined
def _words(text: npt.NDArray[np.uint8], units: Units) -> int:
    """The hashes of a text's words; how many there are."""
    word, read = np.uint64(0), 0
    for at in range(len(text)):
        if not ascii_blank(text[at]):
            word = (word + np.uint64(text[at]) + np.uint64(1)) * _FACTOR
            if at + 1 == len(text) or ascii_blank(text[at + 1]):
                units[read], word = word, np.uint64(0)
                read += 1
    return read


@compiled(TWO_COLUMNS, BYTES, INT64S, INT64S, types.int64, types.int64, types.int64)
def _character_windows(
    data: npt.NDArray[np.uint8], offsets: Ints, starts: Ints, window: int, room: int, bits: int
) -> tuple[Ints, Ints]:
    units = np.empty(room, np.uint32)
    return _counted(_characters, units, data, offsets, starts, window, bits)


@compiled(TWO_COLUMNS, BYTES, INT64S, INT64S, types.int64, types.int64, types.int64)
def _word_windows(
    data: npt.NDArray[np.uint8], offsets: Ints, starts: Ints, window: int, room: int, bits: int
) -> tuple[Ints, Ints]:
    units = np.empty(room, np.uint64)
    return _counted(_words, units, data, offsets, starts, window, bits)
