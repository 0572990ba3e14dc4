"""What structure alone says of a picture is what a decoder says, and damage is never taken for a whole picture."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from registry.image_decoder import BadImage, decoded
from registry.image_header import whole_picture
from registry.images import inspect

MODES = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA"],
}
CASES = [(kind, mode) for kind, modes in MODES.items() for mode in modes]
STARTS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"]
EXTENSION = {"JPEG": "jpg", "PNG": "png"}


def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = (37, 21), **options: Any) -> bytes:
    image = Image.effect_noise(size, 60).convert(mode if mode != "CMYK" else "RGB").convert(mode)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(("kind", "mode"), CASES)
def test_a_whole_picture_is_read_without_decoding(kind: str, mode: str) -> None:
    data = encoded(kind, mode)
    for given_as in (data, memoryview(data)):
        header = whole_picture(given_as)
        assert header == (37, 21, EXTENSION[kind])
        assert inspect(given_as) == (37, 21, EXTENSION[kind])


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 30, "subsampling": 2}, {"exif": b"Exif\0\0MM"}])
def test_jpegs_of_every_kind(options: dict[str, Any]) -> None:
    assert whole_picture(encoded("JPEG", **options)) == (37, 21, "jpg")


def test_a_png_packed_in_another_way() -> None:
    for options in ({"optimize": True}, {"compress_level": 0}):
        assert whole_picture(encoded("PNG", size=(500, 400), **options)) == (500, 400, "png")


@pytest.mark.parametrize("kind", MODES)
def test_a_picture_cut_anywhere_is_not_whole(kind: str) -> None:
    data = encoded(kind, size=(64, 64))
    for cut in {*range(1, len(data), max(1, len(data) // 200)), len(data) - 1}:
        assert whole_picture(data[:cut]) is None, cut


@pytest.mark.parametrize("kind", MODES)
def test_what_is_cut_is_rejected_in_the_end(kind: str) -> None:
    data = encoded(kind, size=(64, 64))
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(BadImage):
            inspect(data[: int(len(data) * share)])


def test_a_png_with_any_byte_changed_is_not_whole() -> None:
    data = bytearray(encoded("PNG", size=(30, 30)))
    chance = random.Random(0)
    for at in chance.sample(range(len(data)), 200):
        changed = bytes(data[:at]) + bytes([data[at] ^ 0x41]) + bytes(data[at + 1 :])
        assert whole_picture(changed) is None, at


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A JPEG in which something happened behind its first two bytes; its end mark is there."""
    changed, at = bytearray(data), chance.randrange(2, len(data) - 2)
    match chance.choice(["bit in the head", "bit", "noise", "marker", "gap", "cut"]):
        case "bit in the head":
            at = chance.randrange(2, data.index(b"\xff\xda") + 14)
            changed[at] ^= 1 << chance.randrange(8)
        case "bit":
            changed[at] ^= 1 << chance.randrange(8)
        case "noise":
            changed[at : at + 300] = chance.randbytes(300)
        case "marker":
            changed[at : at + 2] = b"\xff" + bytes([chance.randrange(1, 255)])
        case "gap":
            del changed[at : at + chance.randrange(1, 500)]
        case _:
            del changed[at:]
    return bytes(changed[:-2] if changed.endswith(b"\xff\xd9") else changed) + b"\xff\xd9"


KINDS_OF_JPEG: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"optimize": True, "subsampling": 2},
    {"restart_marker_blocks": 3},
    {"mode": "L"},
    {"mode": "CMYK"},
]


@pytest.mark.parametrize("options", KINDS_OF_JPEG, ids=str)
def test_a_damaged_jpeg_that_is_taken_for_whole_can_be_decoded(options: dict[str, Any]) -> None:
    """Otherwise it would be found in training only. What no decoder notices is not damage that anybody can find."""
    chance = random.Random(7)
    sound = encoded("JPEG", size=(330, 270), **options)
    doubted = 0
    for _ in range(250):
        data = damaged(sound, chance)
        if whole_picture(data) is not None:
            decoded(data)
        else:
            doubted += 1
    assert 50 < doubted < 250


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(packed: bytes, size: tuple[int, int]) -> bytes:
    """A grey PNG with right checksums around any packed pixels, in two chunks."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    half = len(packed) // 2
    pixels = chunk(b"IDAT", packed[:half]) + chunk(b"IDAT", packed[half:])
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


def test_a_png_whose_checksums_are_right_and_whose_pixels_are_not_is_rejected() -> None:
    width, height = 500, 400
    pixels = b"".join(b"\0" + bytes(i % 256 for i in range(row, row + width)) for row in range(height))
    sound = zlib.compress(pixels)
    assert inspect(png(sound, (width, height))) == (width, height, "png")
    assert whole_picture(png(sound, (width, height))) is not None
    assert whole_picture(png(zlib.compress(pixels + b"more"), (width, height))) is not None
    broken = bytearray(sound)
    broken[len(sound) // 2] ^= 0xFF
    for packed in (bytes(broken), zlib.compress(pixels[:-9]), sound[:-40], b"no deflate stream at all"):
        assert whole_picture(png(packed, (width, height))) is None
        with pytest.raises(BadImage, match="cannot be decoded"):
            inspect(png(packed, (width, height)))


def test_unpacking_a_png_takes_no_more_memory_than_a_step() -> None:
    bomb = png(zlib.compress(bytes(60_002_000), 9), (30_000, 2_000))
    tracemalloc.start()
    assert whole_picture(bomb) == (30_000, 2_000, "png")
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=80), kind=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"])
)
def test_any_bytes_give_an_answer(data: bytes, kind: bytes) -> None:
    whole_picture(kind + data)


def test_others_are_left_to_the_decoder() -> None:
    for kind in ("GIF", "BMP", "TIFF", "WEBP"):
        data = encoded(kind)
        assert whole_picture(data) is None
        assert inspect(data)[:2] == (37, 21)
    sixteen = io.BytesIO()
    Image.new("I;16", (5, 4)).save(sixteen, "PNG")
    assert whole_picture(sixteen.getvalue()) is None
    assert inspect(sixteen.getvalue()) == (5, 4, "png")
