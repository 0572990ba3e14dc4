"""128 bits for a run of bytes: a function of our own, so that no other version of a library says something else.

Sixteen bytes at a time are multiplied into one of four lanes, 64 x 64 to 128 bits, and both halves of the product are
laid over each other (as in wyhash and its kin); the lanes are multiplied into each other at the end. It is no
protection against somebody who looks for two texts with one digest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from curator.kernels.bits import eight, folded
from registry.compiled import BYTES, Number, compiled, inlined

Bytes = npt.NDArray[np.uint8]

S0, S1, S2, S3 = (
    np.uint64(n) for n in (0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3)
)
"""Odd numbers with as many ones as zeros, in each byte too."""
_8, _16, _24, _32, _40, _48, _56, _64 = (np.uint64(8 * n) for n in range(1, 9))

TWO_WORDS = types.containers.UniTuple(types.uint64, 2)


@inlined
def _some(data: Bytes, at: np.uint64, size: np.uint64) -> np.uint64:
    """Up to eight bytes as one number, the first one lowest."""
    found = np.uint64(0)
    for i in range(size):
        found |= np.uint64(data[at + np.uint64(i)]) << np.uint64(8 * i)
    return found


@compiled(TWO_WORDS, BYTES, types.int64, types.int64, types.uint64)
def digest_of(data: Bytes, start: Number, end: Number, seed: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Two numbers for ``data[start:end]``; with another seed two others."""
    at, left = np.uint64(start), np.uint64(end - start)
    size = left
    a, b, c, d = seed ^ S0, seed ^ S1, seed ^ S2, seed ^ S3
    while left >= _64:
        a = folded(eight(data, at) ^ a, eight(data, at + _8) ^ S1)
        b = folded(eight(data, at + _16) ^ b, eight(data, at + _24) ^ S2)
        c = folded(eight(data, at + _32) ^ c, eight(data, at + _40) ^ S3)
        d = folded(eight(data, at + _48) ^ d, eight(data, at + _56) ^ S0)
        at += _64
        left -= _64
    while left >= _16:
        a, b, c, d = b, c, d, folded(eight(data, at) ^ a, eight(data, at + _8) ^ S1)
        at += _16
        left -= _16
    if left >= _8:
        b = folded(eight(data, at) ^ b, _some(data, at + _8, left - _8) ^ S2)
    elif left:
        b = folded(_some(data, at, left) ^ b, S2)
    first, second = folded(a ^ size, b ^ S3), folded(c ^ S0, d ^ size)
    return folded(first ^ S1, second ^ S2) ^ first, folded(first ^ S3, second ^ S0) ^ second
