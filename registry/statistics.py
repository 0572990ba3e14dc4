"""Statistics of selection: is a difference between two mixes larger than chance, and by how much?

Two sources of chance are kept apart. *Training noise*: the same mix with another seed scores differently; it is
measured by repeating trials and pooled over all candidates, since one candidate alone is repeated too rarely to
know its own variance. *Item noise*: a benchmark is a sample of questions; it is measured by a paired bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.identity import order_key
from registry.student import student_distribution, student_quantile
from registry.trial import Effect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """An effect in points as it was measured or fitted, and its standard error."""

    mean: float
    se: float
    degrees_of_freedom: float
    """What the standard error rests on: infinity where it is known exactly."""

    def effect(self, confidence: float, comparisons: int = 1) -> Effect:
        """The effect with a two-sided Student interval.

        ``comparisons`` > 1 makes the interval simultaneous over that many candidates (Bonferroni).
        """
        quantile = student_quantile(1 - (1 - confidence) / (2 * comparisons), self.degrees_of_freedom)
        half = quantile * self.se
        return Effect(mean=self.mean, low=self.mean - half, high=self.mean + half, se=self.se)

    def chance_below(self, value: float) -> float:
        """P value of an effect of ``value`` or less: how often one would look as large as this by chance alone."""
        if self.se == 0:
            return float(self.mean <= value)
        return student_distribution((value - self.mean) / self.se, self.degrees_of_freedom)

    def chance_above(self, value: float) -> float:
        """P value of an effect of ``value`` or more."""
        return Estimate(-self.mean, self.se, self.degrees_of_freedom).chance_below(-value)

    def with_error(self, se: float) -> Estimate:
        """With a second error beside the first, known exactly (Welch and Satterthwaite's degrees of freedom)."""
        own, total = self.se**2, self.se**2 + se**2
        degrees = self.degrees_of_freedom * (total / own) ** 2 if own > 0 else math.inf
        return Estimate(self.mean, math.sqrt(total), degrees)


@dataclass(frozen=True)
class PooledVariance:
    """Variance of one paired difference, with the degrees of freedom it rests on."""

    variance: float
    degrees_of_freedom: float

    def standard_error(self, repeats: int) -> float:
        """Standard error of the mean of ``repeats`` differences."""
        return math.sqrt(self.variance / repeats)

    def estimate(self, differences: Sequence[float]) -> Estimate:
        """Mean of the differences with what is known of its error."""
        mean = math.fsum(differences) / len(differences)
        return Estimate(mean, self.standard_error(len(differences)), self.degrees_of_freedom)

    def effect(self, differences: Sequence[float], confidence: float, comparisons: int = 1) -> Effect:
        """Mean of the differences with its interval; see ``Estimate.effect``."""
        return self.estimate(differences).effect(confidence, comparisons)


def pooled_variance(
    groups: Sequence[Sequence[float]], prior_deviation: float | None = None, prior_degrees: float = 0.0
) -> PooledVariance | None:
    """Variance within groups of repeated differences, pooled with a prior.

    s² = (ν0·s0² + Σ_c Σ_r (d_cr − mean_c)²) / (ν0 + Σ_c (R_c − 1)). Returns None when neither a prior nor a
    repeated group is there: one seed and no calibration tell nothing about noise.
    """
    degrees = prior_degrees if prior_deviation is not None else 0.0
    total = degrees * (prior_deviation or 0.0) ** 2
    for group in groups:
        mean = math.fsum(group) / len(group)
        total += math.fsum((value - mean) ** 2 for value in group)
        degrees += len(group) - 1
    return PooledVariance(total / degrees, degrees) if degrees > 0 else None


Items = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Benchmark -> stratum -> item group -> 0..1. A benchmark's score is 100 x the mean of its strata's means."""


def item_bootstrap(
    candidate: Sequence[Items], baseline: Sequence[Items], confidence: float = 0.95, draws: int = 2000
) -> Effect:
    """Difference of the guide average with the sampling error of the benchmark items.

    ``candidate[r]`` and ``baseline[r]`` are the item scores of seed r. Items are resampled within each stratum of
    each benchmark, paired between the two mixes; their scores are averaged over seeds first. Returns points
    (0..100). Seeded by the benchmark names, so it is the same on every machine.
    """
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(order_key("bootstrap", *sorted(candidate[0]))))
    averages, mean = np.zeros(draws), 0.0
    for name in sorted(candidate[0]):
        strata = candidate[0][name]
        for stratum in sorted(strata):
            keys = sorted(strata[stratum])
            total = np.zeros(len(keys))
            for ours, theirs in zip(candidate, baseline, strict=True):
                total += [ours[name][stratum][key] - theirs[name][stratum][key] for key in keys]
            weight = 100 / (len(candidate) * len(strata) * len(candidate[0]))
            averages += _resampled_means(total, draws, generator) * weight
            mean += float(total.mean()) * weight
    low, high = np.quantile(averages, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Effect(mean=mean, low=float(low), high=float(high), se=float(averages.std(ddof=1)))


_PICKS_AT_ONCE = 2**20
"""Resampled items held in memory at a time: 16 MB, whatever the size of the benchmark."""


def _resampled_means(values: NDArray[np.float64], draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Means of ``draws`` samples with replacement, each as large as ``values``."""
    import numpy as np

    step = max(1, _PICKS_AT_ONCE // len(values))
    sizes = [min(step, draws - start) for start in range(0, draws, step)]
    picks = (generator.integers(0, len(values), size=(size, len(values))) for size in sizes)
    return np.concatenate([values[chosen].mean(axis=1) for chosen in picks])
