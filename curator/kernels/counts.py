"""Characters, their kinds, and words, counted text by text."""

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
from curator.kernels.flat_text import FlatText, ascii_blank, character_at
from registry.compiled import BYTES, INT64S, OUT_INT64_ROWS, TWO_COLUMNS, Number, compiled, inlined

Ints = npt.NDArray[np.int64]

_COUNTED = 128
"""Bytes that are counted at a time: a count of them fits in a byte, so 32 bytes are counted by one instruction."""


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
        text = data[offsets[i] : offsets[i + 1]]
        characters[i] = len(text)
        for start in range(0, len(text), _COUNTED):
            block, behind = text[start : start + _COUNTED], text[start + 1 : start + 1 + _COUNTED]
            continued, ended = np.uint8(0), np.uint8(0)
            for at in range(len(block)):
                continued = np.uint8(continued + np.uint8((block[at] & 0xC0) == 0x80))
            for at in range(len(behind)):
                ended = np.uint8(ended + (ascii_blank(behind[at]) & (ascii_blank(block[at]) ^ np.uint8(1))))
            characters[i] -= np.int64(continued)
            words[i] += np.int64(ended)
        words[i] += len(text) > 0 and ascii_blank(text[len(text) - 1]) == 0
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
    return Makeup(*_makeup(text.data, text.offsets, kinds()))


@inlined
def _count_ascii(text: npt.NDArray[np.uint8], of_kind: Ints) -> int:
    """Add the ASCII characters of a text to the counts of their kinds; returns how many pairs of special ones it has.

    Kinds are told apart by comparisons, not by the table, so that many characters are counted at once.
    """
    pairs = 0
    for start in range(0, len(text), _COUNTED):
        block, behind = text[start : start + _COUNTED], text[start + 1 : start + 1 + _COUNTED]
        letters, capitals, digits, blanks = np.uint8(0), np.uint8(0), np.uint8(0), np.uint8(0)
        special, paired = np.uint8(0), np.uint8(0)
        for at in range(len(block)):
            byte = block[at]
            letters = np.uint8(letters + _within(byte | np.uint8(0x20), 0x61, 26))
            capitals = np.uint8(capitals + _within(byte, 0x41, 26))
            digits = np.uint8(digits + _within(byte, 0x30, 10))
            blanks = np.uint8(blanks + _blank(byte))
            special = np.uint8(special + _special(byte))
        for at in range(len(behind)):
            paired = np.uint8(paired + (_special(block[at]) & _special(behind[at])))
        of_kind[LETTER] += np.int64(letters) - np.int64(capitals)
        of_kind[UPPER] += capitals
        of_kind[DIGIT] += digits
        of_kind[BLANK] += blanks
        of_kind[OTHER] += special
        pairs += paired
    return pairs


@inlined
def _within(byte: Number, first: int, many: int) -> Number:
    """1 for one of the ``many`` bytes from ``first`` on."""
    return np.uint8(np.uint8(byte - np.uint8(first)) < np.uint8(many))


@inlined
def _blank(byte: Number) -> Number:
    """1 for what Python takes for a blank among the ASCII characters; more than ``ascii_blank``."""
    return np.uint8(byte == 0x20) | _within(byte, 0x09, 5) | _within(byte, 0x1C, 4)


@inlined
def _special(byte: Number) -> Number:
    """1 for an ASCII character that is no letter, digit or blank."""
    plain = _within(byte | np.uint8(0x20), 0x61, 26) | _within(byte, 0x30, 10) | _blank(byte)
    return (plain ^ np.uint8(1)) & np.uint8(byte < 0x80)


@inlined
def _longest_ascii_run(text: npt.NDArray[np.uint8]) -> int:
    """Special characters in a row, of an ASCII text with two; leaps as long as the longest miss none longer."""
    longest, at = 1, 0
    while at + longest < len(text):
        start = at + longest
        if _special(text[start]) == 0:
            at = start + 1
            continue
        end = start + 1
        while start > at and _special(text[start - 1]) == 1:
            start -= 1
        while end < len(text) and _special(text[end]) == 1:
            end += 1
        longest, at = max(longest, end - start), end + 1
    return longest


@inlined
def _count_others(text: npt.NDArray[np.uint8], kind_of: npt.NDArray[np.uint8], of_kind: Ints) -> int:
    """Add the characters beyond ASCII to the counts of their kinds; returns the special characters in a row."""
    at, run, longest = 0, 0, 0
    while at < len(text):
        character, n_bytes = character_at(text, at)
        at += n_bytes
        kind = kind_of[character]
        of_kind[kind] += character >= 0x80
        run = (run + 1) * (kind >= PUNCTUATION)
        longest = max(longest, run)
    return longest


@compiled(OUT_INT64_ROWS, BYTES, INT64S, BYTES)
def _makeup(data: npt.NDArray[np.uint8], offsets: Ints, kind_of: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    n = len(offsets) - 1
    found, of_kind = np.zeros((5, n), np.int64), np.zeros(len(KINDS), np.int64)
    for i in range(n):
        text = data[offsets[i] : offsets[i + 1]]
        of_kind[:] = 0
        pairs = _count_ascii(text, of_kind)
        if of_kind.sum() < len(text):
            longest = _count_others(text, kind_of, of_kind)
        elif pairs:
            longest = _longest_ascii_run(text)
        else:
            longest = min(of_kind[OTHER], 1)
        found[0, i] = of_kind[LETTER] + of_kind[UPPER] + of_kind[MARK]
        found[1, i] = of_kind[UPPER]
        found[2, i] = of_kind[DIGIT]
        found[3, i] = of_kind[PUNCTUATION] + of_kind[SYMBOL] + of_kind[OTHER]
        found[4, i] = longest
    return found
