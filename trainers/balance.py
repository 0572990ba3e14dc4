"""Which rank takes which rows of a step, so that none waits long for the others.

The step is the same set of rows whatever the number of ranks: they are only dealt out differently. Ranks get equally
many rows, give or take one, and take the heavy ones first, so that what they do at the same time is about equal too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainers.packing import Indices


@dataclass(frozen=True)
class Work:
    """What the parts of a packed row cost, in any one unit (``trainers.flops`` has that of a model)."""

    token: float = 51_000.0
    pair: float = 1.0
    """A token and one that it may look at, with both orders counted: a sample has the square of its length."""
    picture: float = 1_450_000.0

    def of(self, lengths: Indices, pictures: int) -> float:
        """The cost of one row from the lengths of its samples."""
        sizes = lengths.astype(np.float64)
        return float(self.token * sizes.sum() + self.pair * (sizes**2).sum() + self.picture * pictures)


LLAVA = Work()
"""Forward passes of LLaVA-1.5 7B, counted in pairs of tokens of its decoder (0.26 MFLOP each, half a square looks)."""


def shares(costs: Sequence[float], world: int) -> list[list[int]]:
    """The numbers of each rank's rows, its heaviest first; a single rank has them in their order.

    Every rank takes ``len(costs) / world`` rows, rounded down or up. The heaviest row that is left always goes to the
    rank with the least to do.
    """
    if world == 1:
        return [list(range(len(costs)))]
    least, larger = divmod(len(costs), world)
    found: list[list[int]] = [[] for _ in range(world)]
    loads = [0.0] * world
    for row in sorted(range(len(costs)), key=lambda row: (-costs[row], row)):
        open_ = [rank for rank in range(world) if len(found[rank]) < least or (larger and len(found[rank]) == least)]
        rank = min(open_, key=lambda rank: (loads[rank], rank))
        larger -= len(found[rank]) == least
        found[rank].append(row)
        loads[rank] += costs[row]
    return found
