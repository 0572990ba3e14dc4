"""Colours of the report, for light and dark, and the way a drawn figure takes them from the page.

The hues are those of Okabe and Ito (told apart by all common kinds of colour vision), darkened or lightened
until text in them has a contrast of at least 4.5 to 1 on its ground. Colour is never the only sign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LIGHT = {
    "paper": "#fcfbf8",
    "sheet": "#ffffff",
    "ink": "#1d1f23",
    "muted": "#60656d",
    "line": "#dedbd3",
    "band": "#f2f0ea",
    "kept": "#0a6796",
    "dropped": "#ad3f14",
    "undecided": "#6b6250",
    "all": "#8a5a00",
    "series-1": "#0a6796",
    "series-2": "#ad3f14",
    "series-3": "#00735a",
    "series-4": "#97467a",
    "series-5": "#5b5bb0",
    "series-6": "#7a6a1c",
}
DARK = {
    "paper": "#14161a",
    "sheet": "#1b1e23",
    "ink": "#e9e7e2",
    "muted": "#a0a5ad",
    "line": "#33373e",
    "band": "#22262c",
    "kept": "#68bdec",
    "dropped": "#f29268",
    "undecided": "#c2b697",
    "all": "#e3b04f",
    "series-1": "#68bdec",
    "series-2": "#f29268",
    "series-3": "#4cc9a5",
    "series-4": "#e09cc6",
    "series-5": "#a9a9f0",
    "series-6": "#d2c268",
}
SERIES = tuple(name for name in LIGHT if name.startswith("series-"))
TEXT_COLOURS = ("ink", "muted", "kept", "dropped", "undecided", "all", *SERIES)
"""Names that colour text, whose contrast is checked."""
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Skin:
    """The colours one figure is drawn with: colour name -> hex."""

    colours: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.colours[name]


PRINTED = Skin(LIGHT)
"""For figures that leave the page as files."""

_MARKED = {name: f"#0d0c{index:02x}" for index, name in enumerate(LIGHT, start=1)}
ON_PAGE = Skin(_MARKED)
"""Marks in place of colours; ``take_page_colours`` turns them into the page's variables."""


def variables(colours: dict[str, str]) -> str:
    """The colours as CSS custom properties."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def take_page_colours(svg: str) -> str:
    """An SVG drawn with ``ON_PAGE`` whose colours follow the page, so that dark mode reaches the figures."""
    for name, mark in _MARKED.items():
        svg = svg.replace(mark, "currentColor" if name == "ink" else f"var(--{name})")
    return svg


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two ``#rrggbb`` colours, 1..21 (WCAG 2.2, relative luminance)."""
    bright, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(part, 16) / 255 for part in re.findall("..", colour.removeprefix("#"))]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
