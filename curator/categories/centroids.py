"""Centroids: the middle of each category's profiles, and how near samples are to each.

Every dataset counts alike, however large it is, and a gram that most datasets have counts little. Sums are of whole
numbers and what is rounded is rounded alike everywhere, so the same profiles give the same centroids on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from curator.batch import Batch
from curator.categories.grams import BUCKETS, grams
from curator.categories.profiles import ALL, UNIT
from registry.taxonomy import SLUGS

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
COMMON_SHARE = 0.02
"""A dataset has a gram if this share of its samples has it."""
_RARITY_STEPS = 16

Numbers = npt.NDArray[np.int64]


class Centroids(NamedTuple):
    """What was learned."""

    rarity: Numbers
    """What each bucket counts: the fewer datasets have it, the more."""
    middle: Numbers
    """``(category, bucket)``, each row of length ``UNIT``; zeros where nothing was learned."""
    learned: npt.NDArray[np.bool_]
    """Categories that something was learned of."""


class _Group(NamedTuple):
    """The samples of one category in one dataset."""

    category: str
    vector: Numbers
    has: npt.NDArray[np.bool_]


def learn(profiles: Iterable[pa.Table]) -> Centroids:
    """Centroids from the profiles of datasets, whatever their order."""
    groups = [group for profile in profiles for group in _groups(profile)]
    having = np.sum([group.has for group in groups], axis=0) if groups else np.zeros(BUCKETS)
    rarity = np.rint(_RARITY_STEPS * np.log2((len(groups) + 1) / (having + 1))).astype(np.int64)
    middle = np.zeros((len(SLUGS), BUCKETS), np.int64)
    for group in groups:
        middle[SLUGS.index(group.category)] += group.vector
    middle = np.stack([_of_length(row * rarity) for row in middle])
    return Centroids(rarity, middle, np.abs(middle).sum(axis=1) > 0)


def nearness(centroids: Centroids, batch: Batch) -> npt.NDArray[np.float64]:
    """Cosine of each sample and category, ``(sample, category)``; for what was not learned, the mean of the others."""
    found = grams(batch)
    rarity = centroids.rarity[found.bucket]
    starts = np.searchsorted(found.sample, np.arange(len(batch)))
    near = np.zeros((len(batch), len(SLUGS)))
    if not len(found.sample) or not centroids.learned.any():
        return near
    lengths = np.sqrt(np.maximum(1, np.add.reduceat(rarity * rarity, starts)))
    for category in np.flatnonzero(centroids.learned):
        dots = np.add.reduceat(centroids.middle[category][found.bucket] * rarity, starts)
        near[:, category] = np.round(dots / (UNIT * lengths), 6)
    total = near[:, centroids.learned].sum(axis=1, keepdims=True)
    near[:, ~centroids.learned] = total / centroids.learned.sum()
    return near


def _groups(profile: pa.Table) -> list[_Group]:
    """The categories of one profile, each as a vector of length ``UNIT``."""
    import pyarrow.compute as pc

    groups = []
    for category in sorted(set(profile.column("category").to_pylist())):
        rows = profile.filter(pc.equal(profile.column("category"), category))
        bucket, weight, samples = (np.asarray(rows.column(name)) for name in ("bucket", "weight", "samples"))
        count = int(samples[bucket == ALL].sum())
        if not count:
            continue
        vector, has = np.zeros(BUCKETS, np.int64), np.zeros(BUCKETS, np.int64)
        there = bucket != ALL
        np.add.at(vector, bucket[there], weight[there])
        np.add.at(has, bucket[there], samples[there])
        groups.append(_Group(category, _of_length(vector // count), has >= max(1, COMMON_SHARE * count)))
    return groups


def _of_length(vector: Numbers) -> Numbers:
    """The vector scaled to the length ``UNIT``; no number of it may be large beside ``2**23``."""
    scaled = vector >> max(0, int(np.abs(vector).max(initial=0)).bit_length() - 23)
    length = math.sqrt(int((scaled * scaled).sum()))
    return np.rint(scaled * (UNIT / length)).astype(np.int64) if length else scaled
