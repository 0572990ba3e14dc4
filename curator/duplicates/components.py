"""Connected components of pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from registry.compiled import OUT_INT64S, UINT64S, Number, compiled, inlined

Ints = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.uint64]
"""Two numbers below 2**32 in one: the smaller one high."""

_32, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


def pairs_of(one: npt.NDArray[np.uint64], other: npt.NDArray[np.uint64]) -> Pairs:
    """Pairs of numbers below 2**32."""
    return (np.minimum(one, other) << _32) | np.maximum(one, other)


def both(pairs: Pairs) -> tuple[Pairs, Pairs]:
    """The smaller numbers and the larger ones."""
    return pairs >> _32, pairs & _LOW


@inlined
def find(parents: Ints, at: Number) -> Number:
    """The root of ``at``; the path to it becomes shorter."""
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


@inlined
def join(parents: Ints, one: Number, other: Number) -> bool:
    """Make two trees one, whose root is the smaller of both roots; False when they were one."""
    first, second = find(parents, one), find(parents, other)
    if first == second:
        return False
    if first < second:
        parents[second] = first
    else:
        parents[first] = second
    return True


@compiled(types.void, UINT64S, OUT_INT64S)
def join_all(pairs: Pairs, parents: Ints) -> None:
    """Join every pair."""
    for i in range(len(pairs)):
        join(parents, np.int64(pairs[i] >> _32), np.int64(pairs[i] & _LOW))


@compiled(types.void, OUT_INT64S)
def settle(parents: Ints) -> None:
    """Give each its root, which is the smallest of its component."""
    for i in range(len(parents)):
        parents[i] = parents[parents[i]]
