"""The sampling error of a score: a benchmark is a sample of questions, and another sample would score otherwise.

Every score is ``100 * mean over its ratios of (sum of numerators / sum of denominators)``. An accuracy is one ratio of
hits over groups; MME has one a task; HallusionBench has its three accuracies, whose denominators are prompts, figures
and questions; LLaVA-Bench has the ratings of the model over those of the reference.

**What is resampled are clusters, not questions.** The circular variants of a question, and questions about one picture,
are right or wrong together: to count them as independent makes the error too small. Groups that share a picture are
one cluster.

Of the ``n`` clusters of a stratum ``n - 1`` are drawn with replacement (Rao and Wu 1988): then the spread of the draws
is the standard error itself, while ``n`` draws of ``n`` fall short by ``sqrt((n - 1) / n)``, which is felt with the 20
pictures of an MME task. The ends of the interval are quantiles of the draws, taken further out by as much as Student's
quantile exceeds the normal one (Hesterberg 2015, the expanded percentile interval).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Protocol

from registry.identity import order_key
from registry.student import student_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from registry.benchmark import Question, Result

DRAWS = 2000
CONFIDENCE = 0.95
_PICKS_AT_ONCE = 2**20
_SHOWN_DIGITS = 6
"""An interval is rounded so that the order in which a machine adds does not show."""

Ratios = Mapping[str, Mapping[str, tuple[float, float]]]
"""Name of a ratio -> group -> numerator and denominator."""


class Scored(Protocol):
    """What the error is computed of: a ``Result`` or a stored ``BenchmarkScore``."""

    @property
    def benchmark(self) -> str:
        """Its name."""

    @property
    def items(self) -> dict[str, float]:
        """Group -> its part of the score."""

    @property
    def strata(self) -> dict[str, str]:
        """Group -> stratum."""

    @property
    def clusters(self) -> dict[str, str]:
        """Group -> cluster, where groups share a picture."""

    @property
    def ratios(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Ratio -> group -> numerator and denominator, where the score is not the mean of the items."""


@dataclass(frozen=True)
class Interval:
    """The sampling error of one figure, in the figure's own unit."""

    low: float
    high: float
    standard_error: float
    confidence: float
    clusters: int
    """Groups of questions that vary on their own: what was resampled."""

    def scaled(self, factor: float) -> Interval:
        """The same of a figure that is a multiple of this one, such as MME's sum."""
        low, high, error = (
            round(value * factor, _SHOWN_DIGITS) for value in (self.low, self.high, self.standard_error)
        )
        return Interval(low, high, error, self.confidence, self.clusters)

    def ends(self) -> str:
        """Both ends for people."""
        return f"{self.low:.1f} … {self.high:.1f}"

    def in_words(self) -> str:
        """Both ends, how sure they are and what they rest on."""
        return f"{self.ends()} ({self.confidence:.0%}, {self.clusters:,} clusters)"

    def told(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "low": self.low,
            "high": self.high,
            "standard_error": self.standard_error,
            "confidence": self.confidence,
            "clusters": self.clusters,
        }


def picture_clusters(questions: Iterable[Question]) -> dict[str, str]:
    """Group -> the first group that it shares a picture with, directly or through others.

    Groups that share none with any other are left out: each is a cluster of its own.
    """
    leader: dict[str, str] = {}
    first_about: dict[str, str] = {}

    def find(group: str) -> str:
        while leader[group] != group:
            leader[group] = leader[leader[group]]
            group = leader[group]
        return group

    for question in questions:
        leader.setdefault(question.group, question.group)
        if question.image_key:
            first, here = find(first_about.setdefault(question.image_key, question.group)), find(question.group)
            leader[here] = first
    roots = {group: find(group) for group in leader}
    shared = {root for group, root in roots.items() if root != group}
    return {group: root for group, root in roots.items() if root in shared}


@dataclass(frozen=True)
class Sums:
    """A score as sums over clusters: what can be resampled."""

    clusters: list[str]
    strata: NDArray[np.int64]
    """Stratum of each cluster; clusters are drawn within it."""
    numerators: NDArray[np.float64]
    """Cluster by ratio."""
    denominators: NDArray[np.float64]

    @property
    def enough(self) -> bool:
        """Whether every ratio rests on two clusters at least: the spread of one cannot be seen."""
        return bool(len(self.clusters)) and bool(((self.denominators != 0).sum(axis=0) >= 2).all())

    @property
    def degrees_of_freedom(self) -> int:
        """Clusters less strata."""
        return max(1, len(self.clusters) - len(set(self.strata.tolist())))

    def value(self) -> float:
        """The score."""
        return float(score_of(self.numerators.sum(axis=0), self.denominators.sum(axis=0)))


