"""Scenes as 48x48 PNG pictures.

Outlines are drawn once at eight times the size, averaged down to smooth masks
and kept; a picture is a few pastes of a colour through such masks (about 0.1 ms), encoded by a PNG writer of a
dozen lines, so that the bytes do not depend on the version of an image library's encoder.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from PIL import Image, ImageDraw

from curator.demo.draws import Draws
from curator.demo.scenes import Blank, Flag, Magnets, Polygon, Scene, Screen, Shapes

PIXELS = 48
"""Width and height of every picture."""
_FINE = 8
Paint = tuple[int, int, int]

PAINTS: dict[str, Paint] = {
    "red": (214, 40, 48),
    "green": (38, 148, 72),
    "blue": (36, 84, 206),
    "yellow": (244, 200, 22),
    "purple": (134, 56, 168),
    "orange": (242, 124, 20),
}
_NORTH: Paint = (208, 44, 50)
_SOUTH: Paint = (48, 92, 198)


class _Box(NamedTuple):
    """Left, top, right and bottom in pixels of the finished picture."""

    left: float
    top: float
    right: float
    bottom: float


def render(scene: Scene) -> Image.Image:
    """The picture of a scene, RGB, 48x48; the same scene gives the same pixels."""
    draws = Draws("look", scene.look)
    match scene:
        case Shapes():
            return _shapes(scene, draws)
        case Magnets():
            return _magnets(scene, draws)
        case Polygon():
            return _polygon(scene, draws)
        case Flag():
            return _flag(scene, draws)
        case Screen():
            return _screen(scene, draws)
        case Blank():
            return Image.new("RGB", (PIXELS, PIXELS), (draws.between(120, 140),) * 3)


def picture_bytes(scene: Scene) -> bytes:
    """PNG bytes of a scene's picture."""
    return encode_png(render(scene))


def encode_png(image: Image.Image) -> bytes:
    """An RGB image as PNG (8 bits a channel, rows unfiltered)."""
    width, height = image.size
    rows = image.tobytes()
    stride = 3 * width
    raw = b"".join(b"\0" + rows[at : at + stride] for at in range(0, len(rows), stride))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _paper(draws: Draws) -> Image.Image:
    """A light background of its own shade."""
    shade = (draws.between(226, 255), draws.between(226, 255), draws.between(226, 255))
    return Image.new("RGB", (PIXELS, PIXELS), shade)


def _shade(paint: Paint, draws: Draws) -> Paint:
    """A colour, a little lighter or darker."""
    delta = draws.between(-12, 12)
    return (
        min(255, max(0, paint[0] + delta)),
        min(255, max(0, paint[1] + delta)),
        min(255, max(0, paint[2] + delta)),
    )


