"""The figures: how the score grows as categories join, the radar of the three mixes, and the selection map.

Drawn with matplotlib without its global state, from the decision alone: equal decisions give equal bytes.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curator.report.theme import FONTS, ON_PAGE, PRINTED, SERIES, Skin, take_page_colours
from curator.report.wording import category_title, listed, score, signed
from registry.trial import CandidateDecision, Decision, MixOutcome, PathPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Titles = dict[str, str]
"""Benchmark name -> title for people."""
Draw = Callable[[Decision, Titles, Skin], "Figure"]

_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
_MARKS = {"kept": "o", "dropped": "X", "undecided": "D"}
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vlm-curator",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "path.simplify": False,
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Drawing:
    """One figure as it stands on the page."""

    description: str
    """Its content in words, for those who do not see it."""
    svg: str
    """An ``<svg>`` element whose text and colours are the page's."""


def draw_for_page(decision: Decision, titles: Titles) -> dict[str, Drawing]:
    """The figures of the page, by name; the narrow one stands in for the wide one on a phone."""
    path = f"Guide benchmarks as categories join. {_path_in_words(decision)}"
    plans: dict[str, tuple[str, Draw]] = {
        "score-path": (path, score_path),
        "score-path-narrow": (path, score_path_narrow),
        "radar": (_radar_in_words(decision, titles), radar),
    }
    with own_settings():
        return {
            name: Drawing(words, _inline(svg(draw(decision, titles, ON_PAGE)), name))
            for name, (words, draw) in plans.items()
        }


def draw_files(decision: Decision, titles: Titles) -> dict[str, bytes]:
    """File name -> content of every figure, as SVG and as PNG."""
    plans: dict[str, Draw] = {"score-path": score_path, "radar": radar, "selection-map": selection_map}
    files: dict[str, bytes] = {}
    with own_settings():
        for name, draw in plans.items():
            figure = draw(decision, titles, PRINTED)
            files |= {f"{name}.svg": svg(figure).encode(), f"{name}.png": png(figure, PRINTED["sheet"])}
    return files


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Our settings alone: a user's own matplotlibrc must not change the bytes."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def score_path(decision: Decision, titles: Titles, skin: Skin) -> Figure:
    """The paper's Figure 4, wide: a line per guide benchmark and their average, over the categories."""
    return _path_figure(decision, titles, skin, (8.8, 4.2))


def score_path_narrow(decision: Decision, titles: Titles, skin: Skin) -> Figure:
    """The same for a phone."""
    return _path_figure(decision, titles, skin, (4.0, 4.6))


