"""Looks of pictures against ImageHash's definition, and near ones against all pairs."""

from __future__ import annotations

import io
import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curator.duplicates.looks import SIDE, look_at
from curator.duplicates.near_looks import near_looks, turns

Raster = Image.Image


def scene(seed: int, width: int = 640, height: int = 480) -> Raster:
    """A picture whose detail falls off with its size, as in photographs."""
    chance = np.random.default_rng(seed)
    sheet = np.full((height, width, 3), 120.0)
    for cells, weight in ((3, 60), (6, 40), (16, 16), (60, 6)):
        small = chance.normal(size=(3, cells, cells)).astype(np.float32) * weight
        layers = [Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC) for one in small]
        sheet += np.stack([np.asarray(layer) for layer in layers], axis=-1)
    return Image.fromarray(np.clip(sheet, 0, 255).astype(np.uint8))


def encoded(picture: Raster, quality: int = 90, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def look(*files: bytes) -> list[tuple[int, bool]]:
    hashes, flat = look_at(files)
    return list(zip(hashes.tolist(), flat.tolist(), strict=True))


def imagehash(data: bytes) -> int:
    """``imagehash.phash`` written out: the signs of 8 x 8 cosine coefficients against their median."""
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float64)
    steps = np.arange(SIDE)
    cosines = np.cos(np.pi * steps[:8, None] * (2 * steps[None] + 1) / (2 * SIDE))
    low = cosines @ pixels @ cosines.T
    return int("".join("1" if above else "0" for above in (low > np.median(low)).flatten()), 2)


def apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def test_hashes_are_those_of_imagehash() -> None:
    files = [
        encoded(scene(seed, *size)) for seed, size in enumerate([(640, 480), (1000, 300), (90, 70), (333, 500)] * 3)
    ]
    distances = [apart(found, imagehash(data)) for (found, _), data in zip(look(*files), files, strict=True)]
    assert np.mean(distances) <= 0.5
    assert max(distances) <= 4
    lossless = [encoded(scene(seed, 200, 150), kind="PNG") for seed in range(6)]
    assert [found for found, _ in look(*lossless)] == list(map(imagehash, lossless))


def test_the_hash_survives_what_happens_to_pictures_and_tells_others_apart() -> None:
    pictures = [scene(seed) for seed in range(12)]
    changed = [
        encoded(picture, 60) if i % 2 else encoded(picture.resize((300, 225), Image.Resampling.LANCZOS))
        for i, picture in enumerate(pictures)
    ]
    before = [found for found, _ in look(*map(encoded, pictures))]
    after = [found for found, _ in look(*changed)]
    assert max(map(apart, before, after)) <= 6
    assert min(apart(a, b) for i, a in enumerate(before) for b in after[:i]) > 12


def test_flat_pictures_have_no_look() -> None:
    dots = Image.new("RGB", (64, 64), "white")
    dots.putpixel((5, 5), (0, 0, 0))
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    half = Image.new("RGB", (64, 64), "white")
    half.paste("black", (0, 0, 32, 64))
    files = [encoded(one, kind="PNG") for one in (Image.new("RGB", (64, 64), "grey"), dots, clear, half)]
    assert [flat for _, flat in look(*files)] == [True, True, True, False]


def test_transparency_is_white_and_modes_do_not_matter() -> None:
    picture = scene(3, 120, 90)
    mask = Image.new("L", picture.size, 255)
    mask.paste(0, (0, 0, 60, 90))
    white = picture.copy()
    white.paste("white", (0, 0, 60, 90))
    holed = picture.copy()
    holed.putalpha(mask)
    opened = [encoded(one, kind="PNG") for one in (white, holed)]
    assert len({found for found, _ in look(*opened)}) == 1
    kinds = [encoded(picture.convert(mode), kind="PNG") for mode in ("L", "I;16", "1", "P")]
    assert apart(look(kinds[0])[0][0], look(kinds[3])[0][0]) <= 6
    assert len(look(*kinds)) == 4


def test_a_damaged_file_counts_as_flat() -> None:
    whole = encoded(scene(1, 100, 80), kind="PNG")
    assert [flat for _, flat in look(whole, whole[: len(whole) // 2], b"no picture")] == [False, True, True]
    assert len(look_at([])[0]) == 0


def by_all_pairs(hashes: npt.NDArray[np.uint64], distance: int) -> dict[int, int]:
    """Each hash with the smallest of its component."""
    ones = hashes.tolist()
    label = {one: one for one in ones}
    for _, a, b in itertools.product(ones, ones, ones):
        if apart(a, b) <= distance:
            label[a] = label[b] = min(label[a], label[b])
    return label


@settings(max_examples=25, deadline=None)
@given(data=st.data(), distance=st.integers(0, 12))
def test_near_hashes_are_those_of_all_pairs(
    data: st.DataObject, distance: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = data.draw(st.lists(st.tuples(st.sampled_from(base), st.sets(st.integers(0, 63), max_size=14)), max_size=8))
    moved = [one ^ sum(1 << bit for bit in bits) for one, bits in flips]
    hashes = np.array(base + moved, np.uint64)
    cut = data.draw(st.integers(0, len(hashes)))
    found = near_looks([hashes[cut:], hashes[:cut]], len(hashes), distance, tmp_path_factory.mktemp("looks"))
    expected = by_all_pairs(hashes, distance)
    assert dict(zip(hashes.tolist(), found.label(hashes).tolist(), strict=True)) == expected


@pytest.mark.parametrize("distance", range(13))
def test_some_pair_of_blocks_is_equal_whatever_bits_differ(distance: int) -> None:
    chance = np.random.default_rng(distance)
    ways = turns(distance)
    for _ in range(50):
        bits = set(chance.choice(64, distance, replace=False).tolist())
        assert any(not bits & set(way.order[: way.key_bits].tolist()) for way in ways)
    assert all(sorted(way.order.tolist()) == list(range(64)) for way in ways)
