from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from itertools import combinations

import pytest
from PIL import Image, ImageStat

from curator.demo.captions import POLYGON_NAMES, caption
from curator.demo.draws import Draws
from curator.demo.pictures import PAINTS, PIXELS, encode_png, picture_bytes, render
from curator.demo.questions import OUTCOMES
from curator.demo.scenes import (
    COLORS,
    CONTROLS,
    COUNTRIES,
    FILLS,
    PAIRS,
    PLACES,
    SHAPES,
    SIDES,
    THEMES,
    Blank,
    Flag,
    Magnets,
    Polygon,
    Scene,
    Screen,
    Shapes,
    Thing,
    any_scene,
)


def alike(look: int) -> dict[str, list[Scene]]:
    """Scenes of each type that differ in what is asked for and in nothing else."""
    return {
        "shapes": [Shapes((Thing(color, shape), None, None, None), look) for color in COLORS for shape in SHAPES],
        "places": [
            Shapes(tuple(Thing("red", "star") if cell == place else None for cell in range(4)), look)
            for place in range(4)
        ],
        "magnets": [Magnets(pair, look) for pair in PAIRS],
        "polygons": [Polygon(sides, fill, "blue", look) for sides in SIDES for fill in FILLS],
        "flags": [Flag(country, look) for country in COUNTRIES],
        "screens": [Screen(control, theme, look) for control in CONTROLS for theme in THEMES],
    }


def distance(a: Image.Image, b: Image.Image) -> float:
    """Mean absolute difference of the channels, 0..255."""
    pairs = zip(a.tobytes(), b.tobytes(), strict=True)
    return sum(abs(x - y) for x, y in pairs) / (3 * PIXELS * PIXELS)


# --- draws


def test_draws_are_the_same_everywhere() -> None:
    """A change of these figures changes every picture of every world."""
    draws = Draws("golden", 1)
    assert [draws.below(1000) for _ in range(6)] == [607, 323, 782, 286, 313, 132]


def test_draws_of_other_parts_are_another_stream() -> None:
    assert len({Draws(*parts).bits() for parts in (("a", 1), ("a", 2), ("b", 1), ("a", 1, ""))}) == 4


def test_draws_are_even() -> None:
    draws = Draws("even")
    counts = [0] * 7
    for _ in range(7000):
        counts[draws.below(7)] += 1
    assert all(850 < count < 1150 for count in counts)  # five standard deviations
    assert {draws.between(3, 5) for _ in range(100)} == {3, 4, 5}


def test_taking_gives_different_items_and_leaves_the_list_alone() -> None:
    items = list("abcdef")
    draws = Draws("take")
    for n in range(7):
        taken = draws.take(items, n)
        assert len(set(taken)) == n
        assert set(taken) <= set(items)
    assert items == list("abcdef")
    assert all(draws.other(items, "c") != "c" for _ in range(100))


# --- pictures


def test_a_picture_depends_on_its_scene_alone() -> None:
    scene = Polygon(5, "dotted", "green", 12)
    first = picture_bytes(scene)
    for i in range(50):
        picture_bytes(any_scene(Draws("between", i)))
    assert picture_bytes(scene) == first
    assert picture_bytes(Polygon(5, "dotted", "green", 13)) != first


def test_a_picture_is_the_same_in_a_fresh_process() -> None:
    program = (
        "import hashlib; from curator.demo.draws import Draws; from curator.demo.scenes import any_scene;"
        "from curator.demo.pictures import picture_bytes;"
        "print(hashlib.sha256(b''.join(picture_bytes(any_scene(Draws('p', i))) for i in range(60))).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = hashlib.sha256(b"".join(picture_bytes(any_scene(Draws("p", i))) for i in range(60)))
    assert other.strip() == here.hexdigest()


def test_the_png_writer_loses_nothing() -> None:
    for i in range(40):
        image = render(any_scene(Draws("png", i)))
        with Image.open(io.BytesIO(encode_png(image))) as read:
            assert (read.format, read.mode, read.size) == ("PNG", "RGB", (PIXELS, PIXELS))
            read.load()
            assert read.tobytes() == image.tobytes()


@pytest.mark.parametrize("look", [3, 77, 2**63 + 5])
def test_whatever_is_asked_for_shows(look: int) -> None:
    """Two scenes that differ in a value only give clearly different pictures."""
    for kind, scenes in alike(look).items():
        pictures = [render(scene) for scene in scenes]
        for (a, first), (b, second) in combinations(zip(scenes, pictures, strict=True), 2):
            assert distance(first, second) > 0.5, f"{kind}: {a} looks like {b}"


def test_pictures_of_one_scene_differ_in_their_looks() -> None:
    made = {picture_bytes(Flag("japan", look)) for look in range(500)}
    assert len(made) == 500


@pytest.mark.parametrize("color", COLORS)
def test_a_thing_has_its_color_in_its_cell_and_nowhere_else(color: str) -> None:
    for place in range(4):
        cells = tuple(Thing(color, "square") if cell == place else None for cell in range(4))
        image = render(Shapes(cells, 40 + place))
        for cell in range(4):
            x, y = 24 * (cell % 2) + 12, 24 * (cell // 2) + 12
            pixel = image.getpixel((x, y))
            assert isinstance(pixel, tuple)
            near = max(abs(a - b) for a, b in zip(pixel, PAINTS[color], strict=True)) <= 12
            assert near == (cell == place), (color, PLACES[place], PLACES[cell], pixel)


def test_blank_pictures_are_one_even_tone() -> None:
    for look in range(20):
        assert max(ImageStat.Stat(render(Blank(look))).stddev) == 0
    scenes = [any_scene(Draws("varied", i)) for i in range(300)]
    least = min(ImageStat.Stat(render(scene).convert("L")).stddev[0] for scene in scenes)
    assert least > 4, "a filter for blank pictures would take a real one"


# --- captions


def test_a_caption_of_shapes_names_every_thing_and_its_place() -> None:
    for i in range(300):
        scene = any_scene(Draws("caption", i))
        if not isinstance(scene, Shapes):
            continue
        found: list[Thing | None] = [None] * 4
        for phrase in caption(scene).split(" and "):
            article, color, shape, place = phrase.split()
            assert article == ("an" if color == "orange" else "a")
            found[PLACES.index(place)] = Thing(color, shape)
        assert tuple(found) == scene.cells


def test_captions_tell_all_scenes_of_a_type_apart() -> None:
    for scenes in alike(0).values():
        assert len({caption(scene) for scene in scenes}) == len(scenes)


def test_no_caption_gives_away_a_rule_or_a_number_of_sides() -> None:
    """What magnets do and how many sides a pentagon has is for the candidates to teach."""
    words = {word for scenes in alike(0).values() for scene in scenes for word in caption(scene).split()}
    assert not words & set(OUTCOMES.values())
    assert not {"three", "four", "five", "six"} & words
    assert set(POLYGON_NAMES) == set(SIDES)


def test_scenes_of_every_type_come_up() -> None:
    kinds = [type(any_scene(Draws("kinds", i))).__name__ for i in range(600)]
    shares = {kind: kinds.count(kind) / 600 for kind in set(kinds)}
    assert set(shares) == {"Shapes", "Magnets", "Polygon", "Flag", "Screen"}
    assert 0.25 < shares.pop("Shapes") < 0.42
    assert all(0.1 < share < 0.24 for share in shares.values())
