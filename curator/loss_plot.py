"""The loss of a training over its steps, drawn from its log and put beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curator.report.figures import own_settings, svg
from curator.report.theme import PRINTED
from registry.errors import Refusal
from registry.store import write_aside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOG = "log.jsonl"
PLOT = "loss.svg"
MOST_POINTS = 1000
"""Points of a line; of more steps the mean of each so many is drawn."""
SMOOTH = 0.05
"""Share of the steps that the heavy line is the running mean of."""

Values = npt.NDArray[np.float64]


def loss_plot(trial: Path) -> Path:
    """The figure of a finished trial, drawn if it is not there; equal logs give equal bytes (with one matplotlib)."""
    path = trial / PLOT
    if not path.is_file():
        steps, losses = _read(trial / LOG)
        with own_settings():
            write_aside(path, svg(_figure(steps, losses)).encode())
    return path


def smoothed(values: Values) -> Values:
    """The mean of each value and those before it, as many as the share of all says; where there are fewer, of them."""
    width = max(1, round(len(values) * SMOOTH))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - width, 0)
    found: Values = (sums[last] - sums[first]) / (last - first)
    return found


def thinned(values: Values) -> Values:
    """At most ``MOST_POINTS`` means of values that follow one another."""
    if len(values) <= MOST_POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, MOST_POINTS)])


def _read(path: Path) -> tuple[Values, Values]:
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        steps, losses = ([float(line[name]) for line in lines] for name in ("step", "loss"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"damaged ({type(error).__name__})"
        raise Refusal(str(path), what, f"remove the folder {path.parent} and train again") from None
    return np.array(steps), np.array(losses)


def _figure(steps: Values, losses: Values) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.8, 4.2))
    axes = figure.add_axes((0.075, 0.13, 0.9, 0.82))
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(visible=True, axis="y", color=PRINTED["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=PRINTED["muted"], labelsize=9)
    places = thinned(steps)
    axes.plot(places, thinned(losses), color=PRINTED["series-1"], linewidth=0.8, alpha=0.45)
    axes.plot(places, thinned(smoothed(losses)), color=PRINTED["series-1"], linewidth=2.2)
    axes.set_xlabel("step", color=PRINTED["muted"])
    axes.set_ylabel("loss", color=PRINTED["muted"])
    last = float(smoothed(losses)[-1])
    label: dict[str, Any] = {"xytext": (-6, 8), "textcoords": "offset points", "ha": "right", "fontweight": "bold"}
    axes.annotate(f"{last:.3f}", (places[-1], last), color=PRINTED["ink"], **label)
    return figure
