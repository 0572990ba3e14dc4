r"""Words of texts as numbers: what two texts must share to count as the same, or as nearly the same.

A text is read in lower case (what is beyond ASCII in Unicode's form NFKC). Letters and digits make words; a point or
comma between two digits belongs to the number; a hyphen between letters, all other punctuation and white space only
separate. Signs that carry meaning in formulas and code (``+ - * / = < > % $ # @ ^ & | ~ _ \``) are words of one sign,
and so is each character of a script that is written without spaces. A message begins with a word that says whether it
asks or answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.batch import Texts
from curator.duplicates.ascii_blocks import classified
from curator.kernels.bits import BLOCK, eight, lowest, zeros
from curator.kernels.flat_text import character_at, flat_text
from registry.compiled import (
    BYTES,
    INT64S,
    OUT_BYTES,
    OUT_INT64S,
    OUT_UINT64_ROWS,
    OUT_UINT64S,
    TWO_INTS,
    UINT64S,
    Number,
    compiled,
    inlined,
)

if TYPE_CHECKING:
    import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

_PLAIN, _SIGN, _POINT, _HYPHEN, _LONG = range(5)
"""What a byte asks for; plain ones are looked up in ``_LOWER``, ``_LONG`` begins a character beyond ASCII."""
_SEPARATOR = 0
SIGNS = b"+*/=<>%$#@^&|~_\\"


def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.full(256, _PLAIN, np.uint8)
    kinds[list(SIGNS)] = _SIGN
    kinds[list(b".,")] = _POINT
    kinds[ord("-")] = _HYPHEN
    kinds[0x80:] = _LONG
    return kinds


_KINDS = _kinds()
_LOWER = np.array([ord(chr(c).lower()) if chr(c).isalnum() else _SEPARATOR for c in range(128)], np.uint8)
ASKS, ANSWERS = np.uint64(0x8BB84B93962EACC9), np.uint64(0x2D358DCCAA6C78A5)
"""Words that begin a message which asks, and one which answers."""
_ROLES = np.array([ASKS, ANSWERS], np.uint64)
_K1, _K2, _K3 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_LAST = np.uint64(1 << 63)
_ZERO, _ONE, _7, _8, _16, _27, _29, _30, _31, _63 = (np.uint64(n) for n in (0, 1, 7, 8, 16, 27, 29, 30, 31, 63))
STEP = 1024
"""Samples whose words are made at once."""
_BEHIND = 2 * BLOCK
ROOM = 3 * BLOCK
"""Bytes that a plain text needs beside its own."""


class Worded(NamedTuple):
    """The words of a batch of samples, flat."""

    words: Hashes
    starts: npt.NDArray[np.int64]
    """For each sample, where its words begin; and one more: where the last one's end."""


@inlined
def mix(x: np.uint64) -> np.uint64:
    """A number with all its bits stirred (the finaliser of splitmix64)."""
    x = (x ^ (x >> _30)) * _K2
    x = (x ^ (x >> _27)) * _K3
    return x ^ (x >> _31)


@inlined
def _is_digit(c: Number) -> bool:
    return bool(48 <= c <= 57)


@inlined
def _is_letter(c: Number) -> bool:
    return bool(97 <= (c | 32) <= 122)


@inlined
def _separates(code: int) -> bool:
    """Whether a character beyond ASCII is white space or punctuation."""
    return (
        code < 0xAA
        or code in (0xAB, 0xAD, 0xB6, 0xB7, 0xBB, 0xBF)
        or 0x2000 <= code <= 0x206F
        or 0x3000 <= code <= 0x3003
        or 0x3008 <= code <= 0x301F
        or code == 0x30FB
        or code in (0x060C, 0x061B, 0x061F, 0x06D4, 0x0964, 0x0965)
    )


@inlined
def _stands_alone(code: int) -> bool:
    """Whether a character is of a script without spaces, or a symbol: Thai to Khmer, arrows to signs, CJK, emoji."""
    return (
        0x0E00 <= code <= 0x0EFF
        or 0x1000 <= code <= 0x109F
        or 0x1780 <= code <= 0x17FF
        or 0x20A0 <= code <= 0x2BFF
        or 0x2E80 <= code <= 0xABFF
        or 0xF900 <= code <= 0xFAFF
        or 0x1F000 <= code <= 0x3FFFF
    )


@compiled(TWO_INTS, BYTES, types.int64, OUT_BYTES, types.int64)
def _long(data: npt.NDArray[np.uint8], at: Number, out: npt.NDArray[np.uint8], to: Number) -> tuple[Number, Number]:
    """Write the character beyond ASCII at ``at``; the next positions in ``data`` and in ``out``."""
    code, length = character_at(data, at)
    alone = _stands_alone(code)
    if alone or _separates(code):
        out[to] = _SEPARATOR
        to += 1
    if not _separates(code):
        for i in range(length):
            out[to + i] = data[at + i]
        to += length
    if alone:
        out[to] = _SEPARATOR
        to += 1
    return at + length, to


