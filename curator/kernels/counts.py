"""Characters, their kinds, and words, counted text by text."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curator.compiled import BYTES, INT64S, OUT_INT64_ROWS, TWO_COLUMNS, UINT64S, compiled
from curator.kernels.characters import (
    DIGIT,
    KINDS,
    LETTER,
    MARK,
    OTHER,
    PUNCTUATION,
    SYMBOL,
    UPPER,
    kinds,
)
from curator.kernels.flat_text import FlatText, ascii_blank, character_at

Ints = npt.NDArray[np.int64]

_FIRST_SPECIAL = np.uint64(1 << 8 * PUNCTUATION)


class Lengths(NamedTuple):
    """One value a text."""

    characters: Ints
    words: Ints
    """Runs of characters without ASCII blanks."""


def lengths(text: FlatText) -> Lengths:
    """Unicode characters and words of each text."""
    return Lengths(*_lengths(text.data, text.offsets))


@compiled(TWO_COLUMNS, BYTES, INT64S)
def _lengths(data: npt.NDArray[np.uint8], offsets: Ints) -> tuple[Ints, Ints]:
    characters, words = np.zeros(len(offsets) - 1, np.int64), np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(offsets) - 1):
        continued, begun, before = 0, 0, np.uint8(1)
        for at in range(offsets[i], offsets[i + 1]):
            blank = ascii_blank(data[at])
            continued += (data[at] & 0xC0) == 0x80
            begun += before & (blank ^ np.uint8(1))
            before = blank
        characters[i] = offsets[i + 1] - offsets[i] - continued
        words[i] = begun
    return characters, words


class Makeup(NamedTuple):
    """What the characters of each text are; one value a text."""

    letters: Ints
    """With their accents."""
    capitals: Ints
    digits: Ints
    special: Ints
    """Punctuation, symbols, control and unassigned characters."""
    longest_run: Ints
    """Special characters in a row."""


def makeup(text: FlatText) -> Makeup:
    """Count the kinds of characters."""
    return Makeup(*_makeup(text.data, text.offsets, kinds(), _packed_kinds()))


@cache
def _packed_kinds() -> npt.NDArray[np.uint64]:
    """For each ASCII character a one in the byte of its kind, so that one addition counts it."""
    return np.uint64(1) << (np.uint64(8) * kinds()[:0x80].astype(np.uint64))


@compiled(OUT_INT64_ROWS, BYTES, INT64S, BYTES, UINT64S)
def _makeup(
    data: npt.NDArray[np.uint8],
    offsets: Ints,
    kind_of: npt.NDArray[np.uint8],
    packed_kinds: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    n = len(offsets) - 1
    found, of_kind = np.zeros((5, n), np.int64), np.zeros(len(KINDS), np.int64)
    for i in range(n):
        at, end, run, longest = offsets[i], offsets[i + 1], 0, 0
        of_kind[:] = 0
        while at < end:
            packed, until = np.uint64(0), min(end, at + 255)  # a byte of the sum holds no more
            while at < until and data[at] < 0x80:
                kind = packed_kinds[data[at]]
                packed += kind
                run = (run + 1) * (kind >= _FIRST_SPECIAL)
                longest = max(longest, run)
                at += 1
            for kind in range(len(KINDS)):
                of_kind[kind] += np.int64((packed >> np.uint64(8 * kind)) & np.uint64(0xFF))
            if at < until:
                character, n_bytes = character_at(data, at)
                at += n_bytes
                of_kind[kind_of[character]] += 1
                run = (run + 1) * (kind_of[character] >= PUNCTUATION)
                longest = max(longest, run)
        found[0, i] = of_kind[LETTER] + of_kind[UPPER] + of_kind[MARK]
        found[1, i] = of_kind[UPPER]
        found[2, i] = of_kind[DIGIT]
        found[3, i] = of_kind[PUNCTUATION] + of_kind[SYMBOL] + of_kind[OTHER]
        found[4, i] = longest
    return found
