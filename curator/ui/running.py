"""What is being made in the data home at this moment, and the curve of a trial, finished or not.

A process holds the lock of the folder aside in which it works; whoever finds it held knows that it lives.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from curator.report.selection_map import Axis, nice_axis
from registry.store import Home

LOG = "log.jsonl"
POINTS = 500
"""Places of a curve that are drawn: of each stretch of steps its least and largest loss."""
_PRIVATE = re.compile(r"\.(\d+\.\d+|[0-9a-f]{12}\.kept)$")
"""What the name of a folder aside has behind the name of what is made there."""
_LOSS = re.compile(rb'"loss": *(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)')
"""The loss in a line of a log: a million lines are looked through in half a second."""


@dataclass(frozen=True)
class Making:
    """Something that is being made."""

    workspace: str
    """Name of its folder aside."""
    name: str
    """What it will be called."""
    has_curve: bool
    """Whether it is a trial that logs its steps."""


@dataclass(frozen=True)
class Curve:
    """The loss of a trial, ready to be drawn in a box of 1000 by 320."""

    steps: int
    first: float
    last: float
    least: float
    line: str
    """Points of the polyline."""
    losses: Axis
    marks: list[tuple[float, str]]
    """Height and loss of each line across."""

    @property
    def description(self) -> str:
        """For those who do not see it."""
        span = f"from {self.first:.3f} to {self.last:.3f}, at the least {self.least:.3f}"
        return f"Loss over {self.steps:,} steps: {span}."


def being_made(home: Home) -> list[Making]:
    """Work of living processes, by name."""
    if not home.aside.is_dir():
        return []
    return [
        Making(folder.name, _PRIVATE.sub("", folder.name), log_of(folder).is_file())
        for folder in sorted(home.aside.iterdir())
        if _PRIVATE.search(folder.name) and _is_held(folder / ".lock")
    ]


def log_of(workspace: Path) -> Path:
    """The log of the trial that is made in a folder aside."""
    return workspace / LOG


def _is_held(lock: Path) -> bool:
    """Whether a process holds the lock; looking takes a shared one for a moment and changes nothing."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        os.close(descriptor)


def read_curve(path: Path) -> Curve | None:
    """The curve in a log; None where there is none yet. A line that is being written is left for the next look."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    losses = [float(found) for found in _LOSS.findall(data, 0, data.rfind(b"\n") + 1)]
    known = [loss for loss in losses if math.isfinite(loss)]
    return _drawn(known) if known else None


def _drawn(losses: list[float]) -> Curve:
    axis = nice_axis(losses, 6)
    places = _extremes(losses)
    last = max(len(losses) - 1, 1)
    points = [(1000 * place / last, 320 * (1 - axis.at(losses[place]) / 100)) for place in places]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = [(round(320 * (1 - axis.at(tick) / 100), 1), f"{tick:g}") for tick in axis.ticks]
    return Curve(len(losses), losses[0], losses[-1], min(losses), line, axis, marks)


def _extremes(losses: list[float]) -> list[int]:
    """Places of the least and the largest loss of each stretch: a spike is never lost."""
    if len(losses) <= POINTS:
        return list(range(len(losses)))
    size = len(losses) / (POINTS / 2)
    places = {0, len(losses) - 1}
    for number in range(POINTS // 2):
        stretch = range(int(number * size), max(int((number + 1) * size), int(number * size) + 1))
        places |= {min(stretch, key=losses.__getitem__), max(stretch, key=losses.__getitem__)}
    return sorted(places)
