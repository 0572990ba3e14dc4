"""Order keys: MurmurHash64A of texts, chained over columns, so that any language or engine can compute them again.

The key of ``(url, caption)`` is ``murmur(caption, murmur(url, seed))`` over the UTF-8 bytes, with Austin Appleby's
constants; a seed goes through ``registry.identity.order_key`` first. The hash functions of polars and duckdb are
faster to write down and may change with their versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from curator.compiled import OUT_UINT64S, UINT64S, compiled, inlined

if TYPE_CHECKING:
    import pyarrow as pa

Keys = npt.NDArray[np.uint64]

_FACTOR = np.uint64(0xC6A4A7935BD1E995)
_SHIFT = np.uint64(47)
_INLINE = 12
"""Bytes of the longest text that Arrow keeps in the view itself."""


def chain(texts: pa.Array, keys: Keys) -> None:
    """Replace each key by the hash of the text beside it, seeded with that key.

    Args:
        texts: an array of ``string_view`` without nulls.
        keys: one a text; written to.
    """
    _, views, *buffers = texts.buffers()
    if len(texts):
        addresses = np.array([buffer.address for buffer in buffers], np.uint64)
        _chain(np.uint64(views.address + 16 * texts.offset), addresses, keys)


def _loaded(kind: Any) -> Any:
    """A function of kernels that reads such a number from an address, least byte first, wherever it lies."""

    def typed(_typing: Any, _address: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], context.get_data_type(kind).as_pointer())
            return builder.zext(builder.load(pointer, align=1), context.get_data_type(types.uint64))

        return types.uint64(types.uint64), generate

    return intrinsic(typed)


_byte_at = _loaded(types.uint8)
_eight_at = _loaded(types.uint64)


@inlined
def _mixed(word: int) -> int:
    word = np.uint64(word) * _FACTOR
    return (word ^ (word >> _SHIFT)) * _FACTOR


@compiled(types.void, types.uint64, UINT64S, OUT_UINT64S)
def _chain(views: int, buffers: Keys, keys: Keys) -> None:
    eight, low = np.uint64(8), np.uint64(0xFFFFFFFF)
    for i in range(len(keys)):
        view = np.uint64(views) + np.uint64(16) * np.uint64(i)
        length = _eight_at(view) & low
        at = view + np.uint64(4)
        if length > np.uint64(_INLINE):
            place = _eight_at(view + eight)
            at = buffers[np.int64(place & low)] + (place >> np.uint64(32))
        end = at + length
        key = keys[i] ^ (length * _FACTOR)
        while at + eight <= end:
            key = (key ^ _mixed(_eight_at(at))) * _FACTOR
            at += eight
        if at < end:
            rest, shift = np.uint64(0), np.uint64(0)
            while at < end:
                rest |= _byte_at(at) << shift
                shift += eight
                at += np.uint64(1)
            key = (key ^ rest) * _FACTOR
        key = (key ^ (key >> _SHIFT)) * _FACTOR
        keys[i] = key ^ (key >> _SHIFT)
