"""The selection map (the paper's Figure 3): category by category, what was tried, what it did, what joined."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from curator.report.wording import category_sentence, category_title, is_miss
from registry.trial import CandidateDecision, Decision, PathPoint


@dataclass(frozen=True)
class Axis:
    """A common scale for all effects, in points."""

    low: float
    high: float
    ticks: list[float]

    def at(self, value: float) -> float:
        """Where a value lies, in per cent of the width."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)


def nice_axis(values: Iterable[float], most_ticks: int = 8) -> Axis:
    """An axis over all values and zero, whose ticks are multiples of 1, 2 or 5 times a power of ten."""
    seen = [0.0, *values]
    low, high = min(seen), max(seen)
    span = max(high - low, 1.0)
    least = span / (most_ticks - 2)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least or factor == 10)
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return Axis(first * step, last * step, [round(step * k, 6) for k in range(first, last + 1)])


@dataclass(frozen=True)
class Row:
    """One candidate on the map, its places in per cent of the axis."""

    number: int
    """Place in the decision: the anchor of its samples."""
    candidate: CandidateDecision
    low: float
    width: float
    mean: float
    miss: bool
    """The verdict contradicts the known truth."""


@dataclass(frozen=True)
class Step:
    """One category of the study."""

    title: str
    sentence: str
    rows: list[Row]
    joined: list[str]
    """Candidates that joined the baseline here."""
    point: PathPoint | None
    """The baseline after them; None where nothing joined."""
    gained: float


@dataclass(frozen=True)
class SelectionMap:
    """All steps, and the scale they share."""

    axis: Axis
    steps: list[Step]
    zone: tuple[float, float]
    """Left end and width of the comparable margin, in per cent."""
    known_truth: bool


def selection_map(decision: Decision) -> SelectionMap:
    """The map of a decision."""
    effects = [candidate.average for candidate in decision.candidates]
    margin = decision.rule.comparable_margin
    axis = nice_axis([-margin, *(bound for effect in effects for bound in (effect.low, effect.mean, effect.high))])
    left = axis.at(-margin)
    steps = _steps(decision, axis)
    return SelectionMap(axis, steps, (left, axis.at(0) - left), any(c.truth for c in decision.candidates))


def _steps(decision: Decision, axis: Axis) -> list[Step]:
    points = {point.category: point for point in decision.path}
    latest = points[None]
    steps = []
    for category in decision.categories:
        point = points.get(category)
        if point is not None:
            joined = [name for name in point.joined if name not in latest.joined]
        else:  # strategies that take no path through the categories join all at the end
            kept = decision.candidates if len(decision.path) == 1 else []
            joined = [one.candidate for one in kept if one.category == category and one.verdict == "kept"]
        gained = point.average - latest.average if point else 0.0
        rows = [_row(i, c, axis) for i, c in enumerate(decision.candidates, start=1) if c.category == category]
        steps.append(Step(category_title(category), category_sentence(category), rows, joined, point, gained))
        latest = point or latest
    return steps


def _row(number: int, candidate: CandidateDecision, axis: Axis) -> Row:
    low, mean, high = (axis.at(v) for v in (candidate.average.low, candidate.average.mean, candidate.average.high))
    return Row(number, candidate, low, round(high - low, 2), mean, is_miss(candidate))
