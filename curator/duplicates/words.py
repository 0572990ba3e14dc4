r"""Words of texts as numbers: what two texts must share to count as the same, or as nearly the same.

A text is read in lower case (what is beyond ASCII in Unicode's form NFKC). Letters and digits make words; a point or
comma between two digits belongs to the number; a hyphen between letters, all other punctuation and white space only
separate. Signs that carry meaning in formulas and code (``+ - * / = < > % $ # @ ^ & | ~ _ \``) are words of one sign,
and so is each character of a script that is written without spaces. A message begins with a word that says whether it
asks or answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.compiled import (
    BYTES,
    INT32S,
    INT64S,
    OUT_BYTES,
    OUT_INT64S,
    OUT_UINT64S,
    TWO_INTS,
    UINT64S,
    Number,
    compiled,
    inlined,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from curator.batch import Texts

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
_ZERO, _ONE, _2, _3, _4, _5, _6, _7, _8 = (np.uint64(n) for n in range(9))
_16, _24, _27, _29, _30, _31, _32, _56 = (np.uint64(n) for n in (16, 24, 27, 29, 30, 31, 32, 56))
_ONES, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)


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


@compiled(TWO_INTS, BYTES, types.int64, types.int64)
def _character(data: npt.NDArray[np.uint8], at: Number, end: Number) -> tuple[Number, Number]:
    """``(code point, bytes)`` of the character beyond ASCII that begins at ``at``."""
    lead = np.int64(data[at])
    length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    length = min(length, end - at)
    code = lead & (0x7F >> length)
    for i in range(1, length):
        code = (code << 6) | (np.int64(data[at + i]) & 0x3F)
    return code, length


@compiled(TWO_INTS, BYTES, types.int64, types.int64, OUT_BYTES, types.int64)
def _long(
    data: npt.NDArray[np.uint8], at: Number, end: Number, out: npt.NDArray[np.uint8], to: Number
) -> tuple[Number, Number]:
    """Write the character beyond ASCII at ``at``; the next positions in ``data`` and in ``out``."""
    code, length = _character(data, at, end)
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
            at, to = _long(data, at, end, out, to)
        else:
            to = _special(data, start, at, end, out, to)
            at += 1
    return to


@compiled(types.boolean, BYTES, types.int64, types.int64, OUT_BYTES)
def _fast(data: npt.NDArray[np.uint8], start: int, end: int, out: npt.NDArray[np.uint8]) -> bool:
    """What ``_slow`` does, many bytes at once; False when the text has a sign, or a character beyond ASCII, in it.

    The bytes around the text are looked at too: ``_read`` sees to it that they are there.
    """
    texts, befores, afters = data[start:end], data[start - 1 : end - 1], data[start + 1 : end + 1]
    special = np.uint8((data[start] == 45) | (data[end - 1] == 45))
    for i in range(len(texts)):
        c, before, after = texts[i], befores[i], afters[i]
        lower = np.uint8(c | np.uint8(32))
        letter = np.uint8(lower - np.uint8(97)) < np.uint8(26)
        digit = np.uint8(c - np.uint8(48)) < np.uint8(10)
        digits = (np.uint8(before - np.uint8(48)) < np.uint8(10)) & (np.uint8(after - np.uint8(48)) < np.uint8(10))
        letters = (np.uint8(np.uint8(before | np.uint8(32)) - np.uint8(97)) < np.uint8(26)) & (
            np.uint8(np.uint8(after | np.uint8(32)) - np.uint8(97)) < np.uint8(26)
        )
        point = (c == 44) | (c == 46)
        sign = (c == 35) | (c == 36) | (c == 37) | (c == 38) | (c == 42) | (c == 43) | (c == 47)
        sign = sign | ((c >= 60) & (c <= 62)) | (c == 64) | (c == 92) | (c == 94) | (c == 95) | (c == 124) | (c == 126)
        special = np.uint8(special | np.uint8(sign | ((c == 45) & (not letters)) | (c >= 128) | (point & digits)))
        out[i] = lower if letter else c if digit else np.uint8(_SEPARATOR)
    return bool(special == 0)


@inlined
def _eight(text: npt.NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Eight bytes as one number, the first one lowest; compiled to a single load."""
    low = np.uint64(text[at]) | (np.uint64(text[at + _ONE]) << _8)
    low |= (np.uint64(text[at + _2]) << _16) | (np.uint64(text[at + _3]) << _24)
    high = np.uint64(text[at + _4]) | (np.uint64(text[at + _5]) << _8)
    high |= (np.uint64(text[at + _6]) << _16) | (np.uint64(text[at + _7]) << _24)
    return low | (high << _32)


