"""Selection statistics against textbook values, closed forms and simulated truth."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.benchmark import score_of_items
from registry.statistics import (
    Items,
    PooledVariance,
    item_bootstrap,
    pooled_variance,
)


def test_variance_is_pooled_within_groups() -> None:
    pooled = pooled_variance([[1.0, 3.0], [10.0, 10.0, 13.0]])
    assert pooled == PooledVariance((2 + 6) / 3, 3)


def test_the_prior_weighs_like_so_many_degrees_of_freedom() -> None:
    pooled = pooled_variance([[1.0, 3.0]], prior_deviation=2.0, prior_degrees=4)
    assert pooled == PooledVariance((4 * 4 + 2) / 5, 5)
    assert pooled_variance([[5.0]], prior_deviation=2.0, prior_degrees=4) == PooledVariance(4, 4)


def test_nothing_repeated_and_no_prior_tells_nothing() -> None:
    assert pooled_variance([[1.0], [5.0]]) is None
    assert pooled_variance([], prior_degrees=4) is None


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=5), min_size=1, max_size=6), st.floats(-50, 50))
def test_shifting_a_candidate_does_not_change_the_noise(groups: list[list[float]], shift: float) -> None:
    moved = [[value + shift for value in groups[0]], *groups[1:]]
    before, after = pooled_variance(groups, 1.0, 2.0), pooled_variance(moved, 1.0, 2.0)
    assert before is not None
    assert after is not None
    assert after.variance == pytest.approx(before.variance, rel=1e-6, abs=1e-6)


def test_an_effect_is_a_mean_with_a_student_interval() -> None:
    effect = PooledVariance(variance=2.0, degrees_of_freedom=10).effect([3.0, 5.0], confidence=0.95)
    assert (effect.mean, effect.se) == (4.0, 1.0)
    assert effect.high - effect.mean == pytest.approx(2.228138851986274)
    assert effect.mean - effect.low == pytest.approx(2.228138851986274)


def test_repeats_shrink_the_standard_error_by_their_root() -> None:
    noise = PooledVariance(variance=9.0, degrees_of_freedom=5)
    assert [noise.standard_error(repeats) for repeats in (1, 4, 9)] == [3.0, 1.5, 1.0]


def test_simultaneous_intervals_share_the_error_among_the_comparisons() -> None:
    noise = PooledVariance(variance=1.0, degrees_of_freedom=10)
    five = noise.effect([0.0], 0.95, comparisons=5)
    assert five.high == pytest.approx(noise.effect([0.0], 0.99).high)
    widths = [noise.effect([0.0], 0.95, comparisons=count).high for count in (1, 2, 10, 40)]
    assert widths == sorted(widths)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """2,000 candidates with two seeds each, noise pooled over eight of them and no prior: 95 % of 95 % intervals."""
    draw = random.Random(20)
    covered = 0
    for _ in range(250):
        truths = [draw.uniform(-5, 5) for _ in range(8)]
        groups = [[draw.gauss(truth, 1.3) for _ in range(2)] for truth in truths]
        noise = pooled_variance(groups)
        assert noise is not None
        effects = [noise.effect(group, 0.95) for group in groups]
        covered += sum(effect.low <= truth <= effect.high for effect, truth in zip(effects, truths, strict=True))
    assert covered / 2000 == pytest.approx(0.95, abs=0.02)


def items(seed: int, sizes: dict[str, dict[str, int]], share: float) -> Items:
    draw = random.Random(seed)
    return {
        name: {
            stratum: {str(group): float(draw.random() < share) for group in range(size)}
            for stratum, size in strata.items()
        }
        for name, strata in sizes.items()
    }


SIZES = {"plain": {"": 200}, "tasks": {"small": 20, "large": 300}}


def average(found: Items) -> float:
    """Mean of the benchmarks' scores."""
    scores = []
    for strata in found.values():
        flat = {f"{s}/{group}": value for s, groups in strata.items() for group, value in groups.items()}
        scores.append(score_of_items(flat, {key: key.partition("/")[0] for key in flat}))
    return statistics.fmean(scores)