@compiled(types.int64, BYTES, types.int64, types.int64, types.int64, OUT_BYTES, types.int64)
def _special(data: npt.NDArray[np.uint8], start: int, at: int, end: int, out: npt.NDArray[np.uint8], to: int) -> int:
    """Write the sign, point, comma or hyphen at ``at``; the next position in ``out``."""
    c = data[at]
    before = data[at - 1] if at > start else np.uint8(0)
    after = data[at + 1] if at + 1 < end else np.uint8(0)
    kind = _KINDS[c]
    if kind == _POINT and _is_digit(before) and _is_digit(after):
        out[to] = c
        return to + 1
    out[to] = _SEPARATOR
    if kind == _POINT or (kind == _HYPHEN and _is_letter(before) and _is_letter(after)):
        return to + 1
    out[to + 1] = c
    out[to + 2] = _SEPARATOR
    return to + 3


@compiled(types.int64, BYTES, types.int64, types.int64, OUT_BYTES)
def _slow(data: npt.NDArray[np.uint8], start: int, end: int, out: npt.NDArray[np.uint8]) -> int:
    """Write the text ``data[start:end]`` in lower case, separators between its words; the bytes written."""
    at, to = start, 0
    while at < end:
        c = data[at]
        kind = _KINDS[c]
        if kind == _PLAIN:
            out[to] = _LOWER[c]
            to += 1
            at += 1
        elif kind == _LONG:
            at, to = _long(data, at, out, to)
        else:
            to = _special(data, start, at, end, out, to)
            at += 1
    return to


@compiled(types.boolean, BYTES, types.int64, types.int64, OUT_BYTES)
def _fast(data: npt.NDArray[np.uint8], start: int, end: int, out: npt.NDArray[np.uint8]) -> bool:
    """What ``_slow`` does, 64 bytes at once; False when the text has a sign, a character beyond ASCII or "3.5" in it.

    So many bytes behind the text are read too: ``plain_text`` sees to it that they are there.
    """
    special, before_letter, before_digit, before_point, before_hyphen = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    for at in range(start, end, BLOCK):
        letters, digits, points, hyphens, others = classified(data, at, out, at - start)
        if end - at < BLOCK:
            inside = (_ONE << np.uint64(end - at)) - _ONE
            letters, digits, points = letters & inside, digits & inside, points & inside
            hyphens, others = hyphens & inside, others & inside
        # of a point or hyphen at the end of a block the next one tells what follows
        special |= others | (before_point & digits & _ONE) | (before_hyphen & ~letters & _ONE)
        behind_digits = points & ((digits << _ONE) | before_digit)
        special |= behind_digits & (digits >> _ONE)
        special |= hyphens & ~(((letters << _ONE) | before_letter) & ((letters >> _ONE) | _LAST))
        before_letter, before_digit = letters >> _63, digits >> _63
        before_hyphen = hyphens >> _63
        before_point = behind_digits >> _63
    return bool((special | before_hyphen) == _ZERO)


@compiled(types.int64, BYTES, types.int64, types.int64, OUT_BYTES)
def plain_text(data: npt.NDArray[np.uint8], start: int, end: int, out: npt.NDArray[np.uint8]) -> int:
    """Write ``data[start:end]`` in lower case, separators between its words and ``_BEHIND`` of them behind; its length.

    ``out`` has room for three times the text, and ``ROOM``.
    """
    length: Number = end - start
    if end + BLOCK > len(data) or not _fast(data, start, end, out):
        length = _slow(data, start, end, out)
    out[length : length + _BEHIND] = _SEPARATOR
    return int(length)


@inlined
def _word(text: npt.NDArray[np.uint8], start: Number, size: Number) -> np.uint64:
    """The number of a word: eight bytes after the other are multiplied in, and what is left with its length."""
    at, hashed, left = np.uint64(start), _ZERO, np.uint64(size)
    while left >= _16:
        hashed = (hashed ^ eight(text, at)) * _K1
        hashed ^= hashed >> _29
        at += _8
        left -= _8
    first, second = eight(text, at), eight(text, at + _8)
    further = (hashed ^ first) * _K1
    further ^= further >> _29
    long = left >= _8  # no branch: nobody can foresee it
    hashed = further if long else hashed
    rest = (second if long else first) & ((_ONE << (_8 * (left & _7))) - _ONE)
    return mix((hashed ^ rest) * _K1 + (left & _7))


@compiled(types.int64, BYTES, types.int64, OUT_UINT64S, types.int64)
def _split(text: npt.NDArray[np.uint8], length: int, words: Hashes, n: int) -> int:
    """Hash the words of a plain text into ``words`` from position ``n`` on; the position behind them.

    A block of 64 bytes tells by one comparison where its separators are: where the words begin and end.
    """
    start, separated = np.int64(0), _ONE
    for block in range(0, length + 1, BLOCK):
        empty = zeros(text, block)
        behind = (empty << _ONE) | separated
        begins, ends = ~empty & behind, empty & ~behind
        if separated:
            start = block + np.int64(lowest(begins))
            begins &= begins - _ONE
        while ends:
            words[n] = _word(text, start, block + np.int64(lowest(ends)) - start)
            n += 1
            ends &= ends - _ONE
            start = block + np.int64(lowest(begins))
            begins &= begins - _ONE
        separated = empty >> _63
    return n


