"""Digests of texts: of their bytes as they are, and of their normal form, in which the same words are the same bytes.

The normal form of a sample is the words of ``words``, each ended by a byte 0, and before those of a message a byte that
says who speaks. It is made and digested without looking at single words: a block of 64 bytes tells by one comparison
where its separators are, and only a separator behind another one is taken out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from curator.batch import Texts
from curator.duplicates.spill import Entries
from curator.duplicates.words import ROOM, lower_case, plain_text
from curator.kernels.bits import BLOCK, copy_block, folded, lowest, zeros
from curator.kernels.digest import S1, S2, digest_of
from curator.kernels.flat_text import flat_text
from registry.compiled import BYTES, INT64S, OUT_BYTES, OUT_UINT64_ROWS, Number, compiled

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_ASKS, _ANSWERS = np.uint8(1), np.uint8(2)
"""Bytes that no word has: they begin a message."""


def identical_digests(texts: Texts, samples: int) -> Entries:
    """Two numbers a sample: equal where the messages are the same byte for byte, and cut into the same parts."""
    flat = flat_text(texts.texts)
    found = np.zeros((samples, 2), np.uint64)
    _identical(flat.data, flat.offsets, texts.sample, texts.message, texts.answer.view(np.uint8), found)
    return found


def normal_digests(texts: Texts, samples: int) -> Entries:
    """Two numbers a sample: equal where all words of all messages are."""
    flat = flat_text(lower_case(texts.texts))
    found = np.zeros((samples, 2), np.uint64)
    _normal(flat.data, flat.offsets, texts.sample, texts.message, texts.answer.view(np.uint8), found)
    return found


@compiled(types.void, BYTES, INT64S, INT64S, INT64S, BYTES, OUT_UINT64_ROWS)
def _identical(data: Bytes, offsets: Ints, sample: Ints, message: Ints, answer: Bytes, digests: Entries) -> None:
    """Chain the digests of the parts of each sample."""
    for part in range(len(sample)):
        row = sample[part]
        begins = part == 0 or message[part] != message[part - 1]
        seed = np.uint64(answer[part]) + (np.uint64(2) if begins else np.uint64(0))
        first, second = digest_of(data, offsets[part], offsets[part + 1], seed)
        digests[row, 0] = folded(digests[row, 0] ^ S1, S2) ^ first
        digests[row, 1] = folded(digests[row, 1] ^ S2, S1) ^ second


@compiled(types.int64, BYTES, types.int64, OUT_BYTES, types.int64)
def _append(plain: Bytes, length: int, out: Bytes, to: int) -> int:
    """Write plain text behind what ``out`` has, a separator behind each word and no other; the next position.

    Behind the text there are ``BLOCK`` separators and more. What ``out`` has ends with a separator or a role.
    """
    at: Number = 0
    carry = np.uint64(1)
    while at <= length:
        empty = zeros(plain, at)
        dropped = empty & ((empty << np.uint64(1)) | carry)
        carry = empty >> np.uint64(63)
        begin: Number = 0
        while begin < BLOCK:
            size = min(np.int64(lowest(dropped >> np.uint64(begin))), BLOCK - begin)
            copy_block(plain, at + begin, out, to)  # what is too much is written over
            to += size
            begin += size
            if begin < BLOCK:
                begin += np.int64(lowest(~dropped >> np.uint64(begin)))
        at += BLOCK
    return to


@compiled(types.void, BYTES, INT64S, INT64S, INT64S, BYTES, OUT_UINT64_ROWS)
def _normal(data: Bytes, offsets: Ints, sample: Ints, message: Ints, answer: Bytes, digests: Entries) -> None:
    """Write the normal form of each sample, and its digest."""
    longest: Number = 0
    whole: Number = 0
    begin: Number = 0
    for part in range(len(sample)):
        if sample[part] != sample[begin]:
            begin = part
        longest = max(longest, offsets[part + 1] - offsets[part])
        whole = max(whole, offsets[part + 1] - offsets[begin] + part - begin)
    plain = np.empty(3 * longest + ROOM, np.uint8)
    normal = np.empty(3 * whole + ROOM, np.uint8)
    to: Number = 0
    for part in range(len(sample)):
        if part == 0 or message[part] != message[part - 1]:
            normal[to] = _ANSWERS if answer[part] else _ASKS
            to += 1
        length = plain_text(data, offsets[part], offsets[part + 1], plain)
        to = _append(plain, length, normal, to)
        if part + 1 == len(sample) or sample[part + 1] != sample[part]:
            digests[sample[part], 0], digests[sample[part], 1] = digest_of(normal, 0, to, S1)
            to = 0
