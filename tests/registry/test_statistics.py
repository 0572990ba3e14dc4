"""Statistics of selection against printed tables, sums done by hand, and theory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.benchmark import score_of_items
from registry.statistics import (
    Items,
    PooledVariance,
    item_bootstrap,
    pooled_variance,
    student_distribution,
    student_quantile,
)

T = TypeVar("T")
TABLE = [  # probability, degrees of freedom, quantile: the printed tables of Student's t
    (0.975, 1, 12.7062047),
    (0.975, 2, 4.30265273),
    (0.975, 3, 3.18244631),
    (0.975, 4, 2.77644511),
    (0.975, 10, 2.22813885),
    (0.975, 30, 2.04227246),
    (0.975, 120, 1.97993041),
    (0.95, 1, 6.31375151),
    (0.95, 5, 2.01504837),
    (0.995, 5, 4.03214298),
    (0.9975, 3, 7.45331851),
    (0.999, 1, 318.308839),
    (0.9995, 12, 4.31779128),
    (0.75, 1, 1.0),
    (0.6, 3, 0.276670662),
    (0.975, 1e6, 1.95996636),  # all but normal
    (0.975, 2.5, 3.57465484),  # a prior may weigh any number of degrees
    (0.9, 0.5, 10.2703244),
]


@pytest.mark.parametrize(("probability", "degrees", "quantile"), TABLE)
def test_student_quantiles_are_those_of_the_tables(probability: float, degrees: float, quantile: float) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(quantile, rel=1e-7)
    assert student_quantile(1 - probability, degrees) == pytest.approx(-quantile, rel=1e-6)


def test_student_distribution_has_its_closed_forms() -> None:
    for value in (-40.0, -1.7, -0.1, 0.0, 0.4, 1.7, 9.0):
        assert student_distribution(value, 1) == pytest.approx(0.5 + math.atan(value) / math.pi, abs=1e-12)
        two = 0.5 + value / (2 * math.sqrt(2 + value * value))
        assert student_distribution(value, 2) == pytest.approx(two, abs=1e-12)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(0.5, 500))
def test_quantile_and_distribution_undo_each_other(probability: float, degrees: float) -> None:
    assert student_distribution(student_quantile(probability, degrees), degrees) == pytest.approx(probability, abs=1e-8)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 1.5])
def test_a_probability_without_a_quantile_is_an_error(probability: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        student_quantile(probability, 3)


def test_variance_is_pooled_within_groups() -> None:
    # 1, 3 about 2: 2; 2, 2, 5 about 3: 6; together 8 over 1 + 2 degrees
    assert pooled_variance([[1, 3], [2, 2, 5]]) == PooledVariance(8 / 3, 3)


def test_what_a_group_is_about_does_not_matter() -> None:
    shifted = pooled_variance([[101, 103], [-98, -98, -95]])
    assert shifted == PooledVariance(8 / 3, 3)


def test_a_prior_weighs_as_many_degrees_as_it_claims() -> None:
    assert pooled_variance([[1, 3], [2, 2, 5]], 2.0, 5) == PooledVariance((5 * 4 + 8) / 8, 8)
    assert pooled_variance([[4.0]], 2.0, 5) == PooledVariance(4, 5)
    assert pooled_variance([[1, 3]], None, 5) == PooledVariance(2, 1)


@pytest.mark.parametrize("groups", [[], [[1.0]], [[1.0], [5.0], [2.0]]])
def test_without_repeats_or_a_prior_nothing_is_known(groups: list[list[float]]) -> None:
    assert pooled_variance(groups) is None
    assert pooled_variance(groups, 1.0, 0.0) is None


def test_an_effect_is_a_mean_with_a_student_interval() -> None:
    effect = PooledVariance(2.0, 3).effect([1.0, 3.0], 0.95)
    assert (effect.mean, effect.se) == (2.0, 1.0)
    assert [effect.low, effect.high] == pytest.approx([2 - 3.18244631, 2 + 3.18244631])


def test_more_comparisons_widen_the_interval_by_bonferroni() -> None:
    effect = PooledVariance(2.0, 3).effect([1.0, 3.0], 0.95, comparisons=10)
    assert effect.high - effect.mean == pytest.approx(7.45331851)
    assert effect.mean - effect.low == pytest.approx(7.45331851)


def test_repeats_shrink_the_standard_error_by_their_root() -> None:
    assert PooledVariance(9.0, 5).standard_error(4) == pytest.approx(1.5)


def test_the_interval_covers_as_often_as_it_says() -> None:
    draws = np.random.Generator(np.random.PCG64(5)).normal(2.0, 3.0, size=(1500, 3, 4))
    covered = 0
    for groups in draws:
        variance = pooled_variance(groups.tolist())
        assert variance is not None
        effect = variance.effect(groups[0].tolist(), 0.9)
        covered += effect.low < 2.0 < effect.high
    assert abs(covered - 1350) < 4 * math.sqrt(1500 * 0.9 * 0.1)


# ---- the bootstrap over items -----------------------------------------------------------------------------------


def drawn(seed: int, strata: Mapping[str, int], names: tuple[str, ...] = ("mme",), share: float = 0.6) -> Items:
    """Items of 0 and 1: benchmark -> stratum -> group."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return {
        name: {
            stratum: {f"{stratum}{n}": float(generator.random() < share) for n in range(count)}
            for stratum, count in strata.items()
        }
        for name in names
    }


