"""Rows with equal keys: every distinct key becomes a node, represented by its first row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numba import types

from curator.compiled import OUT_UINT64S, UINT64S, compiled
from curator.duplicates.components import Pairs
from curator.duplicates.spill import Entries, Spill, partitions_for

Rows = npt.NDArray[np.uint64]
_32, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
MAX_ROWS = 1 << 32
ROWS_AT_ONCE = 1 << 18
"""Rows of a partition of the table from rows to nodes."""


class Keyed(NamedTuple):
    """A batch of rows that have a key, in order."""

    rows: Rows
    keys: Entries
    """Two numbers each."""


class Groups(NamedTuple):
    """What ``group`` found."""

    pairs: Pairs
    """``(first row, another row)`` of every group of several."""
    nodes: int
    """How many distinct keys there are."""


class Nodes:
    """The node of every first row, kept on disk; in the order of the rows."""

    def __init__(self, path: Path, rows: int) -> None:
        self._spill = Spill(path, max(1, -(-rows // ROWS_AT_ONCE)))

    def __enter__(self) -> Self:
        self._spill.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._spill.__exit__(None, None, None)

    def add(self, rows: Rows, nodes: Rows) -> None:
        """Say which nodes these rows represent."""
        self._spill.add((rows // np.uint64(ROWS_AT_ONCE)).astype(np.int64), ((rows << _32) | nodes)[:, None])

    def reader(self) -> NodeReader:
        """Reads from the first row on."""
        return NodeReader(self._spill)


class NodeReader:
    """Reads the nodes of consecutive rows."""

    def __init__(self, spill: Spill) -> None:
        self._parts = (np.sort(part[:, 0]) for part in spill.each())
        self._waiting = np.empty(0, np.uint64)
        self._read = self._end = 0

    def take(self, size: int) -> tuple[Rows, Rows]:
        """``(rows, nodes)`` of those among the next rows, so many, that represent a node."""
        self._end += size
        while self._read < self._end:
            self._waiting = np.concatenate([self._waiting, next(self._parts)])
            self._read += ROWS_AT_ONCE
        cut = int(np.searchsorted(self._waiting, np.uint64(self._end) << _32))
        taken, self._waiting = self._waiting[:cut], self._waiting[cut:]
        return taken >> _32, taken & _LOW


def group(batches: Iterable[Keyed], rows: int, work: Path, nodes: Nodes | None = None) -> Groups:
    """Group at most so many rows by their keys; ``nodes`` gets every first row, numbered in the order of the keys."""
    partitions = partitions_for(rows)
    shift = np.uint64(64 - (partitions.bit_length() - 1))
    pairs, count = [], 0
    with Spill(work / "groups", partitions, width=2) as spill:
        for batch in batches:
            high, low = batch.keys[:, 0], batch.keys[:, 1]
            partition = (high >> shift).astype(np.int64) if partitions > 1 else np.zeros(len(high), np.int64)
            # beside the 64 low bits and the partition, 32 more of the key: nothing is equal by accident
            rest = (high >> np.uint64(8)) << _32
            spill.add(partition, np.column_stack([low, rest | batch.rows]))
        for entries in spill.each():
            order = np.argsort(entries[:, 0])
            firsts, others, heads = (np.empty(len(entries), np.uint64) for _ in range(3))
            found = _runs(entries[order, 0], entries[order, 1], firsts, others, heads)
            distinct = len(entries) - found
            pairs.append((firsts[:found] << _32) | others[:found])
            if nodes is not None:
                nodes.add(heads[:distinct], np.arange(count, count + distinct, dtype=np.uint64))
            count += distinct
    return Groups(np.concatenate(pairs), count)


@compiled(types.int64, UINT64S, UINT64S, OUT_UINT64S, OUT_UINT64S, OUT_UINT64S)
def _runs(low: Rows, rest: Rows, firsts: Rows, others: Rows, heads: Rows) -> int:
    """Write ``(first, other)`` for every further row of a key, and the first row of every key; the number of others."""
    found, distinct, start = 0, 0, 0
    while start < len(low):
        end = start + 1
        while end < len(low) and low[end] == low[start]:
            end += 1
        run = np.sort(rest[start:end]) if end > start + 1 else rest[start:end]
        for i in range(len(run)):
            row = run[i] & np.uint64(0xFFFFFFFF)
            if i > 0 and (run[i] >> np.uint64(32)) == (run[i - 1] >> np.uint64(32)):
                firsts[found] = heads[distinct - 1]
                others[found] = row
                found += 1
            else:
                heads[distinct] = row
                distinct += 1
        start = end
    return found
