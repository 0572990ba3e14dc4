"""What signs and centroids say together: a category for each sample, how sure it is, and what decided."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curator.batch import Batch
from curator.categories import centroids as centroid_kind
from curator.categories import grams as gram_kind
from curator.categories.centroids import Centroids, nearness
from curator.categories.signs import SIGNS, Points, points, signs_settings
from registry.taxonomy import SLUGS

VERSION = 1
NEARNESS_POINTS = 30
"""Points of a cosine of 1."""
POINTS_OF_E = 10
"""Points that make a category e times as likely."""
WORDS = "words like those of other datasets"
NOTHING = "no sign"


class Findings(NamedTuple):
    """One value a sample."""

    category: list[str]
    confidence: npt.NDArray[np.float64]
    """Share of all likelihood that the category has, 0..1."""
    rule: list[str]
    """What spoke most for it: a sign, or its words."""


def findings(centroids: Centroids, batch: Batch) -> Findings:
    """Judge samples, each by itself."""
    return judged(points(batch), nearness(centroids, batch))


def judged(said: Points, cosines: npt.NDArray[np.float64]) -> Findings:
    """What signs and cosines, ``(sample, category)``, say together."""
    near = cosines * NEARNESS_POINTS
    total = said.points + near
    best = total.argmax(axis=1)
    rows = np.arange(len(total))
    likely = np.exp((total - total[rows, best][:, None]) / POINTS_OF_E)
    confidence = np.round(1 / likely.sum(axis=1), 4)
    return Findings([SLUGS[category] for category in best], confidence, _rules(said.strongest, near, best))


def findings_settings() -> dict[str, int]:
    """What findings depend on, apart from samples and centroids."""
    return {
        "findings": VERSION,
        **signs_settings(),
        "grams": gram_kind.VERSION,
        "buckets": gram_kind.BUCKETS,
        "centroids": centroid_kind.VERSION,
    }


def _rules(strongest: npt.NDArray[np.int64], near: npt.NDArray[np.float64], best: npt.NDArray[np.int64]) -> list[str]:
    """Of each sample, the sign that gives its category most, or that its words are nearer to it than to others."""
    rules = []
    for row, category in enumerate(best.tolist()):
        sign = SIGNS[strongest[row, category]] if strongest[row, category] >= 0 else None
        ahead = float(near[row, category] - near[row].mean())
        given = sign.points[SLUGS[category]] if sign else 0
        rules.append(WORDS if ahead > given else sign.name if sign else NOTHING)
    return rules
