"""Numbers that are too many for the memory: written in partitions, read back one partition at a time.

One file holds everything: blocks of entries, each block in the order of its partitions, and in memory where each
partition begins in each block. So there is one open file whatever the number of partitions. The last block stays in
memory: what is few is never written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from numba import types

from curator.compiled import INT64S, OUT_INT64S, OUT_UINT64_ROWS, UINT64_ROWS, compiled

Entries = npt.NDArray[np.uint64]
"""Two dimensions: one row an entry."""
Starts = npt.NDArray[np.int64]
PARTITION = 1 << 20
"""Entries of a partition, about: what is in memory at once."""
_BLOCK = 1 << 19
"""Entries that are gathered before they are written."""


def distinct(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Sorted, each once. ``numpy.unique`` hashes whole numbers, at a tenth of this speed."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def partitions_for(entries: int) -> int:
    """A power of two of partitions, such that each has about ``PARTITION`` entries at most."""
    return 1 << max(0, (max(1, entries) - 1).bit_length() - (PARTITION.bit_length() - 1))


@compiled(types.void, INT64S, UINT64_ROWS, OUT_INT64S, OUT_UINT64_ROWS)
def _in_order(
    partition: npt.NDArray[np.int64], entries: Entries, starts: npt.NDArray[np.int64], ordered: Entries
) -> None:
    """Write the entries partition by partition, in each as they came; ``starts`` gets where each one begins."""
    starts[:] = 0
    for i in range(len(partition)):
        starts[partition[i] + 1] += 1
    for p in range(1, len(starts)):
        starts[p] += starts[p - 1]
    following = starts.copy()
    for i in range(len(partition)):
        to = following[partition[i]]
        following[partition[i]] += 1
        for column in range(entries.shape[1]):
            ordered[to, column] = entries[i, column]


class Spill:
    """Partitions of entries of ``width`` numbers each; a context, at whose end the file is gone."""

    def __init__(self, path: Path, partitions: int, width: int = 1) -> None:
        self.partitions = partitions
        self.width = width
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        self._waiting: list[tuple[npt.NDArray[np.int64], Entries]] = []
        self._waits = 0
        self._blocks: list[tuple[int, Starts]] = []
        self._last: tuple[Entries, Starts] | None = None
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def add(self, partition: npt.NDArray[np.int64], entries: Entries) -> None:
        """Add entries, each to the partition of the same position."""
        assert entries.shape == (len(partition), self.width), entries.shape
        assert self._last is None, "added after reading"
        self._waiting.append((partition, entries))
        self._waits += len(partition)
        if self._waits >= _BLOCK:
            self._write()

    def read(self, partition: int) -> Entries:
        """All entries of a partition, in the order in which they were added.

        From then on nothing may be added. They are only to be read: what was never written to disk is not copied.
        """
        last, starts = self._last_block()
        size = 8 * self.width
        pieces = [(at + int(s[partition]) * size, int(s[partition + 1] - s[partition])) for at, s in self._blocks]
        there = last[starts[partition] : starts[partition + 1]]
        if not pieces:
            return there
        found = np.empty((sum(count for _, count in pieces) + len(there), self.width), np.uint64)
        done = 0
        for at, count in pieces:
            if count:
                read = os.preadv(self._file, [found[done : done + count].view(np.uint8).reshape(-1).data], at)
                assert read == count * size, f"{self._path.name}: {read} of {count * size} bytes"
            done += count
        found[done:] = there
        return found

    def each(self) -> Iterator[Entries]:
        """The entries of one partition after the other."""
        for partition in range(self.partitions):
            yield self.read(partition)

    def _ordered(self) -> tuple[Entries, Starts]:
        """What waits, partition by partition, and where each one begins; then nothing waits any more."""
        partition = np.concatenate([np.empty(0, np.int64), *(one for one, _ in self._waiting)])
        entries = np.concatenate([np.empty((0, self.width), np.uint64), *(one for _, one in self._waiting)])
        self._waiting, self._waits = [], 0
        if self.partitions == 1:
            return entries, np.array([0, len(entries)])
        starts, ordered = np.empty(self.partitions + 1, np.int64), np.empty_like(entries)
        _in_order(partition, entries, starts, ordered)
        return ordered, starts

    def _last_block(self) -> tuple[Entries, Starts]:
        if self._last is None:
            self._last = self._ordered()
        return self._last

    def _write(self) -> None:
        ordered, starts = self._ordered()
        left = ordered.view(np.uint8).reshape(-1).data
        self._blocks.append((self._end, starts))
        while left:
            written = os.pwrite(self._file, left, self._end)
            self._end += written
            left = left[written:]
