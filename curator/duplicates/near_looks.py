"""Looks that differ in a few bits: found exactly, without comparing all with all.

Cut into ``distance + 2`` blocks, two hashes that differ in at most ``distance`` bits are equal in two blocks at least.
For each pair of blocks the hashes are sorted by these two, and only those which are equal in both are compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.compiled import INT64S, OUT_INT64S, OUT_UINT64_ROWS, OUT_UINT64S, UINT64S, compiled, inlined
from curator.duplicates.components import join, join_all, pairs_of, settle
from curator.duplicates.spill import Spill, distinct, partitions_for
from curator.duplicates.words import Hashes, mix

MAX_DISTANCE = 12
_BITS = 64


class Turn(NamedTuple):
    """One pair of blocks: the order of bits that puts them first, and how many bits they are."""

    order: npt.NDArray[np.int64]
    key_bits: int

    def back(self) -> npt.NDArray[np.int64]:
        """The order that undoes this one."""
        return np.argsort(self.order).astype(np.int64)


class Looks(NamedTuple):
    """Hashes that are near another one, sorted, and the smallest hash of each one's component."""

    hashes: Hashes
    labels: Hashes

    def label(self, hashes: Hashes) -> Hashes:
        """The label of each hash: its own value where no other is near."""
        if not len(self.hashes):
            return hashes
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, self.labels[at], hashes)


def turns(distance: int) -> list[Turn]:
    """The pairs of blocks that must be looked at for a distance."""
    edges = np.linspace(0, _BITS, distance + 3).round().astype(int)
    blocks = [list(range(a, b)) for a, b in itertools.pairwise(edges)]
    found = []
    for one, other in itertools.combinations(range(len(blocks)), 2):
        key = blocks[one] + blocks[other]
        rest = [bit for number, block in enumerate(blocks) if number not in (one, other) for bit in block]
        found.append(Turn(np.array(key + rest, np.int64), len(key)))
    return found


def near_looks(hashes: Iterable[Hashes], count: int, distance: int, work: Path) -> Looks:
    """The components of all hashes (at most ``count``, in batches) under "differ in at most ``distance`` bits"."""
    ways = turns(distance)
    share = partitions_for(count)
    with Spill(work / "looks", len(ways) * share) as spill:
        for batch in hashes:
            once = distinct(batch)
            for number, turn in enumerate(ways):
                turned = np.empty_like(once)
                partition = np.empty(len(once), np.int64)
                _turn(once, turn.order, turned)
                _partition(turned, turn.key_bits, share, number * share, partition)
                spill.add(partition, turned[:, None])
        edges = [_edges(spill.read(p)[:, 0], ways[p // share], distance) for p in range(spill.partitions)]
    return _components(np.concatenate(edges))


def _edges(turned: Hashes, turn: Turn, distance: int) -> Hashes:
    """A spanning forest of the near pairs of one partition, in the bits' own order: two columns."""
    ordered = distinct(turned)
    parents = np.arange(len(ordered))
    pairs = np.empty((max(0, len(ordered) - 1), 2), np.uint64)
    found = _compare(ordered, np.uint64(_BITS - turn.key_bits), distance, parents, pairs)
    flat = np.ascontiguousarray(pairs[:found]).reshape(-1)
    straight = np.empty_like(flat)
    _turn(flat, turn.back(), straight)
    return straight.reshape(-1, 2)


def _components(edges: Hashes) -> Looks:
    hashes = distinct(edges.reshape(-1))
    positions = np.searchsorted(hashes, edges)
    parents = np.arange(len(hashes))
    join_all(pairs_of(*positions.astype(np.uint64).T), parents)
    settle(parents)
    return Looks(hashes, hashes[parents])


@compiled(types.void, UINT64S, INT64S, OUT_UINT64S)
def _turn(hashes: Hashes, order: npt.NDArray[np.int64], turned: Hashes) -> None:
    """Write each hash with its bits (0 is the highest) in another order."""
    for i in range(len(hashes)):
        bits = np.uint64(0)
        for k in range(64):
            bits = (bits << np.uint64(1)) | ((hashes[i] >> np.uint64(63 - order[k])) & np.uint64(1))
        turned[i] = bits


@compiled(types.void, UINT64S, types.int64, types.int64, types.int64, OUT_INT64S)
def _partition(turned: Hashes, key_bits: int, share: int, first: int, partition: npt.NDArray[np.int64]) -> None:
    """Hashes with the same key go to the same partition."""
    for i in range(len(turned)):
        key = mix(turned[i] >> np.uint64(64 - key_bits))
        partition[i] = first + np.int64(key & np.uint64(share - 1))


@inlined
def _apart(one: np.uint64, other: np.uint64) -> np.uint64:
    """In how many bits two hashes differ."""
    x = one ^ other
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled(types.int64, UINT64S, types.uint64, types.int64, OUT_INT64S, OUT_UINT64_ROWS)
def _compare(
    ordered: Hashes, rest_bits: np.uint64, distance: int, parents: npt.NDArray[np.int64], pairs: Hashes
) -> int:
    """Compare the hashes of each key with each other; the pairs that are near and were not joined yet."""
    found, limit = 0, np.uint64(distance)
    for i in range(len(ordered)):
        for j in range(i + 1, len(ordered)):
            if (ordered[i] ^ ordered[j]) >> rest_bits:
                break
            if _apart(ordered[i], ordered[j]) <= limit and join(parents, i, j):
                pairs[found, 0] = ordered[i]
                pairs[found, 1] = ordered[j]
                found += 1
    return found
