"""Characters, words and their kinds, counted text by text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curator.kernels.characters import (
    BLANK,
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
from curator.kernels.flat_text import FlatText, ascii_blank, character_at, compiled, inlined

Ints = npt.NDArray[np.int64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SLOTS = 4096
"""Slots of the table of listed words."""


class Lengths(NamedTuple):
    """One value a text."""

    characters: Ints
    words: Ints
    """Runs of characters without ASCII blanks."""


def lengths(text: FlatText) -> Lengths:
    """Unicode characters and words of each text."""
    return Lengths(*_lengths(text.data, text.offsets))


@compiled
def _lengths(data: npt.NDArray[np.uint8], offsets: Ints) -> tuple[Ints, Ints]:
    characters, words = np.zeros(len(offsets) - 1, np.int64), np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(offsets) - 1):
        continued, begun, before = 0, 0, np.uint8(1)
        for at in range(offsets[i], offsets[i + 1]):
            byte = data[at]
            continued += (byte & 0xC0) == 0x80
            blank = ascii_blank(byte)
            begun += before & (blank ^ np.uint8(1))
            before = blank
        characters[i] = offsets[i + 1] - offsets[i] - continued
        words[i] = begun
    return characters, words


class Makeup(NamedTuple):
    """What each text is made of; one value a text."""

    letters: Ints
    capitals: Ints
    digits: Ints
    special: Ints
    """Punctuation, symbols, control and unassigned characters."""
    blanks: Ints
    longest_run: Ints
    """Special characters in a row."""
    words: Ints
    """Runs of characters without blanks that hold a letter or a digit."""
    odd_words: Ints
    """Words that mix letters with digits, or have a symbol inside (an apostrophe or hyphen is none)."""
    listed_words: Ints
    """Words that the given list holds."""


def makeup(text: FlatText, listed: list[str]) -> Makeup:
    """Count kinds of characters and words.

    Args:
        text: the texts.
        listed: words of small ASCII letters to be counted, whatever their case and the punctuation around them.
    """
    return Makeup(*_makeup(text.data, text.offsets, kinds(), _table(listed)))


def _table(words: list[str]) -> npt.NDArray[np.uint64]:
    """Hashes of words, where ``_is_listed`` looks for them."""
    assert len(words) < _SLOTS / 4
    table = np.zeros(_SLOTS, np.uint64)
    for hashed in map(_word_hash, words):
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


@compiled
def _makeup(
    data: npt.NDArray[np.uint8],
    offsets: Ints,
    kind_of: npt.NDArray[np.uint8],
    listed: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    n = len(offsets) - 1
    found = np.zeros((9, n), np.int64)
    of_kind = np.zeros(len(KINDS), np.int64)
    for i in range(n):
        at, end, run, longest, words, odd, known = offsets[i], offsets[i + 1], 0, 0, 0, 0, 0
        letters, digits, inner, waiting, hashed = 0, 0, False, False, np.uint64(0)
        of_kind[:] = 0
        while at < end:
            character, n_bytes = np.int64(data[at]), 1
            if character >= 0x80:
                character, n_bytes = character_at(data, at)
            at += n_bytes
            kind = kind_of[character]
            of_kind[kind] += 1
            if kind <= DIGIT:
                inner, run = inner or waiting, 0
                letters += kind != DIGIT
                digits += kind == DIGIT
                small = character | 0x20 if kind == UPPER and character < 0x80 else character
                hashed = (hashed + np.uint64(small)) * _FACTOR
            elif kind >= PUNCTUATION:
                run += 1
                longest = max(longest, run)
                waiting = waiting or (letters + digits > 0 and not _joins(character))
            if (kind == BLANK or at == end) and letters + digits > 0:
                words += 1
                odd += inner or (letters > 0 and digits > 0)
                known += digits == 0 and _is_listed(hashed, listed)
                letters, digits, inner, hashed = 0, 0, False, np.uint64(0)
            if kind == BLANK:
                waiting, run = False, 0
        found[:, i] = (
            of_kind[LETTER] + of_kind[UPPER] + of_kind[MARK], of_kind[UPPER], of_kind[DIGIT],
            of_kind[PUNCTUATION] + of_kind[SYMBOL] + of_kind[OTHER], of_kind[BLANK],
            longest, words, odd, known,
        )  # fmt: skip
    return found
