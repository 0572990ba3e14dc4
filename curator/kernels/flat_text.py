"""Texts as the bytes and offsets that Arrow holds them in, and the walk over their characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from registry.compiled import inlined

if TYPE_CHECKING:
    import pyarrow as pa


class FlatText(NamedTuple):
    """Texts one after the other: text ``i`` is ``data[offsets[i]:offsets[i + 1]]``, in UTF-8."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]


def flat_text(texts: pa.Array) -> FlatText:
    """The memory of a string array without nulls; nothing is copied but the offsets."""
    import pyarrow as pa

    wide = pa.types.is_large_string(texts.type)
    _, offsets, data = texts.buffers()
    dtype = np.int64 if wide else np.int32
    if not len(texts) or offsets is None:
        return FlatText(np.empty(0, np.uint8), np.zeros(len(texts) + 1, np.int64))
    bounds = np.frombuffer(offsets, dtype)[texts.offset : texts.offset + len(texts) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
    return FlatText(held, bounds.astype(np.int64))


@inlined
def character_at(data: npt.NDArray[np.uint8], at: int) -> tuple[int, int]:
    """``(code point, bytes)`` of the character that begins at ``at``; Arrow has checked that the text is UTF-8."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(data[at + 1]) & 0x3F), 2
    if first < 0xF0:
        low = ((np.int64(data[at + 1]) & 0x3F) << 6) | (np.int64(data[at + 2]) & 0x3F)
        return ((first & 0x0F) << 12) | low, 3
    low = ((np.int64(data[at + 2]) & 0x3F) << 6) | (np.int64(data[at + 3]) & 0x3F)
    return ((first & 0x07) << 18) | ((np.int64(data[at + 1]) & 0x3F) << 12) | low, 4


@inlined
def ascii_blank(byte: int) -> int:
    """1 for tab, line feed, form feed, carriage return and the blank; without branches, so that it is vectorised."""
    return np.uint8(byte == 0x20) | np.uint8(byte == 0x09) | np.uint8(byte == 0x0A) | np.uint8((byte & 0xFE) == 0x0C)
