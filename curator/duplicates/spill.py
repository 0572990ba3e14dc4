"""Numbers that are too many for the memory: written in partitions, read back one partition at a time.

One file holds everything: blocks of entries, each block in the order of its partitions, and in memory where each
partition begins in each block. So there is one open file whatever the number of partitions. The first blocks stay in
memory: what is few is never written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numba import types

from registry.compiled import INT64S, OUT_INT64S, OUT_UINT64_ROWS, UINT64_ROWS, compiled

Entries = npt.NDArray[np.uint64]
"""Two dimensions: one row an entry."""
Starts = npt.NDArray[np.int64]
PARTITION = 1 << 20
"""Entries of a partition, about: what is in memory at once."""
_GATHERED = 1 << 19
"""Entries that are gathered to one block."""
HELD = 16 << 20
"""Bytes that stay in memory."""


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


class Block(NamedTuple):
    """Entries in the order of their partitions."""

    entries: Entries
    starts: Starts
    """Where each partition begins; and one more: where the last one ends."""


class _Piece(NamedTuple):
    """A block, or where it lies in the file."""

    held: Entries | None
    at: int
    starts: Starts


class Spill:
    """Partitions of entries of ``width`` numbers each; a context, at whose end the file is gone."""

    def __init__(self, path: Path, partitions: int, width: int = 1) -> None:
        self.partitions = partitions
        self.width = width
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        self._waiting: list[tuple[npt.NDArray[np.int64], Entries]] = []
        self._waits = self._holds = self._end = 0
        self._pieces: list[_Piece] = []

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
        self._waiting.append((partition, entries))
        self._waits += len(partition)
        if self._waits >= _GATHERED:
            self._settle()

    def add_block(self, block: Block) -> None:
        """Add entries that are in the order of their partitions already."""
        assert block.entries.shape[1:] == (self.width,), block.entries.shape
        self._settle()
        if self._holds + block.entries.nbytes <= HELD:
            self._holds += block.entries.nbytes
            self._pieces.append(_Piece(block.entries, 0, block.starts))
            return
        self._pieces.append(_Piece(None, self._end, block.starts))
        left = block.entries.view(np.uint8).reshape(-1).data
        while left:
            written = os.pwrite(self._file, left, self._end)
            self._end += written
            left = left[written:]

    def read(self, partition: int) -> Entries:
        """All entries of a partition, in the order in which they were added; only to be read."""
        self._settle()
        size = 8 * self.width
        bounds = [(int(piece.starts[partition]), int(piece.starts[partition + 1])) for piece in self._pieces]
        if len(bounds) == 1 and (held := self._pieces[0].held) is not None:
            return held[bounds[0][0] : bounds[0][1]]
        found = np.empty((sum(end - begin for begin, end in bounds), self.width), np.uint64)
        done = 0
        for piece, (begin, end) in zip(self._pieces, bounds, strict=True):
            there = found[done : done + end - begin]
            done += end - begin
            if piece.held is not None:
                there[:] = piece.held[begin:end]
            elif end > begin:
                read = os.preadv(self._file, [there.view(np.uint8).reshape(-1).data], piece.at + begin * size)
                assert read == there.nbytes, f"{self._path.name}: {read} of {there.nbytes} bytes"
        return found

    def each(self) -> Iterator[Entries]:
        """The entries of one partition after the other."""
        for partition in range(self.partitions):
            yield self.read(partition)

    def _settle(self) -> None:
        """Make a block of what waits."""
        if not self._waits:
            return
        partition = np.concatenate([one for one, _ in self._waiting])
        entries = np.concatenate([one for _, one in self._waiting])
        self._waiting, self._waits = [], 0
        if self.partitions == 1:
            self.add_block(Block(entries, np.array([0, len(entries)])))
            return
        starts, ordered = np.empty(self.partitions + 1, np.int64), np.empty_like(entries)
        _in_order(partition, entries, starts, ordered)
        self.add_block(Block(ordered, starts))
