"""Order of rows: one key a row, from a seed and the sample's id alone, for whole columns at once.

The key of an id is MurmurHash64A (Austin Appleby's constants) of its 32 characters, that of a further copy of it
MurmurHash64A of the copy's number, seeded with the key before; the seed is ``order_key`` of what the order is for. So
nothing depends on the order of files, the layout of their row groups, a library's version or the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from registry.errors import Refusal
from registry.identity import order_key

if TYPE_CHECKING:
    import pyarrow as pa

ID_LENGTH = 32
"""Characters of a sample's id."""

Keys = npt.NDArray[np.uint64]
Words = npt.NDArray[np.uint64]

_FACTOR = np.uint64(0xC6A4A7935BD1E995)
_SHIFT = np.uint64(47)


def id_words(ids: pa.ChunkedArray) -> Words:
    """The characters of ids as ``[rows, 4]`` numbers of eight bytes each; raises Refusal for what is no id."""
    import pyarrow as pa

    column = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if isinstance(column, pa.ChunkedArray):  # without any chunk
        return np.empty((0, ID_LENGTH // 8), np.uint64)
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    if column.null_count or (len(column) and (np.diff(ends) != ID_LENGTH).any()):
        raise Refusal("samples", f"an id has not the {ID_LENGTH} characters of one", "pull the dataset again")
    start = int(ends[0]) if len(column) else 0
    found = np.frombuffer(data or b"", np.uint8)[start : start + ID_LENGTH * len(column)]
    return found.view("<u8").reshape(-1, ID_LENGTH // 8)


def order_keys(words: Words, copies: npt.NDArray[np.int32], *start: str | int) -> Keys:
    """The key of every row.

    Args:
        words: ``id_words`` of the rows.
        copies: which copy of its id each row is, from 0.
        start: what the order is for, such as a seed.
    """
    keys = _murmur(words, np.full(len(words), order_key(*start), np.uint64))
    further = np.flatnonzero(copies)
    keys[further] = _murmur(copies[further].astype(np.uint64)[:, None], keys[further])
    return keys


def copy_numbers(words: Words) -> npt.NDArray[np.int32]:
    """How many rows before each one have the same id."""
    keys = _murmur(words, np.zeros(len(words), np.uint64))
    order = np.argsort(keys, kind="stable")
    first = np.ones(len(words), np.bool_)
    first[1:] = _differ(words, order)
    if (first[1:] & (keys[order][1:] == keys[order][:-1])).any():  # two ids with one key: 1 in 10^7 for a million
        order = np.lexsort(words.T)
        first[1:] = _differ(words, order)
    starts = np.maximum.accumulate(np.where(first, np.arange(len(words)), 0))
    copies = np.empty(len(words), np.int32)
    copies[order] = np.arange(len(words)) - starts
    return copies


def _differ(words: Words, order: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each id differs from the one before it in this order, from the second on."""
    ordered = words[order]
    return np.asarray((ordered[1:] != ordered[:-1]).any(axis=1))


def _murmur(words: Words, keys: Keys) -> Keys:
    """MurmurHash64A of rows of whole words, seeded with the key of each."""
    keys = keys ^ np.uint64(8 * words.shape[1] * int(_FACTOR) % 2**64)
    for column in words.T:
        word = column * _FACTOR
        word ^= word >> _SHIFT
        word *= _FACTOR
        keys = (keys ^ word) * _FACTOR
    keys = (keys ^ (keys >> _SHIFT)) * _FACTOR
    return keys ^ (keys >> _SHIFT)