def score_of(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> NDArray[np.float64]:
    """100 x the mean over ratios, the last axis."""
    mean: NDArray[np.float64] = 100 * (numerators / denominators).mean(axis=-1)
    return mean


def cluster_sums(score: Scored) -> Sums:
    """The groups of a score, added up by cluster. A cluster that reaches over strata is drawn in the first of them."""
    import numpy as np

    ratios = _ratios(score)
    names = sorted({score.clusters.get(group, group) for members in ratios.values() for group in members})
    place = {name: number for number, name in enumerate(names)}
    numerators = np.zeros((len(names), len(ratios)))
    denominators = np.zeros_like(numerators)
    strata = np.full(len(names), len(ratios), np.int64)
    by_ratio = not score.ratios  # else all ratios are of the same groups, which are one stratum
    for number, ratio in enumerate(sorted(ratios)):
        members = ratios[ratio]
        rows = np.array([place[score.clusters.get(group, group)] for group in members], np.int64)
        pairs = np.array(list(members.values()), np.float64).reshape(-1, 2)
        np.add.at(numerators[:, number], rows, pairs[:, 0])
        np.add.at(denominators[:, number], rows, pairs[:, 1])
        np.minimum.at(strata, rows, number if by_ratio else 0)
    return Sums(names, strata, numerators, denominators)


def _ratios(score: Scored) -> Ratios:
    """Those of the score; of one that is the mean of its items, one a stratum."""
    if score.ratios:
        return score.ratios
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for group, value in score.items.items():
        found.setdefault(score.strata.get(group, ""), {})[group] = (value, 1.0)
    return found


def score_interval(score: Scored, confidence: float = CONFIDENCE, draws: int = DRAWS) -> Interval | None:
    """The score (0..100) with its sampling error; None where it cannot be told.

    It cannot where a ratio rests on one cluster, or where nothing varies. All right or all wrong in one ratio does tell
    something: then one end is the score, and the other is the exact bound of so many clusters (Clopper and Pearson).
    """
    import numpy as np

    sums = cluster_sums(score)
    if not sums.enough:
        return None
    (found,) = drawn_scores([sums], draws, order_key("sampling", score.benchmark))
    error = float(found.std(ddof=1))
    if error < 10**-_SHOWN_DIGITS:
        return _without_spread(sums, confidence)
    tail = NormalDist().cdf(-student_quantile((1 + confidence) / 2, sums.degrees_of_freedom))
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(low), float(high), error, confidence, len(sums.clusters)).scaled(1)


def _without_spread(sums: Sums, confidence: float) -> Interval | None:
    value, count = sums.value(), len(sums.clusters)
    if sums.numerators.shape[1] != 1 or round(value, _SHOWN_DIGITS) not in (0, 100):
        return None
    reach = 100 * (1 - ((1 - confidence) / 2) ** (1 / count))
    low, high = (0.0, reach) if value < 50 else (100 - reach, 100.0)
    return Interval(low, high, 0.0, confidence, count).scaled(1)


def drawn_scores(samples: Sequence[Sums], draws: int, seed: int) -> list[NDArray[np.float64]]:
    """The scores of ``draws`` samples of the clusters, which are the same clusters in each of ``samples``."""
    import numpy as np

    parts = [part for sums in samples for part in (sums.numerators, sums.denominators)]
    drawn = drawn_sums(np.hstack(parts), samples[0].strata, draws, seed)
    pieces = np.split(drawn, len(parts), axis=1)
    return [score_of(*_usable(pieces[2 * number], pieces[2 * number + 1], sums)) for number, sums in enumerate(samples)]


def _usable(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64], sums: Sums
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A ratio whose clusters were all left out of a draw is taken as observed."""
    import numpy as np

    empty = denominators == 0
    if not empty.any():
        return numerators, denominators
    return (
        np.where(empty, sums.numerators.sum(axis=0), numerators),
        np.where(empty, sums.denominators.sum(axis=0), denominators),
    )


def drawn_sums(columns: NDArray[np.float64], strata: NDArray[np.int64], draws: int, seed: int) -> NDArray[np.float64]:
    """Sums of the columns over ``draws`` samples: one row a draw, each on the scale of the whole.

    Seeded, so that every machine draws the same.
    """
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(seed))
    total = np.zeros((draws, columns.shape[1]))
    for stratum in np.unique(strata):
        inside = columns[strata == stratum]
        total += _drawn_within(inside, draws, generator)
    return total


def _drawn_within(inside: NDArray[np.float64], draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Sums over n - 1 of n rows, times n / (n - 1). Columns that do not vary need no draw."""
    import numpy as np

    count = len(inside)
    total = np.tile(inside.sum(axis=0), (draws, 1))
    varying = np.flatnonzero(inside.min(axis=0) != inside.max(axis=0))
    if count < 2 or not len(varying):
        return total
    kept = np.ascontiguousarray(inside[:, varying].T)
    step = max(1, _PICKS_AT_ONCE // count)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        picks = generator.integers(0, count, size=(size, count - 1), dtype=np.int32)
        for number, column in zip(varying, kept, strict=True):
            total[start : start + size, number] = column.take(picks).sum(axis=1) * (count / (count - 1))
    return total


def published_interval(result: Result) -> Interval | None:
    """The error in the unit of the published figure, which is a multiple of the score (MME's sum)."""
    interval, shown = score_interval(result), result.metrics[result.headline]
    if interval is None or shown == result.score:
        return interval
    return interval.scaled(shown / result.score)
