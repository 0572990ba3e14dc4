"""Pictures as datasets really hold them: each kind ends as a good sample, or as a rejected row with its reason."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curator.normalise import normalise
from curator.pull import offer_from_folder, pull
from registry.image_decoder import eight_bits
from registry.images import ImageStore
from registry.store import Home
from tests.curator.data_home import rows_of, write_card, write_parquet
from trainers.picture import PictureSettings, square

SIZE = (300, 260)
"""Larger than what is always decoded, so that the structure is what is judged."""


def noise(mode: str = "RGB") -> Image.Image:
    image = Image.effect_noise(SIZE, 80)
    return image.convert("RGB").convert(mode) if mode != "I;16" else Image.new("I;16", SIZE, 40_000)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def rotated() -> bytes:
    """A JPEG whose EXIF data says that it is to be turned by 90 degrees; its pixels stay as they are stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(noise(), "JPEG", exif=exif)


def animated(kind: str) -> bytes:
    frames = [noise(), noise(), noise()]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def bomb() -> bytes:
    """A small PNG that claims thirty thousand pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")
    )


GOOD = {
    "jpeg": saved(noise(), "JPEG"),
    "progressive": saved(noise(), "JPEG", progressive=True),
    "grey": saved(noise("L"), "JPEG"),
    "cmyk": saved(noise("CMYK"), "JPEG"),
    "exif-rotated": rotated(),
    "palette": saved(noise("P"), "PNG"),
    "transparent": saved(noise("RGBA"), "PNG"),
    "two-colours": saved(noise("1"), "PNG"),
    "sixteen-bit": saved(noise("I;16"), "PNG"),
    "webp": saved(noise(), "WEBP"),
    "gif": saved(noise(), "GIF"),
    "animated-gif": animated("GIF"),
    "animated-webp": animated("WEBP"),
    "animated-png": animated("PNG"),
    "bmp": saved(noise(), "BMP"),
    "tiff": saved(noise(), "TIFF"),
    "real-numbers": saved(noise("F"), "TIFF"),
}
BAD = {
    "nothing": (b"", "image is empty"),
    "cut jpeg": (saved(noise(), "JPEG")[:-400], "image cannot be decoded"),
    "cut png": (saved(noise(), "PNG")[:-400], "image cannot be decoded"),
    "cut webp": (saved(noise(), "WEBP")[:-400], "image cannot be decoded"),
    "page": (b"<!DOCTYPE html><html>404 Not Found</html>", "not a picture"),
    "bomb": (bomb(), "image has too many pixels"),
}


def normalised(home: Home, folder: Path, pictures: dict[str, bytes]) -> Path:
    """Samples of these pictures, embedded; every file is called ``.png``, whatever is in it."""
    rows = [{"id": n, "image": {"bytes": d, "path": "wrong-extension.png"}, "caption": n} for n, d in pictures.items()]
    write_parquet(folder / "p" / "train.parquet", rows)
    card = write_card(home, "kinds", format="caption_pairs")
    raw = pull(home, offer_from_folder(card, folder / "p")).folder
    return normalise(home, card, raw, allow_rejected=True).folder


@pytest.mark.parametrize("name", GOOD)
def test_a_kind_of_picture_becomes_a_sample_that_training_reads(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (row,) = rows_of(normalised(home, tmp_path, {name: GOOD[name]}))
    (image,) = row["images"]
    assert (image["width"], image["height"]) == SIZE
    store = ImageStore(home)
    assert store.read(image["sha256"]) == GOOD[name]
    settings = PictureSettings(size=48, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    square(GOOD[name], settings, name)
    store.close()


def test_sixteen_bits_keep_their_shades() -> None:
    settings = PictureSettings(size=48, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert abs(int(square(GOOD["sixteen-bit"], settings, "x").max()) - 40_000 // 256) <= 1


@pytest.mark.parametrize(
    ("low", "high", "darkest", "lightest"),
    [(0.0, 1.0, 0, 255), (0.2, 0.6, 51, 153), (10.0, 200.0, 10, 200), (-40.0, 4000.0, 0, 255), (-5.0, -5.0, 0, 0)],
)
def test_real_numbers_keep_their_shades(low: float, high: float, darkest: int, lightest: int) -> None:
    """Pillow alone makes all of a picture of shades from 0 to 1 black."""
    ramp = np.tile(np.linspace(low, high, SIZE[0], dtype=np.float32), (SIZE[1], 1))
    data = saved(Image.fromarray(ramp), "TIFF")
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "F"
        shades = np.asarray(eight_bits(image))
    assert (int(shades[0, 0]), int(shades[0, -1])) == (darkest, lightest)
    seen = square(data, PictureSettings(size=SIZE[0], mean=(0.5, 0.5, 0.5)), "x")[SIZE[0] // 2, :, 0]
    assert (int(seen[0]), int(seen[-1])) == (darkest, lightest)


def test_numbers_that_are_none_are_dark() -> None:
    odd = np.array([[np.nan, np.inf, 1.0]], dtype=np.float32)
    assert np.asarray(eight_bits(Image.fromarray(odd))).tolist() == [[0, 0, 255]]


def test_bad_pictures_are_set_aside_with_their_reasons_and_lose_no_row(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    folder = normalised(home, tmp_path, {**{name: data for name, (data, _) in BAD.items()}, "good": GOOD["jpeg"]})
    assert [row["source_id"] for row in rows_of(folder)] == ["good"]
    rejected = {row["source_id"]: row["reason"] for row in rows_of(folder, "rejected.parquet")}
    assert rejected == {name: reason for name, (_, reason) in BAD.items()}


def test_a_picture_of_two_datasets_is_stored_once_and_a_home_can_be_moved(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for name in ("first", "second"):
        rows = [{"image": {"bytes": GOOD["jpeg"], "path": "a.jpg"}, "caption": name}]
        write_parquet(tmp_path / name / "train.parquet", rows)
        card = write_card(home, name, format="caption_pairs")
        normalise(home, card, pull(home, offer_from_folder(card, tmp_path / name)).folder)
    assert len(list(home.images.glob("*.tar"))) == 1
    moved = Home(home.path.rename(tmp_path / "elsewhere"))
    store = ImageStore(moved)
    for folder in moved.finished("samples"):
        (row,) = rows_of(folder)
        assert store.read(row["images"][0]["sha256"]) == GOOD["jpeg"]
    store.close()
    written = [path for path in moved.path.rglob("*") if path.is_file() and path.suffix in (".json", ".jsonl", ".yaml")]
    assert not [path for path in written if str(tmp_path) in path.read_text()]
