from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from curator.ui import pictures
from curator.ui.pictures import Pictures, made_small
from registry.errors import Refusal
from registry.images import ImageStore
from registry.store import Home
from tests.curator.ui.ui_home import huge_picture


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_fifty_megapixels_become_a_small_picture(kind: str) -> None:
    data = huge_picture()
    if kind == "JPEG":
        data = encoded(Image.open(io.BytesIO(data)), "JPEG")
    small, media = made_small(data, 320)
    assert media == "image/jpeg"
    with Image.open(io.BytesIO(small)) as image:
        assert image.size == (320, 160)
        left, right = image.getpixel((10, 80)), image.getpixel((310, 80))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert (abs(left[0] - 200) < 4, abs(right[0] - 90) < 4) == (True, True)
    assert len(small) < 10_000


def test_a_small_picture_keeps_its_pixels() -> None:
    image = Image.new("RGB", (40, 30), "red")
    image.putpixel((3, 4), (1, 2, 3))
    small, media = made_small(encoded(image), 320)
    assert media == "image/png"
    assert Image.open(io.BytesIO(small)).getpixel((3, 4)) == (1, 2, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_every_kind_of_picture_can_be_shown(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "F") else "PNG"
    small, _ = made_small(encoded(Image.new(mode, (700, 900)), kind), 320)
    assert Image.open(io.BytesIO(small)).size == (249, 320)


def test_nothing_of_the_file_but_pixels_goes_out() -> None:
    image = Image.new("RGB", (600, 600), "green")
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    data = encoded(image, "JPEG", exif=exif, comment=b"SECRET") + b"SECRET<script>"
    assert b"SECRET" in data
    assert b"SECRET" not in made_small(data, 320)[0]


@pytest.mark.parametrize(
    "data", [b"", b"<svg onload=alert(1)>", huge_picture()[:5000], b"\x89PNG\r\n\x1a\n" + bytes(50)]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        made_small(data, 320)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    data = encoded(Image.new("1", (12_000, 12_000)))
    tracemalloc.start()
    with pytest.raises(Refusal, match="too many pixels"):
        made_small(data, 320)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_pictures_are_kept_within_their_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    shown = Pictures(home)
    with pytest.raises(Refusal, match="not in the image store"):
        shown.made("0" * 64, 320)
    with ImageStore(home).writer() as writer:
        refs = [writer.add(encoded(Image.new("RGB", (50, 50), (n, 0, 0)))) for n in range(5)]
    made = [shown.made(ref.sha256, 320) for ref in refs]  # of a store that grew since it was opened
    assert len({data for data, _ in made}) == 5
    monkeypatch.setattr(pictures, "KEPT_BYTES", 2 * len(made[0][0]))
    shown.made(refs[0].sha256, 1600)
    assert len(shown._kept) <= 2
    assert shown.made(refs[1].sha256, 320) == made[1]