def _mask(width: int, height: int, draw: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
    """A smooth mask of this size; ``draw`` works at eight times the size."""
    fine = Image.new("L", (width * _FINE, height * _FINE), 0)
    draw(ImageDraw.Draw(fine))
    return fine.reduce(_FINE)


def _ring(n: int, center: float, radius: float, turn: float, inner: float = 1.0) -> list[tuple[float, float]]:
    """``n`` corners around a circle (angle 0 = up); every second one at ``inner`` times the radius."""
    points = []
    for i in range(n):
        r = radius * (inner if i % 2 else 1.0)
        angle = turn + 2 * math.pi * i / n
        points.append((center + r * math.sin(angle), center - r * math.cos(angle)))
    return points


@cache
def _shape_mask(shape: str, size: int) -> Image.Image:
    """A shape of the shapes world in a square of ``size`` pixels."""
    last = size * _FINE - 1
    middle = last / 2

    def draw(pen: ImageDraw.ImageDraw) -> None:
        if shape == "circle":
            pen.ellipse((0, 0, last, last), fill=255)
        elif shape == "square":
            edge = last * 0.06
            pen.rectangle((edge, edge, last - edge, last - edge), fill=255)
        elif shape == "triangle":
            pen.polygon([(middle, 0), (last, last * 0.94), (0, last * 0.94)], fill=255)
        else:
            pen.polygon(_ring(10, middle, middle * 1.08, 0.0, inner=0.45), fill=255)

    return _mask(size, size, draw)


def _shapes(scene: Shapes, draws: Draws) -> Image.Image:
    image = _paper(draws)
    for cell, thing in enumerate(scene.cells):
        if thing is None:
            continue
        size = draws.between(16, 19)
        left = 24 * (cell % 2) + draws.between(2, 22 - size)
        top = 24 * (cell // 2) + draws.between(2, 22 - size)
        image.paste(_shade(PAINTS[thing.color], draws), (left, top), _shape_mask(thing.shape, size))
    return image


@cache
def _polygon_mask(sides: int, fill: str, radius: int, turn: int) -> Image.Image:
    """A regular polygon in a square of 2 * radius + 1 pixels, turned by ``turn`` tenths of its own symmetry."""
    size = 2 * radius + 1
    center = size * _FINE / 2
    corners = _ring(sides, center, (radius - 1) * _FINE, 2 * math.pi / sides * turn / 10)
    whole = _mask(size, size, lambda pen: pen.polygon(corners, fill=255))
    if fill == "solid":
        return whole

    def inside(pen: ImageDraw.ImageDraw) -> None:
        if fill == "striped":
            for y in range(0, size, 6):
                pen.rectangle((0, y * _FINE, size * _FINE, (y + 3) * _FINE - 1), fill=255)
        elif fill == "dotted":
            for y in range(size):
                for x in range(size):
                    if x % 7 == 3 and y % 7 == 3:
                        box = ((x - 1.6) * _FINE, (y - 1.6) * _FINE, (x + 2.6) * _FINE, (y + 2.6) * _FINE)
                        pen.ellipse(box, fill=255)

    edge = _mask(size, size, lambda pen: pen.line([*corners, corners[0], corners[1]], 255, 3 * _FINE, "curve"))
    mask = Image.composite(_mask(size, size, inside), Image.new("L", (size, size), 0), whole)
    mask.paste(255, (0, 0), edge)
    return mask


def _polygon(scene: Polygon, draws: Draws) -> Image.Image:
    image = _paper(draws)
    radius = draws.between(17, 20)
    mask = _polygon_mask(scene.sides, scene.fill, radius, draws.between(-2, 2))
    room = PIXELS - mask.width
    at = (draws.between(0, room), draws.between(0, room))
    image.paste(_shade(PAINTS[scene.color], draws), at, mask)
    return image


@cache
def _rounded(width: int, height: int, radius: float) -> Image.Image:
    """A rectangle with round corners."""
    box = (0, 0, width * _FINE - 1, height * _FINE - 1)
    return _mask(width, height, lambda pen: pen.rounded_rectangle(box, radius * _FINE, fill=255))


@cache
def _needle(turn: int, north: bool) -> Image.Image:
    """One half of a compass needle in a square of 17 pixels, pointing at ``turn`` eighths of a circle."""
    angle = math.pi * turn / 4 + (0 if north else math.pi)
    middle = 17 * _FINE / 2
    reach, width = 6.2 * _FINE, 1.9 * _FINE
    tip = (middle + reach * math.sin(angle), middle - reach * math.cos(angle))
    across = (width * math.cos(angle), width * math.sin(angle))
    corners = [
        tip,
        (middle + across[0], middle + across[1]),
        (middle - across[0], middle - across[1]),
    ]
    return _mask(17, 17, lambda pen: pen.polygon(corners, fill=255))


def _bar(image: Image.Image, left: int, top: int, ends: tuple[Paint, Paint]) -> None:
    """A bar magnet of 18 x 10 pixels: its ends in their colours, a shine along the upper edge."""
    whole = _rounded(18, 10, 2)
    image.paste(ends[0], (left, top), whole)
    image.paste(ends[1], (left + 9, top), whole.crop((9, 0, 18, 10)))
    for half, paint in enumerate(ends):
        light = (min(255, paint[0] + 60), min(255, paint[1] + 60), min(255, paint[2] + 60))
        image.paste(light, (left + 2 + 8 * half, top + 2, left + 8 + 8 * half, top + 3))


def _compass(image: Image.Image, left: int, top: int, turn: int) -> None:
    image.paste((96, 100, 110), (left, top), _shape_mask("circle", 17))
    image.paste((250, 250, 246), (left + 2, top + 2), _shape_mask("circle", 13))
    image.paste(_NORTH, (left, top), _needle(turn, True))
    image.paste(_SOUTH, (left, top), _needle(turn, False))


def _wood(image: Image.Image, left: int, top: int) -> None:
    image.paste((170, 118, 66), (left, top), _rounded(17, 15, 2))
    for line in (3, 7, 11):
        image.paste((132, 86, 44), (left + 2, top + line, left + 15, top + line + 1))


def _magnets(scene: Magnets, draws: Draws) -> Image.Image:
    image = _paper(draws)
    top = draws.between(14, 24)
    left, gap = draws.between(2, 4), draws.between(4, 6)
    ends = (_NORTH, _SOUTH) if draws.below(2) else (_SOUTH, _NORTH)
    if scene.pair in ("opposite", "like"):
        _bar(image, left, top, ends)
        _bar(image, left + 18 + gap, top, ends if scene.pair == "opposite" else (ends[1], ends[0]))
        return image
    magnet_first = draws.below(2)
    _bar(image, left if magnet_first else left + 17 + gap, top, ends)
    beside = left + 18 + gap if magnet_first else left
    if scene.pair == "compass":
        _compass(image, beside, top - 3, draws.below(8))
    else:
        _wood(image, beside, top - 2)
    return image


_WHITE: Paint = (250, 250, 250)
_UPRIGHT: dict[str, tuple[Paint, ...]] = {
    "france": ((28, 64, 160), _WHITE, (218, 40, 52)),
    "italy": ((20, 140, 70), _WHITE, (206, 44, 52)),
}
_LEVEL: dict[str, tuple[Paint, ...]] = {
    "germany": ((24, 24, 24), (216, 30, 36), (250, 204, 20)),
    "poland": (_WHITE, (214, 30, 60)),
    "ukraine": ((20, 90, 190), (252, 216, 20)),
}


def _flag(scene: Flag, draws: Draws) -> Image.Image:
    image = _paper(draws)
    width, height = draws.between(31, 35), draws.between(21, 24)
    left, top = draws.between(7, 46 - width), draws.between(3, 9)
    image.paste((120, 122, 130), (left - 3, top - 2, left, PIXELS))
    cloth = _Box(left, top, left + width, top + height)
    image.paste((150, 152, 158), (left - 1, top - 1, left + width + 1, top + height + 1))
    _cloth(image, scene.country, cloth)
    return image


def _cloth(image: Image.Image, country: str, cloth: _Box) -> None:
    """The flag itself, inside ``cloth``."""
    left, top, right, bottom = (int(edge) for edge in cloth)
    width, height = right - left, bottom - top
    if country in _UPRIGHT:
        for i, paint in enumerate(_UPRIGHT[country]):
            image.paste(paint, (left + width * i // 3, top, left + width * (i + 1) // 3, bottom))
    elif country in _LEVEL:
        bands = _LEVEL[country]
        for i, paint in enumerate(bands):
            band = (left, top + height * i // len(bands), right, top + height * (i + 1) // len(bands))
            image.paste(paint, band)
    elif country == "japan":
        image.paste(_WHITE, (left, top, right, bottom))
        image.paste((196, 16, 50), (left + width // 2 - 6, top + height // 2 - 6), _shape_mask("circle", 13))
    elif country == "sweden":
        image.paste((10, 100, 180), (left, top, right, bottom))
        image.paste((252, 204, 10), (left + width // 3 - 2, top, left + width // 3 + 3, bottom))
        image.paste((252, 204, 10), (left, top + height // 2 - 2, right, top + height // 2 + 3))
    else:
        middle, center = left + width // 2, top + height // 2
        image.paste((216, 30, 36), (left, top, right, bottom))
        image.paste(_WHITE, (middle - 2, center - 7, middle + 3, center + 8))
        image.paste(_WHITE, (middle - 7, center - 2, middle + 8, center + 3))


_THEMES: dict[str, tuple[Paint, Paint, Paint]] = {
    "light": ((248, 249, 251), (206, 212, 222), (120, 128, 140)),
    "dark": ((44, 48, 58), (24, 26, 32), (190, 196, 206)),
}
"""Body, title bar and ink of a window."""
_ACCENTS: tuple[Paint, ...] = ((36, 110, 230), (20, 150, 110), (150, 70, 200), (230, 100, 40))


def _screen(scene: Screen, draws: Draws) -> Image.Image:
    image = _paper(draws)
    body, bar, ink = _THEMES[scene.theme]
    left, top = draws.between(1, 4), draws.between(2, 6)
    image.paste(ink, (left, top), _rounded(43, 39, 4))
    image.paste(bar, (left + 1, top + 1), _rounded(41, 37, 3))
    image.paste(body, (left + 1, top + 9, left + 42, top + 35))
    image.paste(body, (left + 1, top + 32), _rounded(41, 6, 3))
    for i, paint in enumerate(((236, 92, 86), (244, 190, 60), (80, 196, 90))):
        image.paste(paint, (left + 4 + 5 * i, top + 3), _shape_mask("circle", 4))
    accent = draws.pick(_ACCENTS)
    at = (left + 6 + draws.between(-1, 1), top + 16 + draws.between(-2, 3))
    _CONTROLS[scene.control](image, at, accent, ink)
    return image


def _button(image: Image.Image, at: tuple[int, int], accent: Paint, ink: Paint) -> None:  # noqa: ARG001  one signature for all widgets
    # same arguments as the other controls; a button's label is white whatever the theme's ink
    image.paste(accent, at, _rounded(31, 13, 4))
    image.paste(_WHITE, (at[0] + 8, at[1] + 5, at[0] + 23, at[1] + 8))


@cache
def _tick() -> Image.Image:
    points = [(3 * _FINE, 6.5 * _FINE), (5.5 * _FINE, 9.5 * _FINE), (10 * _FINE, 3.5 * _FINE)]
    return _mask(13, 13, lambda pen: pen.line(points, 255, 2 * _FINE, "curve"))


def _checkbox(image: Image.Image, at: tuple[int, int], accent: Paint, ink: Paint) -> None:
    image.paste(accent, at, _rounded(13, 13, 3))
    image.paste(_WHITE, at, _tick())
    image.paste(ink, (at[0] + 17, at[1] + 3, at[0] + 31, at[1] + 5))
    image.paste(ink, (at[0] + 17, at[1] + 8, at[0] + 26, at[1] + 10))


def _slider(image: Image.Image, at: tuple[int, int], accent: Paint, ink: Paint) -> None:
    knob = 6 + 4 * (sum(at) % 4)
    image.paste(ink, (at[0], at[1] + 6), _rounded(31, 2, 1))
    image.paste(accent, (at[0], at[1] + 6), _rounded(knob, 2, 1))
    image.paste(accent, (at[0] + knob - 3, at[1] + 2), _shape_mask("circle", 10))
    image.paste(_WHITE, (at[0] + knob, at[1] + 5), _shape_mask("circle", 4))


def _switch(image: Image.Image, at: tuple[int, int], accent: Paint, ink: Paint) -> None:
    on = sum(at) % 2
    image.paste(accent if on else ink, (at[0] + 4, at[1]), _rounded(24, 13, 6.5))
    image.paste(_WHITE, (at[0] + (16 if on else 5), at[1] + 1), _shape_mask("circle", 11))


_CONTROLS: dict[str, Callable[[Image.Image, tuple[int, int], Paint, Paint], None]] = {
    "button": _button,
    "checkbox": _checkbox,
    "slider": _slider,
    "switch": _switch,
}
