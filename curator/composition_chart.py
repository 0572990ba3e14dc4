"""The chart of a published mix: how many rows each category and each dataset gives.

Bars of one colour with their figures beside them, so nothing depends on telling colours apart. A PNG, because the
pages of a Hub show no SVG that lies in the repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator.report.figures import own_settings, png
from curator.report.theme import PRINTED, Skin
from registry.mix import MixInfo
from registry.taxonomy import CATEGORIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHART_FILE = "composition.png"
MOST_BARS = 20
"""Datasets that get a bar of their own; the rest share one."""
_INCHES = 0.27
_WIDTH = 8.8
_LABELS = 0.27
"""Share of the width that names take."""

Bars = list[tuple[str, int]]


def category_bars(info: MixInfo) -> Bars:
    """Title and rows of each category, in the order of the taxonomy."""
    return [(one.title, info.categories[one.slug]) for one in CATEGORIES if one.slug in info.categories]


def dataset_bars(info: MixInfo) -> Bars:
    """Name and rows of each dataset, the largest first; those past the limit together."""
    ordered = sorted(info.datasets.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= MOST_BARS:
        return ordered
    rest = ordered[MOST_BARS - 1 :]
    return [*ordered[: MOST_BARS - 1], (f"{len(rest)} others", sum(rows for _, rows in rest))]


def in_words(info: MixInfo) -> str:
    """What the chart shows, for those who do not see it."""
    told = ", ".join(f"{title} {rows / info.samples:.1%}" for title, rows in category_bars(info))
    largest = ", ".join(f"{name} {rows / info.samples:.1%}" for name, rows in dataset_bars(info)[:5])
    return f"Rows by category: {told}. Largest datasets: {largest}."


def chart(info: MixInfo) -> bytes:
    """The PNG; equal mixes give equal bytes (with the same matplotlib)."""
    with own_settings():
        return png(_figure(info, PRINTED), PRINTED["sheet"])


def _figure(info: MixInfo, skin: Skin) -> Figure:
    from matplotlib.figure import Figure

    blocks = [("Categories", category_bars(info)), ("Datasets", dataset_bars(info))]
    heights = [_INCHES * (len(bars) + 1.6) for _, bars in blocks]
    total = sum(heights)
    most = max(rows for _, bars in blocks for _, rows in bars)
    figure = Figure(figsize=(_WIDTH, total))
    top = total
    for (title, bars), height in zip(blocks, heights, strict=True):
        top -= height
        _block(figure, (top / total, height / total), title, bars, (most, info.samples), skin)
    return figure


def _block(figure: Figure, place: tuple[float, float], title: str, bars: Bars, of: tuple[int, int], skin: Skin) -> None:
    (bottom, height), (most, samples) = place, of
    axes = figure.add_axes((_LABELS, bottom, 0.98 - _LABELS, height))
    axes.set_axis_off()
    axes.set_ylim(len(bars) + 0.1, -1.5)
    axes.set_xlim(0, most * 1.38)
    axes.text(-0.02, -0.95, title, color=skin["ink"], fontweight="bold", ha="right", va="center",
              transform=axes.get_yaxis_transform())  # fmt: skip
    for row, (name, rows) in enumerate(bars):
        axes.barh(row, rows, height=0.68, color=skin["kept"])
        axes.text(-0.02, row, _shortened(name), color=skin["ink"], ha="right", va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip
        axes.text(rows + most * 0.012, row, f"{rows:,}  ({rows / samples:.1%})", color=skin["muted"], va="center")


def _shortened(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:29]}…"
