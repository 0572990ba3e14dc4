"""What structure alone says of a picture is what a decoder says, and damage is never taken for a whole picture."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from registry.image_header import whole_picture
from registry.images import BadImage, inspect

MODES = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA"],
    "WEBP": ["RGB", "RGBA"],
}
CASES = [(kind, mode) for kind, modes in MODES.items() for mode in modes]
STARTS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"]
EXTENSION = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}


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
        if (kind, mode) == ("WEBP", "RGBA") and header is None:
            continue  # an extended container: the decoder judges
        assert header == (37, 21, EXTENSION[kind])
        assert inspect(given_as) == (37, 21, EXTENSION[kind])


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 30, "subsampling": 2}, {"exif": b"Exif\0\0MM"}])
def test_jpegs_of_every_kind(options: dict[str, Any]) -> None:
    assert whole_picture(encoded("JPEG", **options)) == (37, 21, "jpg")


def test_an_interlaced_or_lossless_picture() -> None:
    assert whole_picture(encoded("WEBP", lossless=True)) == (37, 21, "webp")
    assert whole_picture(encoded("PNG", optimize=True)) == (37, 21, "png")


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


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=80), kind=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"])
)
def test_any_bytes_give_an_answer(data: bytes, kind: bytes) -> None:
    whole_picture(kind + data)


def test_others_are_left_to_the_decoder() -> None:
    for kind in ("GIF", "BMP", "TIFF"):
        data = encoded(kind)
        assert whole_picture(data) is None
        assert inspect(data)[:2] == (37, 21)
    sixteen = io.BytesIO()
    Image.new("I;16", (5, 4)).save(sixteen, "PNG")
    assert whole_picture(sixteen.getvalue()) is None
    assert inspect(sixteen.getvalue()) == (5, 4, "png")