@compiled(types.int64, OUT_BYTES, types.int64, OUT_UINT64S, types.int64)
def _split(text: npt.NDArray[np.uint8], length: int, words: Hashes, n: int) -> int:
    """Hash the words of a plain text into ``words`` from position ``n`` on; the position behind them.

    Eight bytes are looked at together: subtracting one from each borrows into the high bit of the first that is 0.
    """
    text[length : length + 8] = _SEPARATOR
    at, hashed, end = _ZERO, _ZERO, np.uint64(length)
    while at < end:
        eight = _eight(text, at)
        zeros = (eight - _ONES) & ~eight & _HIGH
        if zeros == _ZERO:
            hashed = (hashed ^ eight) * _K1
            hashed ^= hashed >> _29
            at += _8
            continue
        before = ((zeros & (_ZERO - zeros)) >> _7) - _ONE
        size = ((before & _ONES) * _ONES) >> _56
        if (size | hashed) != _ZERO:
            words[n] = mix((hashed ^ (eight & before)) * _K1 + size)
            n += 1
            hashed = _ZERO
        at += size + _ONE
    return n


@compiled(types.void, BYTES, INT32S, INT64S, INT64S, BYTES, OUT_UINT64S, OUT_INT64S)
def _read(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    sample: npt.NDArray[np.int64],
    message: npt.NDArray[np.int64],
    answer: npt.NDArray[np.uint8],
    words: Hashes,
    starts: npt.NDArray[np.int64],
) -> None:
    """Fill ``words`` and ``starts`` (one a sample, and one more)."""
    longest: Number = 0
    for part in range(len(sample)):
        longest = max(longest, np.int64(offsets[part + 1] - offsets[part]))
    plain = np.empty(3 * longest + 8, np.uint8)
    n: Number = 0
    done: Number = 0
    for part in range(len(sample)):
        while done <= sample[part]:
            starts[done] = n
            done += 1
        if part == 0 or message[part] != message[part - 1]:
            words[n] = _ROLES[answer[part]]
            n += 1
        start, end = offsets[part], offsets[part + 1]
        length: Number = np.int64(end - start)
        # a byte on either side is looked at on the fast path, and the text's own ends are not the array's
        edge = start == 0 or end == len(data)
        if start == end:
            length = np.int64(0)
        elif edge or not _fast(data, start, end, plain):
            length = _slow(data, start, end, plain)
        n = _split(plain, length, words, n)
    while done < len(starts):
        starts[done] = n
        done += 1


@compiled(types.void, UINT64S, INT64S, OUT_UINT64S)
def _digest(words: Hashes, starts: npt.NDArray[np.int64], digests: Hashes) -> None:
    for row in range(len(starts) - 1):
        first, second = _K2, _K3
        for i in range(starts[row], starts[row + 1]):
            first = (first ^ words[i]) * _K1
            first ^= first >> _29
            second = (second + words[i]) * _K3
            second ^= second >> _31
        length = np.uint64(starts[row + 1] - starts[row])
        digests[2 * row] = mix(first + length)
        digests[2 * row + 1] = mix(second ^ length)


@compiled(types.void, UINT64S, OUT_UINT64S)
def _stir(numbers: Hashes, stirred: Hashes) -> None:
    for i in range(len(numbers)):
        stirred[i] = mix(numbers[i])


def stirred(numbers: Hashes) -> Hashes:
    """``mix`` of every number."""
    found = np.empty_like(numbers)
    _stir(numbers, found)
    return found


def words_of(texts: Texts, samples: int) -> Worded:
    """The words of a batch of so many samples."""
    data, offsets = _buffers(_lower(texts.texts))
    lengths = np.diff(offsets)
    words = np.empty(int(lengths.sum()) + len(lengths), np.uint64)
    starts = np.empty(samples + 1, np.int64)
    _read(data, offsets, texts.sample, texts.message, texts.answer.view(np.uint8), words, starts)
    return Worded(words[: int(starts[-1])], starts)


def digests_of(worded: Worded) -> npt.NDArray[np.uint64]:
    """128 bits for each sample, as two numbers one after the other: equal where all words are equal."""
    digests = np.empty(2 * (len(worded.starts) - 1), np.uint64)
    _digest(worded.words, worded.starts, digests)
    return digests


def _lower(texts: pa.Array) -> pa.Array:
    """Texts beyond ASCII in lower case and one Unicode form; ASCII is left to the kernels."""
    import pyarrow.compute as pc

    beyond = pc.invert(pc.string_is_ascii(texts))
    if not pc.any(beyond).as_py():
        return texts
    changed = pc.utf8_lower(pc.utf8_normalize(texts.filter(beyond), form="NFKC"))
    return pc.replace_with_mask(texts, beyond, changed)


def _buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Bytes and offsets of an array of strings without nulls, not copied."""
    _, offsets, data = texts.buffers()
    numbers = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data if data is not None else b"", np.uint8), numbers