@compiled(types.void, BYTES, INT64S, INT64S, INT64S, BYTES, OUT_UINT64S, OUT_INT64S)
def _read(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    sample: npt.NDArray[np.int64],
    message: npt.NDArray[np.int64],
    answer: npt.NDArray[np.uint8],
    words: Hashes,
    starts: npt.NDArray[np.int64],
) -> None:
    """Fill ``words`` and ``starts`` (one a sample, and one more)."""
    longest: Number = 0
    for part in range(len(sample)):
        longest = max(longest, offsets[part + 1] - offsets[part])
    plain = np.empty(3 * longest + ROOM, np.uint8)
    n: Number = 0
    done: Number = 0
    for part in range(len(sample)):
        while done <= sample[part]:
            starts[done] = n
            done += 1
        if part == 0 or message[part] != message[part - 1]:
            words[n] = _ROLES[answer[part]]
            n += 1
        length = plain_text(data, offsets[part], offsets[part + 1], plain)
        n = _split(plain, length, words, n)
    while done < len(starts):
        starts[done] = n
        done += 1


@compiled(types.void, UINT64S, INT64S, OUT_UINT64_ROWS)
def _digest(words: Hashes, starts: npt.NDArray[np.int64], digests: Hashes) -> None:
    for row in range(len(starts) - 1):
        first, second = _K2, _K3
        for i in range(starts[row], starts[row + 1]):
            first = (first ^ words[i]) * _K1
            first ^= first >> _29
            second = (second + words[i]) * _K3
            second ^= second >> _31
        length = np.uint64(starts[row + 1] - starts[row])
        digests[row, 0] = mix(first + length)
        digests[row, 1] = mix(second ^ length)


@compiled(types.void, UINT64S, OUT_UINT64S)
def _stir(numbers: Hashes, stirred: Hashes) -> None:
    for i in range(len(numbers)):
        stirred[i] = mix(numbers[i])


def stirred(numbers: Hashes) -> Hashes:
    """``mix`` of every number."""
    found = np.empty_like(numbers)
    _stir(numbers, found)
    return found


def words_in_steps(texts: Texts, samples: int) -> Iterator[tuple[int, Worded]]:
    """``(first sample, words)`` of a few samples after the other: so few that their words stay near the processor."""
    edges = np.searchsorted(texts.sample, np.arange(0, samples + STEP, STEP))
    for number, (begin, end) in enumerate(itertools.pairwise(edges.tolist())):
        first = number * STEP
        sample, answer = texts.sample[begin:end] - first, texts.answer[begin:end]
        some = Texts(texts.texts[begin:end], sample, answer, texts.message[begin:end])
        yield first, words_of(some, min(STEP, samples - first))


def words_of(texts: Texts, samples: int) -> Worded:
    """The words of a batch of so many samples."""
    data, offsets = flat_text(lower_case(texts.texts))
    lengths = np.diff(offsets)
    words = np.empty(int(lengths.sum()) + len(lengths), np.uint64)
    starts = np.empty(samples + 1, np.int64)
    _read(data, offsets, texts.sample, texts.message, texts.answer.view(np.uint8), words, starts)
    return Worded(words[: int(starts[-1])], starts)


def digests_of(worded: Worded) -> npt.NDArray[np.uint64]:
    """Two numbers for each sample: equal where all words are equal."""
    digests = np.empty((len(worded.starts) - 1, 2), np.uint64)
    _digest(worded.words, worded.starts, digests)
    return digests


@compiled(types.boolean, BYTES, INT64S, OUT_BYTES)
def _beyond_ascii(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], marks: npt.NDArray[np.uint8]) -> bool:
    """Mark the texts that have a character beyond ASCII; whether there is one."""
    some = np.uint8(0)
    for i in range(len(marks)):
        text, together = data[offsets[i] : offsets[i + 1]], np.uint8(0)
        for k in range(len(text)):
            together |= text[k]
        marks[i] = together >> 7
        some |= marks[i]
    return bool(some)


def lower_case(texts: pa.Array) -> pa.Array:
    """Texts beyond ASCII in lower case and one Unicode form; ASCII is left to the kernels."""
    import pyarrow as pa
    import pyarrow.compute as pc

    flat, marks = flat_text(texts), np.empty(len(texts), np.uint8)
    if not _beyond_ascii(flat.data, flat.offsets, marks):
        return texts
    beyond = pa.array(marks.view(np.bool_))
    changed = pc.utf8_lower(pc.utf8_normalize(texts.filter(beyond), form="NFKC"))
    return pc.replace_with_mask(texts, beyond, changed)
