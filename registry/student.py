"""Student's t distribution: its function and its inverse, to the last digits, without a statistics library."""

from __future__ import annotations

import functools
import math
from statistics import NormalDist


@functools.lru_cache(maxsize=1024)
def student_quantile(probability: float, degrees_of_freedom: float) -> float:
    """Inverse of Student's t distribution function, by bisection to 1e-10."""
    if not 0 < probability < 1:
        raise ValueError(f"probability {probability} is not between 0 and 1")
    if math.isinf(degrees_of_freedom):
        return NormalDist().inv_cdf(probability)
    if probability < 0.5:
        return -student_quantile(1 - probability, degrees_of_freedom)
    low, high = 0.0, 1.0
    while student_distribution(high, degrees_of_freedom) < probability:
        high *= 2
    while high - low > 1e-10 * max(1.0, high):
        middle = (low + high) / 2
        if student_distribution(middle, degrees_of_freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def student_distribution(value: float, degrees_of_freedom: float) -> float:
    """P(T <= value) for Student's t: 1 − ½·I_x(ν/2, ½) with x = ν/(ν + t²)."""
    if math.isinf(degrees_of_freedom):
        return NormalDist().cdf(value)
    x = degrees_of_freedom / (degrees_of_freedom + value * value)
    tail = 0.5 * _incomplete_beta(degrees_of_freedom / 2, 0.5, x)
    return 1 - tail if value >= 0 else tail


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b) by its continued fraction (modified Lentz)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / max(tiny, 1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 1000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d, tiny)
            c = _away_from_zero(1 + term / c, tiny)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction / a


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
