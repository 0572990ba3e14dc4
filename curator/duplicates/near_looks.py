"""Pictures that look alike: candidates by their hashes, found without comparing all with all, then a closer look.

Cut into ``distance + 2`` blocks, two hashes that differ in at most ``distance`` bits are equal in two blocks at least.
For each pair of blocks the hashes are sorted by these two, and only those which are equal in both are compared. Of two
pictures one must be whole: the hashes of both without a border say nothing about them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.duplicates.components import find, join, join_all, pairs_of, settle
from curator.duplicates.spill import Spill, distinct, partitions_for
from curator.duplicates.words import Hashes, mix
from curator.kernels.bits import ones
from registry.compiled import INT64S, OUT_INT64S, OUT_UINT64_ROWS, OUT_UINT64S, UINT64_ROWS, UINT64S, compiled

MAX_DISTANCE = 12
REACH = 4096
"""So many hashes behind another one are compared with it at most, and"""
FEW = 32
"""so many of them become candidates: the closer looks at a crowd grow with it, and not with its square."""
_BITS = 64
_1 = _WHOLE = np.uint64(1)
"""The lowest bit of a picture's key, where its hash is that of the whole picture."""


class Turn(NamedTuple):
    """One pair of blocks: the order of bits that puts them first, and how many bits they are."""

    order: npt.NDArray[np.int64]
    key_bits: int


class Seen(NamedTuple):
    """Some pictures that are not flat, by their keys; one may come several times."""

    pictures: Hashes
    looks: Hashes
    """A row of hashes each: of the whole picture first."""


class Looks(NamedTuple):
    """Pictures that are the same as another one, sorted, and the smallest key among those that are."""

    pictures: Hashes
    labels: Hashes

    def label(self, pictures: Hashes) -> Hashes:
        """The label of each picture: its own key where no other is the same."""
        if not len(self.pictures):
            return pictures
        at = np.minimum(np.searchsorted(self.pictures, pictures), len(self.pictures) - 1)
        return np.where(self.pictures[at] == pictures, self.labels[at], pictures)


def keys_of(digests: npt.NDArray[np.uint8]) -> Hashes:
    """The keys of pictures: the first bytes of their files' digests, the lowest bit left free."""
    found: Hashes = np.ascontiguousarray(digests[:, :8]).view("<u8")[:, 0] & ~_WHOLE
    return found


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


def near_looks(batches: Iterable[Seen], count: int, distance: int, work: Path) -> Hashes:
    """Pairs of pictures with a hash that differs in at most ``distance`` bits, two columns; sorted, each once.

    Args:
        batches: the pictures.
        count: how many they are at most.
        distance: bits of 64.
        work: a folder for what does not fit into memory.
    """
    ways = turns(distance)
    share = partitions_for(count)
    with Spill(work / "looks", len(ways) * share, width=2) as spill:
        for batch in batches:
            pictures, first = np.unique(batch.pictures, return_index=True)
            looks = np.ascontiguousarray(batch.looks[first])
            marks = np.repeat(pictures, looks.shape[1])
            marks[:: looks.shape[1]] |= _WHOLE
            for number, turn in enumerate(ways):
                turned = np.empty_like(marks)
                partition = np.empty(len(marks), np.int64)
                _turn(looks.reshape(-1), turn.order, turned)
                _partition(turned, turn.key_bits, share, number * share, partition)
                spill.add(partition, np.column_stack([turned, marks]))
        pairs = [_candidates(part, ways[p // share], distance) for p, part in enumerate(spill.each())]
    return _distinct_rows(np.concatenate(pairs))


def _distinct_rows(rows: Hashes) -> Hashes:
    """Sorted rows of two numbers, each once."""
    ordered: Hashes = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    fresh = np.ones(len(ordered), np.bool_)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[fresh]


def _candidates(turned: Hashes, turn: Turn, distance: int) -> Hashes:
    """The near pairs of one partition."""
    ordered = _distinct_rows(turned)
    room = 2 * len(ordered)
    while True:
        pairs = np.empty((room, 2), np.uint64)
        found = _compare(ordered, np.uint64(_BITS - turn.key_bits), distance, pairs)
        if found <= room:
            return pairs[:found]
        room = found


def same_looks(pairs: Hashes, same: Callable[[int, int], bool]) -> Looks:
    """Of candidate pairs those that a closer look finds to be the same, joined.

    Pairs of pictures that are connected follow each other, so that a picture is looked at once for all of its pairs,
    and those that others have joined already are not looked at.
    """
    pictures = distinct(pairs.reshape(-1))
    places = np.searchsorted(pictures, pairs)
    crowds, parents = np.arange(len(pictures)), np.arange(len(pictures))
    join_all(pairs_of(*places.astype(np.uint64).T), crowds)
    settle(crowds)
    for at in np.argsort(crowds[places[:, 0]], kind="stable").tolist():
        one, other = places[at].tolist()
        if find(parents, one) != find(parents, other) and same(int(pairs[at, 0]), int(pairs[at, 1])):
            join(parents, one, other)
    settle(parents)
    return Looks(pictures, pictures[parents])


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


@compiled(types.int64, UINT64_ROWS, types.uint64, types.int64, OUT_UINT64_ROWS)
def _compare(ordered: Hashes, rest_bits: np.uint64, distance: int, pairs: Hashes) -> int:
    """Write the near pairs of pictures among hashes with the same key, as far as there is room; how many there are."""
    count, limit = 0, np.uint64(distance)
    for i in range(len(ordered)):
        found = 0
        for j in range(i + 1, min(i + REACH, len(ordered))):
            if (ordered[i, 0] ^ ordered[j, 0]) >> rest_bits or found == FEW:
                break
            one, other = ordered[i, 1], ordered[j, 1]
            if not (one | other) & _WHOLE or one >> _1 == other >> _1:
                continue
            if ones(ordered[i, 0] ^ ordered[j, 0]) <= limit:
                if count < len(pairs):
                    pairs[count, 0] = min(one, other) & ~_WHOLE
                    pairs[count, 1] = max(one, other) & ~_WHOLE
                found += 1
                count += 1
    return count