def _path_figure(decision: Decision, titles: Titles, skin: Skin, size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    narrow = size[0] < 6
    left, right, bottom = (0.1, 0.68, 0.2) if narrow else (0.04, 0.83, 0.155)
    axes = figure.add_axes((left, bottom, right - left, 0.97 - bottom))
    _quiet(axes, skin)
    stops = path_stops(decision)
    places = list(range(len(stops)))
    axes.set_xticks(
        places, [stop.title for stop in stops], rotation=60 if narrow else 35, ha="right", rotation_mode="anchor"
    )
    ends = []
    for index, name in enumerate(decision.benchmarks):
        values = [stop.point.scores.get(name, float("nan")) for stop in stops]
        colour = skin[SERIES[index % len(SERIES)]]
        style: dict[str, Any] = {"linestyle": _DASHES[index % 6], "marker": _MARKERS[index % 6]}
        axes.plot(places, values, color=colour, linewidth=1.4, markersize=4, **style)
        ends.append((values[-1], titles[name], colour, "normal"))
    average = [stop.point.average for stop in stops]
    axes.plot(places, average, color=skin["ink"], linewidth=3, zorder=5)
    for place, stop in enumerate(stops):
        ground = skin["ink"] if stop.moved else skin["paper"]
        style = {"markersize": 7, "markerfacecolor": ground, "markeredgewidth": 1.6, "zorder": 6}
        axes.plot([place], [stop.point.average], marker="o", color=skin["ink"], **style)
    ends.append((average[-1], "Average", skin["ink"], "bold"))
    _label_ends(axes, ends, len(stops) - 1, narrow)
    axes.set_xlim(-0.25, len(stops) - 0.75)
    return figure


@dataclass(frozen=True)
class Stop:
    """One place on the path: a category, and the growing baseline after it."""

    title: str
    point: PathPoint
    moved: bool
    """False where nothing joined, so that the point is the one before."""


def path_stops(decision: Decision) -> list[Stop]:
    """The baseline, then every category in the order of the study."""
    by_category = {point.category: point for point in decision.path}
    latest = by_category[None]
    stops = [Stop("Baseline", latest, moved=True)]
    if len(decision.path) == 1 and decision.selected.mix != decision.baseline.mix:
        end = latest.model_copy(update=decision.selected.model_dump(include={"samples", "scores", "average"}))
        return [*stops, Stop("Selected", end, moved=True)]
    for category in decision.categories:
        latest = by_category.get(category, latest)
        stops.append(Stop(category_title(category), latest, moved=category in by_category))
    return stops


def _label_ends(axes: Axes, ends: list[tuple[float, str, str, str]], last: int, narrow: bool) -> None:
    """Names of the lines where they end, moved apart so that none covers another."""
    low, high = axes.get_ylim()
    gap = (high - low) * (0.055 if narrow else 0.06)
    for place, (value, title, colour, weight) in zip(spread([end[0] for end in ends], gap), ends, strict=True):
        text = f"{title}\u2002{score(value)}"
        axes.annotate(
            text,
            (last, place),
            (9, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight=weight,
            fontsize=8.5 if narrow else 10,
            annotation_clip=False,
        )


def spread(values: Sequence[float], gap: float) -> list[float]:
    """The same values, moved as little as possible (least squares) until neighbours are ``gap`` apart, in their order.

    With ``gap * place`` taken off, that is isotonic regression: neighbours that overlap are pooled at their mean.
    """
    order = sorted(range(len(values)), key=lambda index: (values[index], index))
    pools: list[tuple[float, int]] = []  # mean and size
    for place, index in enumerate(order):
        pools.append((values[index] - gap * place, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (second, n_second), (first, n_first) = pools.pop(), pools.pop()
            size = n_first + n_second
            pools.append(((first * n_first + second * n_second) / size, size))
    level = [mean for mean, size in pools for _ in range(size)]
    result = [0.0] * len(values)
    for place, index in enumerate(order):
        result[index] = level[place] + gap * place
    return result


def radar(decision: Decision, titles: Titles, skin: Skin) -> Figure:
    """The paper's Figure 1: the three mixes over the guide benchmarks, each 0..100."""
    lines = [RadarLine(title, outcome.scores, *look) for title, outcome, *look in _outcomes(decision)]
    return radar_of(lines, {name: titles[name] for name in decision.benchmarks}, skin, filled=decision.selected.scores)


@dataclass(frozen=True)
class RadarLine:
    """One closed line of a radar."""

    title: str
    scores: Mapping[str, float]
    colour: str
    """Name of a colour of the skin."""
    dash: Any
    marker: str


def radar_of(lines: Sequence[RadarLine], titles: Titles, skin: Skin, filled: Mapping[str, float]) -> Figure:
    """Lines over benchmarks, each 0..100, with the area of one filled, and a legend if there are several."""
    import math

    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 4.6))
    axes = figure.add_axes((0.2, 0.19, 0.6, 0.7), projection="polar")
    axes.set_axisbelow(True)
    polar: Any = axes  # the stubs know no polar axes
    polar.set_theta_offset(math.pi / 2)
    polar.set_theta_direction(-1)
    names = list(titles)
    angles = [2 * math.pi * index / len(names) for index in range(len(names))]
    axes.set_facecolor("none")
    figure.patch.set_alpha(0)
    labels = [titles[name].replace(" ", "\n").replace("-", "-\n") for name in names]
    axes.set_xticks(angles, labels, color=skin["ink"], fontsize=12)
    for angle, label in zip(angles, axes.get_xticklabels(), strict=True):
        side = math.sin(angle)
        label.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
    axes.set_ylim(0, 100)
    axes.set_yticks([20, 40, 60, 80, 100], ["20", "40", "60", "80", "100"], color=skin["muted"], fontsize=9)
    polar.set_rlabel_position(180 / len(names))
    axes.grid(color=skin["line"], linewidth=0.8)
    axes.spines["polar"].set_color(skin["line"])
    axes.tick_params(axis="x", pad=2)
    for line in lines:
        values = [line.scores.get(name, 0.0) for name in names]
        style: dict[str, Any] = {"color": skin[line.colour], "linewidth": 2, "linestyle": line.dash}
        axes.plot(
            [*angles, angles[0]], [*values, values[0]], marker=line.marker, markersize=5, label=line.title, **style
        )
    axes.fill(angles, [filled.get(name, 0.0) for name in names], color=skin["kept"], alpha=0.1)
    if len(lines) > 1:
        _legend(figure, skin)
    return figure


def _legend(figure: Figure, skin: Skin) -> None:
    legend = figure.legend(loc="lower center", ncols=3, frameon=False, fontsize=12, handlelength=2.4, columnspacing=1.4)
    for text in legend.get_texts():
        text.set_color(skin["ink"])


def radar_of_run(scores: Mapping[str, float], titles: Titles) -> Drawing:
    """One model over its benchmarks, for its page."""
    told = listed([f"{titles[name]} {score(value)}" for name, value in scores.items()])
    with own_settings():
        figure = radar_of([RadarLine("", scores, "kept", "-", "o")], titles, ON_PAGE, filled=scores)
        return Drawing(f"Scores: {told}.", _inline(svg(figure), "radar"))


def _outcomes(decision: Decision) -> list[tuple[str, MixOutcome, str, Any, str]]:
    """Title, outcome, colour, dashes and marker of each mix that is compared."""
    found: list[tuple[str, MixOutcome, str, Any, str]] = [
        ("Baseline", decision.baseline, "muted", (0, (1.5, 1.5)), "s"),
        ("Selected", decision.selected, "kept", "-", "o"),
    ]
    if decision.all is not None:
        found.append(("All", decision.all, "all", (0, (5, 2)), "^"))
    return found


def selection_map(decision: Decision, titles: Titles, skin: Skin) -> Figure:  # noqa: ARG001  one signature for all figures
    """Effect and interval of every candidate on the guide average, in the order of the study."""
    from matplotlib.figure import Figure

    rows = _map_rows(decision)
    figure = Figure(figsize=(8.8, 0.9 + 0.3 * len(rows)))
    height = 0.9 + 0.3 * len(rows)
    axes = figure.add_axes((0.3, 0.6 / height, 0.52, 1 - 0.75 / height))
    _quiet(axes, skin)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=skin["line"], linewidth=0.8)
    axes.axvspan(-decision.rule.comparable_margin, 0, color=skin["band"], zorder=0, linewidth=0)
    axes.axvline(0, color=skin["muted"], linewidth=1.2)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks([])
    for place, row in enumerate(rows):
        if isinstance(row, str):
            _left(axes, row, place, skin["muted"], "bold")
            continue
        _left(axes, row.candidate, place, skin["ink"], "normal")
        colour = skin[row.verdict]
        axes.plot([row.average.low, row.average.high], [place, place], color=colour, linewidth=2.2)
        axes.plot([row.average.mean], [place], marker=_MARKS[row.verdict], color=colour, markersize=7)
        text = f"{signed(row.average.mean)}  {row.verdict}"
        axes.annotate(
            text, (1.02, place), xycoords=("axes fraction", "data"), va="center", color=colour, annotation_clip=False
        )
    axes.set_xlabel("points of the guide average", color=skin["muted"])
    return figure


def _map_rows(decision: Decision) -> list[str | CandidateDecision]:
    """Category titles, each followed by its candidates."""
    rows: list[str | CandidateDecision] = []
    for category in decision.categories:
        inside = [candidate for candidate in decision.candidates if candidate.category == category]
        rows += [category_title(category), *inside] if inside else []
    return rows


def _left(axes: Axes, text: str, place: int, colour: str, weight: str) -> None:
    axes.annotate(
        text,
        (-0.55 if weight == "bold" else -0.52, place),
        xycoords=("axes fraction", "data"),
        va="center",
        color=colour,
        fontweight=weight,
        annotation_clip=False,
    )


def _quiet(axes: Axes, skin: Skin) -> None:
    """No frame, thin grid lines, muted ticks, a transparent ground."""
    axes.figure.patch.set_alpha(0)
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(visible=True, axis="y", color=skin["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=skin["muted"], labelsize=9)


def svg(figure: Figure) -> str:
    """A figure as a page of its own; equal figures give equal text."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue().decode().replace("'DejaVu Sans'", FONTS)


def png(figure: Figure, ground: str) -> bytes:
    """A figure as a PNG on a ground of one colour."""
    buffer = io.BytesIO()
    figure.patch.set_alpha(1)
    figure.savefig(buffer, format="png", dpi=200, facecolor=ground, metadata={"Software": None})
    return buffer.getvalue()


def _inline(svg: str, prefix: str) -> str:
    """The ``<svg>`` element alone, with ids of its own, the page's font and the page's colours."""
    body = svg[svg.index("<svg") :].strip()
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", body)
    body = re.sub(r"font-family: [^;\"]+;?", "", body)
    body = re.sub(r"font: ([^;\"]*?\d+(?:\.\d+)?px) [^;\"]+", r"font: \1 var(--sans)", body)
    head, rest = body.split(">", maxsplit=1)
    head = re.sub(r' (?:width|height|version|xmlns:xlink)="[^"]*"', "", head)
    rest = rest.replace("xlink:href", "href")
    return take_page_colours(f'{head} aria-hidden="true">{rest}')


def _path_in_words(decision: Decision) -> str:
    return f"Average: {', '.join(f'{stop.title} {score(stop.point.average)}' for stop in path_stops(decision))}."


def _radar_in_words(decision: Decision, titles: Titles) -> str:
    told = [
        f"{title}: "
        + listed([f"{titles[name]} {score(outcome.scores.get(name, 0.0))}" for name in decision.benchmarks])
        for title, outcome, *_ in _outcomes(decision)
    ]
    return f"{'; '.join(told)}."
