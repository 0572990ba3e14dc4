"""A shuffled order that no one has to write down: any place of it is computed alone.

A Feistel network over two digits of unequal base, whose product is hardly more than the number of samples, permutes
``0 … size-1``; what falls outside goes through once more. So a reader begins at any place at once, and needs no memory
for the order of a billion samples. The keys are ``order_key``, the arithmetic is that of 64-bit integers: the order is
the same on every machine and with every version of Python and numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from registry.identity import order_key

Indices = npt.NDArray[np.int64]

_ROUNDS = 8
_MIXED = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""The multipliers of splitmix64."""


class Permutation:
    """One of the orders of ``0 … size-1``, as its key says."""

    def __init__(self, size: int, *key: str | int) -> None:
        self.size = size
        self._left = max(1, math.isqrt(max(size - 1, 0)) + 1)
        self._right = max(1, -(-size // self._left))
        self._keys = [np.uint64(order_key("permutation", size, number, *key)) for number in range(_ROUNDS)]

    def __call__(self, places: Indices) -> Indices:
        """What stands at these places."""
        found = self._once(places.astype(np.uint64))
        while (outside := np.flatnonzero(found >= self.size)).size:
            found[outside] = self._once(found[outside])
        return found.astype(np.int64)

    def _once(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """One pass over the whole domain, which is a little larger than ``size``."""
        bases = np.uint64(self._left), np.uint64(self._right)
        left, right = numbers // bases[1], numbers % bases[1]
        for number, key in enumerate(self._keys):
            base = bases[number % 2]
            left, right = right, (left + _scattered(right ^ key)) % base
        return left * bases[1] + right


def _scattered(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finish of splitmix64; the low half, so that sums with it stay below 2^64."""
    for shift, factor in zip((30, 27), _MIXED, strict=True):
        values = (values ^ (values >> np.uint64(shift))) * factor
    return (values ^ (values >> np.uint64(31))) >> np.uint64(32)


@dataclass(frozen=True)
class Blocks:
    """Samples that lie together in storage."""

    sizes: Indices
    """Samples of each block."""
    numbers: Indices
    """The number of each sample, block after block."""
    together: int
    """Blocks whose samples are shuffled among one another."""


class Order:
    """Which sample stands at which place of an epoch: a function of seed, epoch and place alone.

    Without a seed it is the order of the mix, in every epoch. ``blocks`` are numbers of samples that lie together in
    storage: then blocks are shuffled, and samples among so many blocks that follow one another, so that whoever
    reads over a network has to hold no more than these.
    """

    def __init__(self, samples: int, seed: int | None = None, blocks: Blocks | None = None) -> None:
        assert blocks is None or int(blocks.sizes.sum()) == samples, "blocks are of other samples"
        self.samples = samples
        self.seed = seed
        self._blocks = blocks
        self._windows: tuple[int, _Windows] | None = None

    def at(self, epoch: int, places: Indices) -> Indices:
        """The numbers of the samples at these places, each from 0 to ``samples`` - 1."""
        if self.seed is None:
            return places
        if self._blocks is None:
            return Permutation(self.samples, self.seed, epoch)(places)
        if self._windows is None or self._windows[0] != epoch:
            self._windows = epoch, _Windows(self._blocks, self.seed, epoch)
        return self._blocks.numbers[self._windows[1].at(places)]


class _Windows:
    """The blocks of one epoch in their shuffled order, some of them together."""

    def __init__(self, blocks: Blocks, seed: int, epoch: int) -> None:
        sizes, count = blocks.sizes, len(blocks.sizes)
        shuffled = Permutation(count, seed, epoch, "blocks")(np.arange(count))
        self._key = (seed, epoch)
        self._first = (np.cumsum(sizes) - sizes)[shuffled]  # where each block begins in storage
        self._ends = np.cumsum(sizes[shuffled])
        last = np.minimum(np.arange(blocks.together, count + blocks.together, blocks.together), count) - 1
        self._bounds = np.unique(np.concatenate([[0], self._ends[last]]))

    def at(self, places: Indices) -> Indices:
        """The numbers in storage of what stands at these places."""
        windows = np.searchsorted(self._bounds, places, side="right") - 1
        inside = np.empty_like(places)
        for window in np.unique(windows).tolist():
            mine = windows == window
            start, size = int(self._bounds[window]), int(self._bounds[window + 1] - self._bounds[window])
            inside[mine] = Permutation(size, *self._key, window)(places[mine] - start) + start
        block = np.searchsorted(self._ends, inside, side="right")
        begun = np.where(block > 0, self._ends[block - 1], 0)  # places of the blocks before
        return self._first[block] + inside - begun
