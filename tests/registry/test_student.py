"""Student's t against textbook values and closed forms."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry.student import student_distribution, student_quantile

# (probability, degrees of freedom, quantile): tables of Student's t, to the digits they give
QUANTILES = [
    (0.975, 1, 12.706204736174694),
    (0.975, 2, 4.302652729749462),
    (0.975, 2.5, 3.5746548420036817),
    (0.975, 10, 2.228138851986274),
    (0.975, 30, 2.0422724563012378),
    (0.9995, 4, 8.610301581379522),
    (0.95, 5, 2.0150483726691575),
    (0.5, 3, 0.0),
    (0.25, 1, -1.0),
    (0.975, 3, 3.18244630528371),
    (0.9975, 3, 7.453318509885),
    (0.999, 1, 318.30883898555),
    (0.6, 3, 0.2766706623326898),
    (0.9, 0.5, 10.27032441023451),  # a prior may weigh less than one repeat
]


@pytest.mark.parametrize(("probability", "degrees", "quantile"), QUANTILES)
def test_student_quantiles_are_those_of_the_tables(probability: float, degrees: float, quantile: float) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(quantile, rel=1e-8, abs=1e-8)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    normal = statistics.NormalDist()
    for probability in (0.6, 0.9, 0.975, 0.9999):
        assert student_quantile(probability, 1e7) == pytest.approx(normal.inv_cdf(probability), rel=1e-5)


@settings(deadline=None)
@example(1.192092896e-07, 256.0)
@given(st.floats(-50, 50), st.floats(0.3, 500))
def test_the_quantile_undoes_the_distribution(value: float, degrees: float) -> None:
    probability = student_distribution(value, degrees)
    assert 0 <= probability <= 1
    assert student_distribution(-value, degrees) == pytest.approx(1 - probability)
    if 1e-6 < probability < 1 - 1e-6:
        assert student_quantile(probability, degrees) == pytest.approx(value, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("probability", [0, 1, -0.1, 1.5])
def test_a_probability_out_of_range_is_an_error(probability: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        student_quantile(probability, 3)


def test_the_distribution_with_one_degree_is_cauchy() -> None:
    for value in (-3.0, -0.5, 0.0, 0.2, 7.0):
        assert student_distribution(value, 1) == pytest.approx(0.5 + math.atan(value) / math.pi)


def test_the_distribution_with_two_degrees_has_a_root() -> None:
    for value in (-40.0, -1.7, 0.0, 0.4, 9.0):
        expected = 0.5 + value / (2 * math.sqrt(2 + value * value))
        assert student_distribution(value, 2) == pytest.approx(expected, abs=1e-12)
