"""Size and wholeness of a picture from its structure alone, many times faster than decoding it.

A PNG's chunks carry checksums, which are verified. A JPEG is whole when its headers are sound and the end mark is
there; a WebP when it is as long as it says. What is not plainly whole, and every other format, is for a decoder to
judge: ``whole_picture`` then gives None.

Sources: ITU T.81 annex B (JPEG markers), PNG specification sections 5 and 11, WebP container specification (RFC 9649).
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

_START_OF_FRAME = frozenset([0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
_BARE_MARKERS = frozenset([0x01, *range(0xD0, 0xD8)])
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_MODES = {(0, 1), (0, 2), (0, 4), (0, 8), (2, 8), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (6, 8)}
"""(colour type, bits) that every decoder here reads alike; 16 bits a channel are left to the decoder."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MAX_DEFLATE = 1032
"""Bytes that one byte of a deflate stream can give at most: fewer cannot hold the pixels that a header claims."""


class Header(NamedTuple):
    """What the structure of a picture's file says."""

    width: int
    height: int
    extension: str


Bytes = bytes | memoryview


def whole_picture(data: Bytes) -> Header | None:
    """The header of a plainly whole JPEG, PNG or WebP; None when a decoder has to judge."""
    found: Header | None = None
    try:
        if data[:3] == b"\xff\xd8\xff":
            found = _jpeg(data)
        elif data[:8] == _PNG_START:
            found = _png(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            found = _webp(data)
    except (struct.error, IndexError):
        return None
    return found if found is not None and found.width > 0 and found.height > 0 else None


def _jpeg(data: Bytes) -> Header | None:
    """Walk the segments up to the first scan; the end mark must close the file."""
    if data[-2:] != b"\xff\xd9":
        return None
    at, size = 2, None
    while True:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _BARE_MARKERS:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _START_OF_FRAME:
            precision, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            if precision != 8 or components not in (1, 3, 4):
                return None
            size = Header(width, height, "jpg")
        if marker == 0xDA:
            return size
        if length < 2 or marker == 0xD9:
            return None
        at += 2 + length


def _png(data: Bytes) -> Header | None:
    """Walk all chunks and verify their checksums: header first, end last, pixels between."""
    view, at, size, raw, packed = memoryview(data), len(_PNG_START), None, 0, 0
    palette = True
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[at + 4 : end]) != checksum:
            return None
        if size is None:
            width, height, depth, color, packing, filtering, interlace = struct.unpack_from(">IIBBBBB", data, at + 8)
            known = (color, depth) in _PNG_MODES and packing == filtering == 0 and interlace in (0, 1)
            if kind != b"IHDR" or length != 13 or not known:
                return None
            size = Header(width, height, "png")
            palette = color != 3
            raw = height * (1 + (width * depth * _CHANNELS[color] + 7) // 8)
        if kind == b"acTL":  # animated
            return None
        palette = palette or kind == b"PLTE"
        packed += length if kind == b"IDAT" else 0
        at = end + 4
        if kind == b"IEND":
            return size if palette and packed * _MAX_DEFLATE >= raw and at == len(data) else None


def _webp(data: Bytes) -> Header | None:
    """A still picture whose container is exactly as long as it says."""
    (length,) = struct.unpack_from("<I", data, 4)
    kind = data[12:16]
    (chunk,) = struct.unpack_from("<I", data, 16)
    if length + 8 != len(data) or chunk + (chunk & 1) + 20 > len(data):
        return None
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header(width & 0x3FFF, height & 0x3FFF, "webp")
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1, "webp")
    return None
