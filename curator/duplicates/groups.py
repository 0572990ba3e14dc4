"""Rows with equal keys: every distinct key becomes a node, represented by its first row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numba import types

from curator.duplicates.components import Pairs
from curator.duplicates.spill import Entries, Spill, partitions_for
from registry.compiled import OUT_INT64S, OUT_UINT64_ROWS, OUT_UINT64S, UINT64_ROWS, UINT64S, compiled

Rows = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
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
            partition, entries = np.zeros(len(batch.rows), np.int64), np.empty((len(batch.rows), 2), np.uint64)
            _entries(batch.keys, batch.rows, shift, partition, entries)
            spill.add(partition, entries)
        for entries in spill.each():
            found, heads = np.empty(len(entries), np.uint64), np.empty(len(entries), np.int64)
            table = np.zeros(1 << (2 * len(entries) + 1).bit_length(), np.uint64)
            others = _first_rows(entries, table, found, heads)
            distinct = len(entries) - others
            pairs.append(found[:others].copy())
            if nodes is not None:
                firsts = entries[heads[:distinct]]
                ordered = firsts[np.lexsort((firsts[:, 1] >> _32, firsts[:, 0])), 1] & _LOW
                nodes.add(ordered, np.arange(count, count + distinct, dtype=np.uint64))
            count += distinct
    return Groups(np.concatenate(pairs), count)


@compiled(types.void, UINT64_ROWS, UINT64S, types.uint64, OUT_INT64S, OUT_UINT64_ROWS)
def _entries(keys: Entries, rows: Rows, shift: np.uint64, partition: Ints, entries: Entries) -> None:
    """Write ``low half of the key`` and ``32 bits of its high half << 32 | row``.

    With the partition these are 96 bits of the key and more: nothing is equal by accident.
    """
    for i in range(len(rows)):
        high = keys[i, 0]
        if shift < np.uint64(64):
            partition[i] = np.int64(high >> shift)
        entries[i, 0] = keys[i, 1]
        entries[i, 1] = ((high >> np.uint64(8)) << _32) | rows[i]


@compiled(types.int64, UINT64_ROWS, OUT_UINT64S, OUT_UINT64S, OUT_INT64S)
def _first_rows(entries: Entries, table: Rows, pairs: Pairs, heads: Ints) -> int:
    """Write ``(first row, row)`` for every further row of a key, and the place of the first row of every key.

    Entries are in the order of their rows. ``table`` is all 0 and has room for twice as many: of a key that was seen
    it holds a few bits and the place of the first row, so that other keys are hardly ever looked up.
    """
    found, distinct, last = 0, 0, np.uint64(len(table) - 1)
    for i in range(len(entries)):
        low, rest = entries[i, 0], entries[i, 1]
        slot, sign = low & last, low & ~_LOW
        while True:
            held = table[slot]
            if held == np.uint64(0):
                table[slot] = sign | np.uint64(i + 1)
                heads[distinct] = i
                distinct += 1
                break
            if held & ~_LOW == sign:
                first = np.int64(held & _LOW) - 1
                if entries[first, 0] == low and (entries[first, 1] ^ rest) >> _32 == np.uint64(0):
                    pairs[found] = (entries[first, 1] << _32) | (rest & _LOW)
                    found += 1
                    break
            slot = (slot + np.uint64(1)) & last
    return found
