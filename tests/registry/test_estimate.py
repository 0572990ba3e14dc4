"""An effect with its error: interval, the chance of being as large by chance alone, and a second error beside."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from registry.statistics import Estimate
from registry.student import student_distribution, student_quantile


def test_the_chance_is_the_tail_beyond_a_value() -> None:
    found = Estimate(2.0, 1.0, 10.0)
    assert found.chance_below(0.0) == pytest.approx(1 - student_distribution(2.0, 10.0))
    assert found.chance_above(0.0) == pytest.approx(student_distribution(2.0, 10.0))
    assert found.chance_below(2.0) == pytest.approx(0.5)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_end_of_an_interval_is_where_the_chance_is_what_the_interval_leaves(confidence: float) -> None:
    found = Estimate(1.3, 0.7, 6.0)
    effect = found.effect(confidence)
    assert found.chance_below(effect.low) == pytest.approx((1 - confidence) / 2)
    assert found.chance_above(effect.high) == pytest.approx((1 - confidence) / 2)


def test_a_chance_far_out_is_small_and_not_nothing() -> None:
    assert 0 < Estimate(12.0, 1.0, 200.0).chance_below(0.0) < 1e-20


def test_with_endless_degrees_of_freedom_student_is_normal() -> None:
    assert student_quantile(0.975, math.inf) == pytest.approx(NormalDist().inv_cdf(0.975))
    assert student_distribution(-1.5, math.inf) == pytest.approx(student_distribution(-1.5, 1e9), abs=1e-6)


def test_without_any_error_there_is_no_doubt() -> None:
    assert (Estimate(1.0, 0.0, math.inf).chance_below(0.0), Estimate(0.0, 0.0, math.inf).chance_below(0.0)) == (0, 1)


def test_a_second_error_adds_in_squares_and_brings_certainty_about_the_first() -> None:
    both = Estimate(1.0, 3.0, 5.0).with_error(4.0)
    assert both.se == 5.0
    assert both.degrees_of_freedom == pytest.approx(5.0 * (25 / 9) ** 2)
    alone = Estimate(1.0, 0.0, math.inf).with_error(4.0)
    assert (alone.se, alone.degrees_of_freedom) == (4.0, math.inf)
