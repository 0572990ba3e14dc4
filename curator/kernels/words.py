"""Words of a text that are no plain words, and words of a list."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curator.kernels.characters import BLANK, DIGIT, PUNCTUATION, UPPER, kinds
from curator.kernels.flat_text import FlatText, character_at
from registry.compiled import BYTES, INT64S, OUT_INT64_ROWS, UINT64S, compiled, inlined

Ints = npt.NDArray[np.int64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SLOTS = 4096
"""Slots of the table of listed words."""


class Words(NamedTuple):
    """One value a text."""

    all: Ints
    """Runs of characters without blanks that hold a letter or a digit."""
    odd: Ints
    """Words with letters that also hold digits, or have a symbol inside (an apostrophe or hyphen is none)."""
    listed: Ints
    """Words that the given list holds."""


def words(text: FlatText, listed: list[str]) -> Words:
    """Count words.

    Args:
        text: the texts.
        listed: words of small ASCII letters to be counted, whatever their case and the punctuation in them.
    """
    return Words(*_words(text.data, text.offsets, kinds(), _table(listed)))


def _table(listed: list[str]) -> npt.NDArray[np.uint64]:
    """Hashes of words, where ``_is_listed`` looks for them."""
    assert len(listed) < _SLOTS / 4
    table = np.zeros(_SLOTS, np.uint64)
    for hashed in map(_word_hash, listed):
        slot = hashed >> 52
        while table[slot] not in (0, hashed):
            slot = (slot + 1) % _SLOTS
        table[slot] = hashed
    return table


def _word_hash(word: str) -> int:
    value = 0
    for character in word:
        value = (value + ord(character)) * int(_FACTOR) % (1 << 64)
    return value


@inlined
def _joins(character: int) -> bool:
    """Apostrophes and hyphens, which words have inside."""
    return character in (0x27, 0x2D, 0x2019, 0x2010, 0x2011)


@inlined
def _is_listed(hashed: int, listed: npt.NDArray[np.uint64]) -> bool:
    """Whether the hash is in a table of 4096 slots that its high bits lead into; 0 means that a slot is free."""
    slot = np.uint64(hashed) >> np.uint64(52)
    while listed[slot] != 0 and listed[slot] != hashed:
        slot = (slot + np.uint64(1)) & np.uint64(_SLOTS - 1)
    return listed[slot] == hashed and hashed != 0


@compiled(OUT_INT64_ROWS, BYTES, INT64S, BYTES, UINT64S)
def _words(
    data: npt.NDArray[np.uint8],
    offsets: Ints,
    kind_of: npt.NDArray[np.uint8],
    listed: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    n = len(offsets) - 1
    found = np.zeros((3, n), np.int64)
    for i in range(n):
        at, end = offsets[i], offsets[i + 1]
        letters, digits, inner, waiting, hashed = 0, 0, False, False, np.uint64(0)
        while at < end:
            character, n_bytes = np.int64(data[at]), 1
            if character >= 0x80:
                character, n_bytes = character_at(data, at)
            at += n_bytes
            kind = kind_of[character]
            if kind <= DIGIT:
                inner = inner or waiting
                letters += kind != DIGIT
                digits += kind == DIGIT
                small = character | 0x20 if kind == UPPER and character < 0x80 else character
                hashed = (hashed + np.uint64(small)) * _FACTOR
            elif kind >= PUNCTUATION:
                waiting = waiting or (letters + digits > 0 and not _joins(character))
            if (kind == BLANK or at == end) and letters + digits > 0:
                found[0, i] += 1
                found[1, i] += letters > 0 and (inner or digits > 0)
                found[2, i] += digits == 0 and _is_listed(hashed, listed)
                letters, digits, inner, hashed = 0, 0, False, np.uint64(0)
            if kind == BLANK:
                waiting = False
    return found
