"""Texts that are nearly the same: candidates by band keys, then the true Jaccard similarity of their shingles.

Nodes are distinct contents, numbered by content alone. Nodes with an equal band key are candidates of each other:
all pairs where there are few, and where there are many (a phrase that thousands share) those that stand beside each
other when they are ordered by their next band keys, so the work grows with the nodes and not with their square.
Candidates are compared group by group, with the shingles of the group alone in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.duplicates.components import Pairs, both, find, join, join_all, pairs_of, settle
from curator.duplicates.groups import Ints, Rows
from curator.duplicates.shingles import Small, shingles_of
from curator.duplicates.spill import PARTITION, Block, Entries, Spill, distinct, partitions_for
from curator.duplicates.words import Hashes, mix
from registry.compiled import (
    INT64S,
    OUT_BYTES,
    OUT_INT64S,
    OUT_UINT64_ROWS,
    OUT_UINT64S,
    UINT32_ROWS,
    UINT32S,
    UINT64_ROWS,
    UINT64S,
    Number,
    compiled,
)

if TYPE_CHECKING:
    from curator.duplicates.words import Worded

FEW = 6
"""Up to so many nodes with the same band key, all pairs are candidates."""
BESIDE = 3
"""With more of them, each is a candidate of so many that stand before it."""
GROUP = 4096
"""Nodes that are compared together, about: more only where the candidates of one node are more."""

ROUNDING = 1e-9
"""Room for a share such as 0.8 that no binary fraction is."""

_32, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


class Banded(NamedTuple):
    """Band keys of a batch of nodes."""

    nodes: Rows
    bands: npt.NDArray[np.uint32]
    salt: Hashes
    """Nodes with another salt never share a band."""


class Texts(NamedTuple):
    """The words of a batch of nodes, and the rows that they are taken from."""

    nodes: Rows
    rows: Rows
    worded: Worded


class Rule(NamedTuple):
    """When texts are nearly the same."""

    words: int
    """Words of a shingle."""
    threshold: float
    """Least Jaccard similarity."""


def near_rows(
    banded: Iterable[Banded], count: int, texts: Callable[[Rows], Iterable[Texts]], rule: Rule, work: Path
) -> Pairs:
    """Pairs of rows that are nearly the same and hold all such rows together, out of so many nodes.

    ``texts`` gives the words of the nodes (sorted) that it is asked for, in any order.
    """
    parts = max(1, -(-count // PARTITION))
    with Spill(work / "once", parts) as once:
        with Spill(work / "pairs", parts) as pairs:
            _find_candidates(banded, count, pairs, work)
            for number, part in enumerate(pairs.each()):
                found = distinct(part[:, 0])
                once.add(np.full(len(found), number), found[:, None])
        return _compared(once, texts, rule, work)


def _find_candidates(banded: Iterable[Banded], count: int, pairs: Spill, work: Path) -> None:
    """Spill the pairs of nodes that share a band key; a pair may come several times."""
    spill: Spill | None = None
    share = partitions_for(count)
    with contextlib.ExitStack() as stack:
        for batch in banded:
            rows, bands = batch.bands.shape
            if spill is None:
                spill = stack.enter_context(Spill(work / "bands", bands * share, width=2))
            block = Block(np.empty((rows * bands, 2), np.uint64), np.zeros(bands * share + 1, np.int64))
            _band_entries(batch.bands, batch.salt, batch.nodes, share, block.starts, block.entries)
            spill.add_block(block)
        for entries in spill.each() if spill else ():
            found = _pairs_of_bucket(entries)
            pairs.add(((found >> _32) // np.uint64(PARTITION)).astype(np.int64), found[:, None])


def _compared(pairs: Spill, texts: Callable[[Rows], Iterable[Texts]], rule: Rule, work: Path) -> Pairs:
    """Of the candidate pairs, each once, those that are near: as pairs of rows, enough to join all."""
    ends = [distinct(end) for part in pairs.each() for end in both(part[:, 0])]
    nodes = distinct(np.concatenate(ends))
    if not len(nodes):
        return nodes
    group, groups = _groups(pairs, nodes)
    rows = np.empty(len(nodes), np.uint64)
    found = [np.empty(0, np.uint64)]
    with (
        Spill(work / "shingles", groups) as shingles,
        Spill(work / "grouped", groups) as grouped,
    ):
        for batch in texts(nodes):
            positions = np.searchsorted(nodes, batch.nodes)
            rows[positions] = batch.rows
            owners, values = shingles_of(batch.worded, rule.words)
            partition, entries = np.empty(len(owners), np.int64), np.empty((len(owners), 1), np.uint64)
            _shingle_entries(owners, values, positions, group, partition, entries)
            shingles.add(partition, entries)
        for part in pairs.each():
            local = pairs_of(*(np.searchsorted(nodes, end).astype(np.uint64) for end in both(part[:, 0])))
            grouped.add(group[(local >> _32).astype(np.int64)], local[:, None])
        for number in range(groups):
            near = _near(distinct(grouped.read(number)[:, 0]), shingles.read(number)[:, 0], rule.threshold)
            found.append(pairs_of(*(rows[end.astype(np.int64)] for end in both(near))))
    return np.concatenate(found)


def _groups(pairs: Spill, nodes: Rows) -> tuple[Ints, int]:
    """Which group each node belongs to, such that no pair lies in two; and how many groups there are."""
    roots = np.arange(len(nodes))
    for part in pairs.each():
        join_all(pairs_of(*(np.searchsorted(nodes, end).astype(np.uint64) for end in both(part[:, 0]))), roots)
    settle(roots)
    members = np.bincount(roots, minlength=len(nodes))
    group = ((np.cumsum(members) - members) // GROUP)[roots]
    return group, int(group.max(initial=-1)) + 1


def _near(pairs: Pairs, shingles: Hashes, threshold: float) -> Pairs:
    """A spanning forest of the pairs that are near; ``shingles`` are ``node << 32 | shingle``, node by node."""
    if not len(pairs):  # a large group leaves the numbers behind it empty
        return pairs
    owners = shingles >> _32
    starts = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1], [True]]))
    order = np.argsort(owners[starts[:-1]])
    one, other = (order[np.searchsorted(owners[starts[:-1]], end, sorter=order)] for end in both(pairs))
    kept = np.empty(len(pairs), np.uint8)
    _compare(one, other, starts, (shingles & _LOW).astype(np.uint32), threshold, np.arange(len(order)), kept)
    return pairs[kept.view(np.bool_)]


@compiled(types.void, INT64S, UINT32S, INT64S, INT64S, OUT_INT64S, OUT_UINT64_ROWS)
def _shingle_entries(
    owners: Ints, values: Small, positions: Ints, group: Ints, partition: Ints, entries: Entries
) -> None:
    """Write ``node << 32 | shingle`` and the group of the node for every shingle; nodes by their positions."""
    for i in range(len(owners)):
        node = positions[owners[i]]
        partition[i] = group[node]
        entries[i, 0] = (np.uint64(node) << _32) | np.uint64(values[i])


@compiled(types.void, INT64S, INT64S, INT64S, UINT32S, types.float64, OUT_INT64S, OUT_BYTES)
def _compare(
    one: Ints,
    other: Ints,
    starts: Ints,
    shingles: Small,
    threshold: float,
    parents: Ints,
    kept: npt.NDArray[np.uint8],
) -> None:
    """Mark the pairs that are near, those apart that are joined by others already."""
    for pair in range(len(one)):
        a, b = one[pair], other[pair]
        i, j = starts[a], starts[b]
        same: Number = 0
        smaller, larger = min(starts[a + 1] - i, starts[b + 1] - j), max(starts[a + 1] - i, starts[b + 1] - j)
        kept[pair] = 0
        if smaller < threshold * larger or find(parents, a) == find(parents, b):
            continue
        while i < starts[a + 1] and j < starts[b + 1]:
            left, right = shingles[i], shingles[j]
            same += np.int64(left == right)
            i += np.int64(left <= right)
            j += np.int64(right <= left)
        if same >= threshold * (smaller + larger - same) - ROUNDING:
            kept[pair] = 1
            join(parents, a, b)


@compiled(types.void, UINT32_ROWS, UINT64S, UINT64S, types.int64, OUT_INT64S, OUT_UINT64_ROWS)
def _band_entries(
    bands: npt.NDArray[np.uint32], salt: Hashes, nodes: Rows, share: int, starts: Ints, entries: Entries
) -> None:
    """Write ``key << 32 | node`` and the two next keys for every band of every node, in the order of the partitions.

    ``starts``, all 0 before, gets where each partition begins.
    """
    rows, count = bands.shape
    keys, low = np.empty((rows, count + 2), np.uint32), np.uint32(share - 1)
    for row in range(rows):
        for band in range(count):
            key = np.uint32(mix(np.uint64(bands[row, band]) ^ salt[row]) >> _32)
            keys[row, band] = key
            starts[band * share + np.int64(key & low) + 1] += 1
        keys[row, count], keys[row, count + 1] = keys[row, 0], keys[row, 1 % count]
    for before in range(count * share):
        starts[before + 1] += starts[before]
    following = starts.copy()
    for row in range(rows):
        for band in range(count):
            key = keys[row, band]
            partition = band * share + np.int64(key & low)
            to = following[partition]
            following[partition] += 1
            entries[to, 0] = (np.uint64(key) << _32) | nodes[row]
            entries[to, 1] = (np.uint64(keys[row, band + 1]) << _32) | np.uint64(keys[row, band + 2])


def _pairs_of_bucket(entries: Entries) -> Pairs:
    """The candidate pairs of one partition."""
    seen = np.zeros(1 << (4 * len(entries) + 1).bit_length(), np.uint8)
    shared = np.empty_like(entries)
    ordered = shared[: _shared(entries, seen, shared)]
    spare = np.empty_like(ordered)
    for shift in (32, 43, 54):
        _sort_digit(ordered, shift, spare)
        ordered, spare = spare, ordered
    pairs = np.empty(max(FEW, BESIDE + 1) * len(ordered), np.uint64)
    return distinct(pairs[: _emit(ordered, pairs)])


@compiled(types.int64, UINT64_ROWS, OUT_BYTES, OUT_UINT64_ROWS)
def _shared(entries: Entries, seen: npt.NDArray[np.uint8], shared: Entries) -> int:
    """Write the entries whose key another one may have, in their order; how many there are.

    Most keys are no other node's: marks in a small table (all 0 before) tell, and only the others are sorted. The
    high bits of a key decide, because all of a partition may have the same low ones.
    """
    bits = np.uint64(64)
    while np.uint64(1) << (np.uint64(64) - bits) < np.uint64(len(seen)):
        bits -= np.uint64(1)
    for i in range(len(entries)):
        at = entries[i, 0] >> bits
        seen[at] = min(seen[at] + 1, 2)
    found: Number = 0
    for i in range(len(entries)):
        shared[found, 0], shared[found, 1] = entries[i, 0], entries[i, 1]
        found += np.int64(seen[entries[i, 0] >> bits] == 2)
    return int(found)


@compiled(types.void, UINT64_ROWS, types.uint64, OUT_UINT64_ROWS)
def _sort_digit(entries: Entries, shift: Number, ordered: Entries) -> None:
    """Sort by eleven bits of the first number; what is equal stays in its order."""
    starts = np.zeros((1 << 11) + 1, np.int64)
    for i in range(len(entries)):
        starts[np.int64((entries[i, 0] >> shift) & np.uint64(2047)) + 1] += 1
    for digit in range(1 << 11):
        starts[digit + 1] += starts[digit]
    for i in range(len(entries)):
        here = np.int64((entries[i, 0] >> shift) & np.uint64(2047))
        ordered[starts[here], 0] = entries[i, 0]
        ordered[starts[here], 1] = entries[i, 1]
        starts[here] += 1


@compiled(types.int64, UINT64_ROWS, OUT_UINT64S)
def _emit(entries: Entries, pairs: Pairs) -> int:
    """Write the candidate pairs of entries that are sorted by band key; how many there are."""
    found: Number = 0
    start: Number = 0
    while start < len(entries):
        end = start + 1
        while end < len(entries) and (entries[end, 0] >> np.uint64(32)) == (entries[start, 0] >> np.uint64(32)):
            end += 1
        size = end - start
        if size > 1:
            nodes = entries[start:end, 0] & np.uint64(0xFFFFFFFF)
            reach = size
            if size > FEW:
                by_node = np.argsort(nodes)
                order = by_node[np.argsort(entries[start:end, 1][by_node], kind="mergesort")]
                nodes = nodes[order]
                reach = BESIDE
            for i in range(size):
                for j in range(max(0, i - reach), i):
                    one, other = min(nodes[i], nodes[j]), max(nodes[i], nodes[j])
                    pairs[found] = (one << np.uint64(32)) | other
                    found += 1
        start = end
    return int(found)