def test_the_bootstrap_is_centred_on_the_difference_of_the_averages() -> None:
    ours = [items(seed, SIZES, 0.6) for seed in (1, 2)]
    theirs = [items(seed, SIZES, 0.5) for seed in (3, 4)]
    effect = item_bootstrap(ours, theirs)
    expected = statistics.fmean(average(o) - average(t) for o, t in zip(ours, theirs, strict=True))
    assert effect.mean == pytest.approx(expected)
    assert effect.low < effect.mean < effect.high
    assert effect.low == pytest.approx(effect.mean - 1.96 * effect.se, abs=0.5)


def test_its_standard_error_is_that_of_a_paired_mean() -> None:
    sizes = {"plain": {"": 1500}}
    ours, theirs = items(1, sizes, 0.7), items(2, sizes, 0.5)
    differences = [ours["plain"][""][key] - theirs["plain"][""][key] for key in ours["plain"][""]]
    expected = 100 * statistics.pstdev(differences) / math.sqrt(len(differences))
    assert item_bootstrap([ours], [theirs]).se == pytest.approx(expected, rel=0.08)


def test_strata_are_resampled_on_their_own() -> None:
    """Where strata differ and their items do not, there is no item noise."""
    ours: Items = {"tasks": {"a": {"1": 1.0, "2": 1.0}, "b": {"1": 0.0, "2": 0.0, "3": 0.0}}}
    theirs: Items = {"tasks": {"a": {"1": 0.0, "2": 0.0}, "b": {"1": 0.0, "2": 0.0, "3": 0.0}}}
    effect = item_bootstrap([ours], [theirs])
    assert (effect.mean, effect.low, effect.high, effect.se) == (50, 50, 50, 0)


def test_pairing_removes_what_both_mixes_share() -> None:
    ours = items(1, SIZES, 0.5)
    assert item_bootstrap([ours], [ours]).se == 0
    better = {name: dict(strata) for name, strata in ours.items()}
    better["plain"] = {"": {**ours["plain"][""], "0": 1.0, "1": 1.0, "2": 1.0}}
    unpaired = item_bootstrap([items(9, SIZES, 0.5)], [ours])
    assert item_bootstrap([better], [ours]).se < unpaired.se / 4


def test_the_bootstrap_is_the_same_every_time_and_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = [items(1, SIZES, 0.6)], [items(2, SIZES, 0.5)]
    whole = item_bootstrap(ours, theirs)
    monkeypatch.setattr("registry.statistics._PICKS_AT_ONCE", 1000)
    assert item_bootstrap(ours, theirs) == whole


def test_its_interval_covers_the_truth() -> None:
    sizes = {"plain": {"": 120}}
    covered = 0
    for seed in range(150):
        effect = item_bootstrap([items(2 * seed, sizes, 0.6)], [items(2 * seed + 1, sizes, 0.5)], draws=300)
        covered += effect.low <= 10 <= effect.high
    assert covered / 150 == pytest.approx(0.95, abs=0.06)


def test_it_averages_over_seeds_before_it_resamples() -> None:
    ours, theirs = [items(1, SIZES, 0.6), items(2, SIZES, 0.6)], [items(3, SIZES, 0.5), items(4, SIZES, 0.5)]
    both, one = item_bootstrap(ours, theirs), item_bootstrap(ours[:1], theirs[:1])
    assert both.se == pytest.approx(one.se / math.sqrt(2), rel=0.2)


def test_it_does_not_depend_on_the_order_of_benchmarks_strata_or_items() -> None:
    ours, theirs = items(1, SIZES, 0.6), items(2, SIZES, 0.5)
    turned = {
        name: {stratum: dict(list(groups.items())[::-1]) for stratum, groups in list(strata.items())[::-1]}
        for name, strata in list(ours.items())[::-1]
    }
    assert item_bootstrap([turned], [theirs]) == item_bootstrap([ours], [theirs])


def test_its_numbers_are_golden() -> None:
    """The same on every machine: the draws come from the names of the benchmarks alone."""
    found = item_bootstrap([items(1, SIZES, 0.6)], [items(2, SIZES, 0.5)], draws=500)
    rounded = [round(value, 6) for value in (found.mean, found.low, found.high, found.se)]
    assert rounded == [5.333333, -3.754167, 14.833333, 4.96536]
