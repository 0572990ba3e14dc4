"""What a picture of the demo world shows, as typed values: the truth that questions and captions are made from.

Every scene carries ``look``, a number that decides everything that no question asks for (background, place by
a few pixels, size, shade), so a picture is a pure function of its scene and two scenes are never drawn alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from curator.demo.draws import Draws

COLORS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "star")
NUMBERS = ("one", "two", "three", "four")
PLACES = ("topleft", "topright", "bottomleft", "bottomright")
"""Names of the four cells of a picture of shapes, in reading order."""
PAIRS = ("opposite", "like", "compass", "wood")
"""What lies beside a magnet: another one with opposite or like poles facing, a compass, a block of wood."""
SIDES = (3, 4, 5, 6)
FILLS = ("solid", "hollow", "striped", "dotted")
COUNTRIES = ("france", "italy", "germany", "poland", "ukraine", "japan", "sweden", "switzerland")
CONTROLS = ("button", "checkbox", "slider", "switch")
THEMES = ("light", "dark")


@dataclass(frozen=True)
class Thing:
    """A coloured shape."""

    color: str
    shape: str


@dataclass(frozen=True)
class Shapes:
    """Up to four coloured shapes in a 2x2 grid; ``cells`` are in the order of ``PLACES``, None = empty."""

    cells: tuple[Thing | None, ...]
    look: int


@dataclass(frozen=True)
class Magnets:
    """A bar magnet and what lies beside it (one of ``PAIRS``)."""

    pair: str
    look: int


@dataclass(frozen=True)
class Polygon:
    """One regular polygon."""

    sides: int
    fill: str
    color: str
    look: int


@dataclass(frozen=True)
class Flag:
    """The flag of a country on a pole."""

    country: str
    look: int


@dataclass(frozen=True)
class Screen:
    """A window with one control."""

    control: str
    theme: str
    look: int


@dataclass(frozen=True)
class Blank:
    """Nothing at all: one even grey. What a broken download or a failed renderer leaves in real datasets."""

    look: int


Scene = Shapes | Magnets | Polygon | Flag | Screen | Blank


def shapes(draws: Draws, things: list[Thing]) -> Shapes:
    """These one to four things, each in a cell drawn at random."""
    cells: list[Thing | None] = [None, None, None, None]
    for thing, cell in zip(things, draws.take(range(4), len(things)), strict=True):
        cells[cell] = thing
    return Shapes(tuple(cells), draws.bits())


def any_things(draws: Draws, n: int, not_color: str | None = None, not_shape: str | None = None) -> list[Thing]:
    """``n`` things of any colour and shape but the ones that are ruled out."""
    colors = [color for color in COLORS if color != not_color]
    kinds = [shape for shape in SHAPES if shape != not_shape]
    return [Thing(draws.pick(colors), draws.pick(kinds)) for _ in range(n)]


def any_shapes(draws: Draws) -> Shapes:
    """One to four things of any kind."""
    return shapes(draws, any_things(draws, draws.between(1, 4)))


def any_magnets(draws: Draws) -> Magnets:
    """A magnet beside anything."""
    return Magnets(draws.pick(PAIRS), draws.bits())


def any_polygon(draws: Draws) -> Polygon:
    """Any polygon."""
    return Polygon(draws.pick(SIDES), draws.pick(FILLS), draws.pick(COLORS), draws.bits())


def any_flag(draws: Draws) -> Flag:
    """Any flag."""
    return Flag(draws.pick(COUNTRIES), draws.bits())


def any_screen(draws: Draws) -> Screen:
    """Any screen."""
    return Screen(draws.pick(CONTROLS), draws.pick(THEMES), draws.bits())


MAKERS: tuple[Callable[[Draws], Scene], ...] = (any_shapes, any_shapes, any_magnets, any_polygon, any_flag, any_screen)


def any_scene(draws: Draws) -> Scene:
    """A scene of any type; pictures of shapes, which have most to say, come twice as often as each other type."""
    return draws.pick(MAKERS)(draws)
