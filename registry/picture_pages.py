"""Where each picture lies in a parquet file: pages that are neither compressed nor encoded are walked, not decoded.

Parquet lets a reader have a whole row group or nothing. ``curator publish`` writes pictures plain, so that each is a
slice of the file; then one picture is one positioned read, and the row group around it is left alone. The walk reads
page headers (Thrift's compact protocol) and the length before each picture, and checks all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.permutation import Indices

if TYPE_CHECKING:
    import pyarrow.parquet as pq

PICTURES = "images.list.element.bytes"
_PLAIN, _V1, _V2 = 0, 0, 3
"""Numbers of an encoding and of two kinds of pages, as the format has them."""


class UnfitPageError(ValueError):
    """These bytes are not pages of plain values; the message says why."""


def picture_chunk(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """First byte and end of the pictures of a row group in its file; UnfitPageError when they are not plain."""
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == PICTURES:
            if column.compression != "UNCOMPRESSED" or column.has_dictionary_page:
                raise UnfitPageError("its pictures are compressed")
            return column.data_page_offset, column.data_page_offset + column.total_compressed_size
    raise UnfitPageError("it has no pictures' bytes")


def plain_values(chunk: Any) -> tuple[Indices, Indices]:
    """Start and length of every value of a column chunk (anything with the buffer protocol), nulls left out."""
    found: list[tuple[int, int]] = []
    try:
        with memoryview(chunk).cast("B") as data:
            start = 0
            while start < len(data):
                header, body = _header(data, start)
                start = body + _page_size(header)
                if start > len(data):
                    raise UnfitPageError("a page ends behind its column")
                found += _page_values(data, body + _levels(header, data, body), start)
    except (IndexError, KeyError, struct.error):
        raise UnfitPageError("a page header is damaged") from None
    places = np.array(found, dtype=np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def _page_size(header: dict[int, Any]) -> int:
    """Bytes of a page after its header."""
    plain, stored = int(header[2]), int(header[3])
    if plain != stored or stored < 0:
        raise UnfitPageError("its pictures are compressed")
    return stored


def _levels(header: dict[int, Any], data: memoryview, body: int) -> int:
    """Bytes of a page before its values: which of them begin a row, and which are null."""
    kind = header[1]
    if kind not in (_V1, _V2):
        raise UnfitPageError(f"it has a page of kind {kind}")
    told = header[5 if kind == _V1 else 8]
    if told[2 if kind == _V1 else 4] != _PLAIN:
        raise UnfitPageError("its pictures are encoded")
    if kind == _V2:
        return int(told[5]) + int(told[6])
    (repeats,) = struct.unpack_from("<I", data, body)
    (nulls,) = struct.unpack_from("<I", data, body + 4 + repeats)
    return 8 + int(repeats) + int(nulls)


def _page_values(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        (length,) = struct.unpack_from("<I", data, start)
        start += 4
        if length > end - start:
            raise UnfitPageError("a picture ends behind its page")
        yield start, length
        start += length
    if start != end:
        raise UnfitPageError("a picture begins behind its page")


def _header(data: memoryview, start: int) -> tuple[dict[int, Any], int]:
    reader = _Compact(data, start)
    return reader.struct(), reader.place


class _Compact:
    """Thrift's compact protocol, as far as page headers use it: structs of numbers, truth values and bytes."""

    def __init__(self, data: memoryview, place: int) -> None:
        self._data = data
        self.place = place

    def struct(self) -> dict[int, Any]:
        """Number of each field -> value."""
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._integer()
            fields[number] = self._value(kind & 15)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 8:
            size = self._unsigned()
            self.place += size
            return size
        if kind == 12:
            return self.struct()
        raise UnfitPageError(f"a page header holds a value of kind {kind}")

    def _byte(self) -> int:
        value = self._data[self.place]
        self.place += 1
        return value

    def _unsigned(self) -> int:
        value, shift = 0, 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def _integer(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)