def score(items: Items) -> float:
    """The guide average of one trial, by the benchmarks' own definition."""
    scores = []
    for strata in items.values():
        flat = {group: value for groups in strata.values() for group, value in groups.items()}
        where = {group: stratum for stratum, groups in strata.items() for group in groups}
        scores.append(score_of_items(flat, where))
    return math.fsum(scores) / len(scores)


def test_the_bootstrap_mean_is_the_difference_of_the_scores_exactly() -> None:
    names = ("mme", "mmbench")
    ours = [drawn(seed, {"a": 30, "b": 7}, names) for seed in (1, 2)]
    theirs = [drawn(seed, {"a": 30, "b": 7}, names, 0.4) for seed in (3, 4)]
    expected = (score(ours[0]) + score(ours[1]) - score(theirs[0]) - score(theirs[1])) / 2
    assert item_bootstrap(ours, theirs, draws=10).mean == pytest.approx(expected, abs=1e-9)


def test_the_bootstrap_error_is_that_of_theory() -> None:
    ours, theirs = drawn(1, {"a": 400, "b": 100}), drawn(2, {"a": 400, "b": 100}, share=0.5)
    analytic = 0.0
    for stratum, groups in ours["mme"].items():
        differences = [value - theirs["mme"][stratum][group] for group, value in groups.items()]
        analytic += (50**2) * float(np.var(differences)) / len(differences)
    found = item_bootstrap([ours], [theirs], draws=2000)
    assert found.se == pytest.approx(math.sqrt(analytic), rel=0.08)
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(analytic), rel=0.1)
    assert found.low < found.mean < found.high


def test_the_bootstrap_is_paired_and_what_both_get_right_costs_nothing() -> None:
    items = drawn(1, {"": 200})
    same = item_bootstrap([items], [items])
    assert (same.mean, same.low, same.high, same.se) == (0, 0, 0, 0)


def test_the_bootstrap_averages_over_seeds_before_it_resamples() -> None:
    ours, theirs = [drawn(1, {"": 200}), drawn(2, {"": 200})], [drawn(3, {"": 200}), drawn(4, {"": 200})]
    both, one = item_bootstrap(ours, theirs), item_bootstrap(ours[:1], theirs[:1])
    assert both.se == pytest.approx(one.se / math.sqrt(2), rel=0.2)


def test_the_bootstrap_is_the_same_every_time() -> None:
    ours, theirs = drawn(1, {"a": 20}), drawn(2, {"a": 20})
    found = item_bootstrap([ours], [theirs], draws=500)
    assert found == item_bootstrap([ours], [theirs], draws=500)
    assert (round(found.mean, 6), round(found.se, 6)) == (15.0, 17.060707)


def _reversed(mapping: Mapping[str, T]) -> list[tuple[str, T]]:
    return list(mapping.items())[::-1]


def test_the_bootstrap_does_not_depend_on_the_order_of_its_items() -> None:
    ours, theirs = drawn(1, {"a": 20, "b": 9}, ("x", "y")), drawn(2, {"a": 20, "b": 9}, ("x", "y"))
    turned = {
        name: {stratum: dict(_reversed(groups)) for stratum, groups in _reversed(strata)}
        for name, strata in _reversed(ours)
    }
    assert item_bootstrap([turned], [theirs]) == item_bootstrap([ours], [theirs])
