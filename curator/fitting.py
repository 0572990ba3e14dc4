"""Effects fitted to mixes of many candidates at once: ridge regression with the error of every coefficient.

The score of a mix is taken to be the baseline's of its seed plus an effect of every candidate in it. Where that holds,
one mix tells of all candidates, so a few mixes tell as much as many trials of one candidate each; where candidates
repeat or need each other, the residuals grow, and the intervals with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curator.comparing import Evidence
from curator.judging import Estimates
from curator.study import Run
from registry.errors import Refusal
from registry.identity import order_key
from registry.statistics import Estimate

Matrix = npt.NDArray[np.float64]
SPREAD = 10.0
"""Standard deviation, in points, that effects are expected to have: so weak a prior hardly shrinks what is known."""


def fit(evidence: Evidence, runs: Sequence[Run]) -> Mapping[str, Estimates]:
    """Candidate -> its effect on every figure, from these runs."""
    names = [candidate.name for candidate in evidence.study.candidates]
    columns = {name: column for column, name in enumerate(names)}
    seeds = sorted({run.seed for run in runs})
    design = np.zeros((len(runs), len(names)))
    for row, run in enumerate(runs):
        design[row, [columns[name] for name in run.joined]] = 1
    block = np.array([seeds.index(run.seed) for run in runs])
    design = _centred(design, block)
    found: dict[str, dict[str, Estimate]] = {name: {} for name in names}
    for figure, benchmarks in evidence.figures.items():
        scores = np.array([[evidence.outcomes[run].mean(benchmarks)] for run in runs])
        ridge = _ridge(design, _centred(scores, block)[:, 0], len(seeds), *_prior(evidence, figure))
        for name, mean, se in zip(names, ridge.means, ridge.errors, strict=True):
            found[name][figure] = Estimate(float(mean), float(se), ridge.degrees_of_freedom)
    return found


@dataclass(frozen=True)
class _Ridge:
    means: Matrix
    errors: Matrix
    degrees_of_freedom: float


def _ridge(design: Matrix, scores: Matrix, blocks: int, variance: float, degrees: float) -> _Ridge:
    """Coefficients, and their errors from the residuals pooled with what is known of a trial's variance."""
    spread, size = design.shape[1], len(scores)
    start = variance if degrees else float(scores @ scores) / max(1, size - blocks)
    inner = design.T @ design + np.eye(spread) * (start / SPREAD**2)
    inverse = np.linalg.inv(inner)
    means = inverse @ design.T @ scores
    residuals = scores - design @ means
    used = float(np.trace(inverse @ design.T @ design))
    left = max(0.0, size - blocks - used)
    if left + degrees < 1:
        raise Refusal(
            "fitted effects",
            f"{size} mixes leave nothing to tell the noise of {spread} candidates from",
            "calibrate the noise of the scale, or give more seeds (--max-seeds)",
        )
    pooled = (degrees * variance + float(residuals @ residuals)) / (degrees + left)
    errors = np.sqrt(pooled * np.diag(inverse))
    return _Ridge(means, errors, degrees + left)


def _prior(evidence: Evidence, figure: str) -> tuple[float, float]:
    """Variance of one trial's figure within its seed, and the degrees of freedom it rests on (0 = unknown)."""
    known = evidence.variances[figure]
    return (known.variance / 2, known.degrees_of_freedom) if known else (0.0, 0.0)


def _centred(values: Matrix, block: npt.NDArray[np.int64]) -> Matrix:
    """Each column without its mean in each block: what all mixes of a seed share is no effect."""
    means = np.array([values[block == number].mean(axis=0) for number in range(block.max() + 1)])
    centred: Matrix = values - means[block]
    return centred


def balanced_mixes(names: Sequence[str], number: int) -> list[tuple[str, ...]]:
    """Mixes of half of the candidates each, in which every pair of candidates is as often together as apart.

    Paley's construction: rows are shifts of the quadratic residues modulo a prime. ``number`` says which of the
    candidates stand where, so another number gives other mixes. Each is in the order of ``names``.
    """
    prime = next(p for p in range(3, 8 * len(names) + 8) if p % 4 == 3 and p >= len(names) and _is_prime(p))
    residues = {value * value % prime for value in range(1, prime)} | {0}
    order = sorted(names, key=lambda name: order_key("balanced", number, name))
    place = {name: column for column, name in enumerate(order)}
    rows = [frozenset((column + shift) % prime for column in residues) for shift in range(prime)]
    return [tuple(name for name in names if place[name] in row) for row in rows] + [()]


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, int(number**0.5) + 1))
