"""Looks of pictures against ImageHash's definition, and near ones against all pairs."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curator.duplicates.looks import SIDE, look_at, look_inside
from curator.duplicates.near_looks import Seen, near_looks, same_looks, turns
from curator.duplicates.same_picture import look_closely, same_picture

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


def by_all_pairs(looks: list[list[int]], distance: int) -> set[tuple[int, int]]:
    """Pairs of pictures, by their numbers, of which a hash of one is near that of the other one, which is whole."""
    pairs = itertools.combinations(range(len(looks)), 2)
    return {
        (a, b)
        for a, b in pairs
        if any(apart(x, looks[b][0]) <= distance for x in looks[a])
        or any(apart(looks[a][0], x) <= distance for x in looks[b])
    }


@settings(max_examples=25, deadline=None)
@given(data=st.data(), distance=st.integers(0, 12))
def test_near_hashes_are_those_of_all_pairs(
    data: st.DataObject, distance: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    near = st.tuples(st.sampled_from(base), st.sets(st.integers(0, 63), max_size=14))
    hashes = near.map(lambda drawn: drawn[0] ^ sum(1 << bit for bit in drawn[1]))
    looks = data.draw(st.lists(st.lists(hashes, min_size=3, max_size=3), min_size=1, max_size=8))
    keys, rows = 2 * np.arange(1, len(looks) + 1, dtype=np.uint64), np.array(looks, np.uint64)
    cut = data.draw(st.integers(0, len(looks)))
    batches = [Seen(keys[cut:], rows[cut:]), Seen(keys[:cut], rows[:cut]), Seen(keys[:1], rows[:1])]
    found = near_looks(batches, len(looks) + 1, distance, tmp_path_factory.mktemp("looks"))
    assert [(a // 2 - 1, b // 2 - 1) for a, b in found.tolist()] == sorted(by_all_pairs(looks, distance))


def test_a_closer_look_decides_and_is_taken_no_oftener_than_needed() -> None:
    pairs = np.array([(2, 4), (2, 6), (4, 6), (8, 10), (10, 12), (20, 22)], np.uint64)
    asked: list[tuple[int, int]] = []

    def same(one: int, other: int) -> bool:
        asked.append((one, other))
        return (one, other) not in {(8, 10), (20, 22)}

    found = same_looks(pairs, same)
    keys = np.array([2, 4, 6, 8, 10, 12, 14, 20, 22], np.uint64)
    assert found.label(keys).tolist() == [2, 2, 2, 8, 10, 10, 14, 20, 22]
    assert (4, 6) not in asked, "they were joined by another one"
    assert len(asked) == len(pairs) - 1


def cropped(picture: Raster, share: float) -> Raster:
    x, y = round(picture.width * share), round(picture.height * share)
    return picture.crop((x, y, picture.width - x, picture.height - y))


def test_a_picture_without_its_border_is_a_candidate_and_the_same(tmp_path: Path) -> None:
    shares = (0.01, 0.02, 0.03, 0.04, 0.05)
    files = [encoded(one) for seed in range(8) for one in (scene(seed), cropped(scene(seed), shares[seed % 5]))]
    hashes, _ = look_inside(files)
    keys = 2 * np.arange(1, len(files) + 1, dtype=np.uint64)
    pairs = near_looks([Seen(keys, hashes)], len(files), 6, tmp_path)

    def same(one: int, other: int) -> bool:
        first, second = (look_closely(files[key // 2 - 1]) for key in (one, other))
        return first is not None and second is not None and same_picture(first, second)

    labels = same_looks(pairs, same).label(keys).tolist()
    assert labels == [int(keys[i - i % 2]) for i in range(len(files))]


@pytest.mark.parametrize("distance", range(13))
def test_some_pair_of_blocks_is_equal_whatever_bits_differ(distance: int) -> None:
    chance = np.random.default_rng(distance)
    ways = turns(distance)
    for _ in range(50):
        bits = set(chance.choice(64, distance, replace=False).tolist())
        assert any(not bits & set(way.order[: way.key_bits].tolist()) for way in ways)
    assert all(sorted(way.order.tolist()) == list(range(64)) for way in ways)
