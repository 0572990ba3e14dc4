"""Packing: whole samples into rows of a fixed number of tokens, close to the order in which they come.

A row is opened by the oldest sample that waits and filled in order. As soon as one or two waiting samples fill its gap
exactly, they close it; when the oldest does not fit any more, the largest that fits goes in. No sample is split, none
moves ahead by more than the window, and the same lengths give the same rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

WINDOW = 256
"""Samples that wait at a time: enough for exact gaps, few enough that equal orders stay nearly equal."""


def pack(lengths: Sequence[int] | Indices, capacity: int, window: int = WINDOW) -> list[Indices]:
    """Rows of sample numbers whose lengths add up to at most ``capacity``.

    Raises ValueError when a sample is empty or longer than a row: what to do with those is the caller's decision.
    """
    sizes = [int(length) for length in lengths]
    if sizes and not 0 < min(sizes) <= max(sizes) <= capacity:
        raise ValueError(f"lengths must lie in 1..{capacity}, found {min(sizes)}..{max(sizes)}")
    waiting = _Waiting(sizes, capacity, window)
    rows = []
    while waiting:
        rows.append(np.array(_fill(waiting, capacity), dtype=np.int64))
    return rows


def by_length(lengths: Sequence[int], most: int, tokens: int) -> Iterator[list[int]]:
    """Numbers of samples that go through a model together: ascending in length, bounded in number and tokens.

    Tokens count as if all were padded to the longest; a sample that is longer than the bound goes alone.
    """
    batch: list[int] = []
    for number in np.argsort(np.array(lengths), kind="stable").tolist():
        if batch and (len(batch) == most or lengths[number] * (len(batch) + 1) > tokens):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def fill(lengths: Sequence[int] | Indices, rows: Iterable[Indices], capacity: int) -> float:
    """Share of the rows' places that hold a token, 0..1."""
    numbers = list(rows)
    return sum(int(np.asarray(lengths)[row].sum()) for row in numbers) / (capacity * max(len(numbers), 1))


def _fill(waiting: _Waiting, capacity: int) -> list[int]:
    row: list[int] = []
    gap = capacity
    while gap and waiting:
        size = waiting.next_size(gap)
        if not size:
            return row
        row.append(waiting.take(size))
        gap -= size
    return row


class _Waiting:
    """The samples in the window, by length and by age."""

    def __init__(self, sizes: list[int], capacity: int, window: int) -> None:
        self._sizes = sizes
        self._capacity = capacity
        self._queues: dict[int, deque[int]] = {}
        # Sets of lengths as bits of an integer: one shift and one "and" answer what fits, whatever the window.
        self._present = 0
        self._mirrored = 0  # bit (capacity - n) for each length n
        self._taken = bytearray(len(sizes))
        self._oldest = 0
        self._entered = 0
        for _ in range(min(window, len(sizes))):
            self._enter()

    def __bool__(self) -> bool:
        return self._oldest < len(self._sizes)

    def next_size(self, gap: int) -> int:
        """Length to take next: one that closes the gap, one of a pair that does, the oldest, the largest; 0 = none."""
        if self._present >> gap & 1:
            return gap
        pairs = self._present & (self._mirrored >> (self._capacity - gap))
        if pairs:
            size = pairs.bit_length() - 1
            if 2 * size != gap or len(self._queues[size]) > 1:
                return size
        oldest = self._sizes[self._oldest]
        if oldest <= gap:
            return oldest
        return max((self._present & ((1 << gap) - 1)).bit_length() - 1, 0)

    def take(self, size: int) -> int:
        """The oldest waiting sample of this length; the next one in the order takes its place in the window."""
        queue = self._queues[size]
        number = queue.popleft()
        if not queue:
            self._present ^= 1 << size
            self._mirrored ^= 1 << (self._capacity - size)
        self._taken[number] = 1
        if self._entered < len(self._sizes):
            self._enter()
        while self._oldest < len(self._sizes) and self._taken[self._oldest]:
            self._oldest += 1
        return number

    def _enter(self) -> None:
        size = self._sizes[self._entered]
        self._queues.setdefault(size, deque()).append(self._entered)
        self._present |= 1 << size
        self._mirrored |= 1 << (self._capacity - size)
        self._entered += 1
