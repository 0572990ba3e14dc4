"""Do two models differ on a benchmark, by how much, and how small a difference could be seen at all?

Both answered the same questions, so what counts is where they differ. The effect has the standard error of a paired
bootstrap over the clusters of questions (``registry.sampling``) and Student's interval.

Where every group is right or wrong the p-value is exact: each cluster's difference (groups only the second has right,
less groups only the first has) is as likely to be negative as positive if the models are equally good, so the sum is
compared with all choices of signs. With clusters of one group that *is* McNemar's exact test. Elsewhere it is
Student's test of the effect over its bootstrapped standard error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from registry.identity import order_key
from registry.sampling import DRAWS, Scored, Sums, cluster_sums, drawn_scores
from registry.student import student_distribution, student_quantile
from registry.trial import Effect

MCNEMAR, CLUSTERED_MCNEMAR, BOOTSTRAP = "McNemar, exact", "McNemar, exact, by cluster", "paired bootstrap"
POWER = 0.8
_NOTHING = 1e-9


@dataclass(frozen=True)
class PairedTest:
    """The difference between two scores of one benchmark, the second less the first, in points (0..100)."""

    effect: Effect
    p: float
    """Two-sided."""
    test: str
    detectable: float | None
    """The least true difference that this test finds with a probability of 80 %; None where nothing differs."""
    clusters: int


def paired_test(first: Scored, second: Scored, confidence: float = 0.95, draws: int = DRAWS) -> PairedTest | None:
    """Compare two scores over the same groups; None where a ratio rests on a single cluster."""
    ours, theirs = cluster_sums(first), cluster_sums(second)
    if ours.clusters != theirs.clusters:
        raise ValueError("paired scores have the same groups")
    if not (ours.enough and theirs.enough):
        return None
    drawn = drawn_scores([ours, theirs], draws, order_key("paired", first.benchmark))
    mean, error = theirs.value() - ours.value(), float((drawn[1] - drawn[0]).std(ddof=1))
    degrees = ours.degrees_of_freedom
    reach = student_quantile((1 + confidence) / 2, degrees)
    effect = Effect(mean=mean, low=mean - reach * error, high=mean + reach * error, se=error)
    p, test = _p_value(first, second, ours, theirs, effect)
    seen = (reach + student_quantile(POWER, degrees)) * error if error > _NOTHING else None
    return PairedTest(effect, p, test, seen, len(ours.clusters))


def _p_value(first: Scored, second: Scored, ours: Sums, theirs: Sums, effect: Effect) -> tuple[float, str]:
    if _is_binary(first) and _is_binary(second):
        differences = (theirs.numerators - ours.numerators).sum(axis=1).round().astype(int).tolist()
        alone = len(ours.clusters) == len(first.items)
        return sign_test(differences), MCNEMAR if alone else CLUSTERED_MCNEMAR
    if effect.se <= _NOTHING:  # the same in every cluster: what remains is that their signs agree
        return (sign_test([1] * len(ours.clusters)) if abs(effect.mean) > _NOTHING else 1.0), BOOTSTRAP
    return 2 * student_distribution(-abs(effect.mean) / effect.se, ours.degrees_of_freedom), BOOTSTRAP


def _is_binary(score: Scored) -> bool:
    """Whether the score is the plain share of groups that are right."""
    return not score.strata and not score.ratios and set(score.items.values()) <= {0.0, 1.0}


def sign_test(differences: Iterable[int]) -> float:
    """Two-sided p-value of the sum, when each difference might as well have the other sign. Exact.

    With differences of one, that is McNemar's exact test: ``2 * P(X <= min(fixed, broken))`` for a fair coin thrown
    ``fixed + broken`` times.
    """
    import numpy as np

    changed = [difference for difference in differences if difference]
    sizes = sorted(map(abs, changed))
    total = sum(sizes)
    chance = np.zeros(total + 1)  # of each possible sum of the positive ones
    chance[0] = 1.0
    for size in sizes:
        moved = chance[: total + 1 - size].copy()
        chance[size:] += moved
        chance /= 2
    least = (total - abs(sum(changed))) // 2
    return min(1.0, 2 * float(chance[: least + 1].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that among all of them a false finding is as unlikely as in one (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        running = max(running, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, running)
    return adjusted


def in_words(p: float) -> str:
    """A p-value for people."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if math.isfinite(p) else "-"
