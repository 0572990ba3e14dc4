"""Which pictures of a benchmark a picture looks like: an index by blocks of bits, so that few are compared.

Cut into one block more than the bits that may differ, two hashes that are near agree in one block at least.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.compiled import (
    BYTES,
    INT64S,
    OUT_INT64S,
    UINT64S,
    compiled,
)
from curator.contamination.questions import Looked

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


class Near(NamedTuple):
    """Pictures of a benchmark that given ones look like."""

    picture: Ints
    """Position of the given picture."""
    other: Ints
    """Number of the benchmark's picture."""
    bits: Ints
    """Bits in which their hashes differ."""


@dataclass(frozen=True)
class PictureIndex:
    """The pictures of a benchmark by blocks of their hashes."""

    looks: Looked
    distance: int
    """Bits that may differ; a flat picture must be the same file."""

    def find(self, hashes: Hashes, flat: npt.NDArray[np.bool_]) -> Near:
        """What each of these pictures looks like."""
        room = 1024
        while True:
            out = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
            count = _find(
                hashes, flat.view(np.uint8), self.looks.hashes, self.looks.flat.view(np.uint8), self._edges,
                self._begin, self._order, self.distance, *out,
            )  # fmt: skip
            if count <= room:
                return Near(*(one[:count] for one in out))
            room = count

    @cached_property
    def _edges(self) -> Ints:
        """First bit of each block, and 64."""
        return np.linspace(0, 64, self.distance + 2).round().astype(np.int64)

    @cached_property
    def _tables(self) -> list[tuple[Ints, Ints]]:
        """For each block: where the pictures of each value begin, and the pictures by their values."""
        tables = []
        for first, end in zip(self._edges[:-1], self._edges[1:], strict=True):
            values = (self.looks.hashes >> np.uint64(first)) & np.uint64((1 << int(end - first)) - 1)
            # a block of the whole hash (distance 0) is told apart by its low bits
            values &= np.uint64((1 << _TABLE_BITS) - 1)
            order = np.argsort(values, kind="stable").astype(np.int64)
            begin = np.searchsorted(values[order], np.arange((1 << _TABLE_BITS) + 1, dtype=np.uint64))
            tables.append((begin.astype(np.int64), order))
        return tables

    @cached_property
    def _begin(self) -> Ints:
        return np.concatenate([begin for begin, _ in self._tables])

    @cached_property
    def _order(self) -> Ints:
        return np.concatenate([order for _, order in self._tables])


_TABLE_BITS = 12


@compiled(types.int64, types.uint64)
def _ones(x: np.uint64) -> int:
    """Bits that are set."""
    x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled(
    types.int64, UINT64S, BYTES, UINT64S, BYTES, INT64S, INT64S, INT64S, types.int64,
    OUT_INT64S, OUT_INT64S, OUT_INT64S,
)  # fmt: skip
def _find(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    hashes: Hashes,
    flat: npt.NDArray[np.uint8],
    known: Hashes,
    known_flat: npt.NDArray[np.uint8],
    edges: Ints,
    begin: Ints,
    order: Ints,
    distance: int,
    out_picture: Ints,
    out_other: Ints,
    out_bits: Ints,
) -> int:
    """Write what is near, as far as there is room; how much there is. A pair is found in the first block it shares."""
    count = 0
    table = (1 << _TABLE_BITS) + 1
    for i in range(len(hashes)):
        for block in range(len(edges) - 1):
            width = edges[block + 1] - edges[block]
            mask = (np.uint64(1) << np.uint64(min(width, 63))) - np.uint64(1) if width < 64 else ~np.uint64(0)
            value = np.int64((hashes[i] >> np.uint64(edges[block])) & mask & np.uint64((1 << _TABLE_BITS) - 1))
            for at in range(begin[block * table + value], begin[block * table + value + 1]):
                other = order[block * len(known) + at]
                differ = hashes[i] ^ known[other]
                bits = _ones(differ)
                if bits > distance or flat[i] != known_flat[other] or (flat[i] and bits > 0):
                    continue
                first = True
                for before in range(block):
                    low = np.uint64(edges[before])
                    here = np.uint64((1 << (edges[before + 1] - edges[before])) - 1)
                    if (differ >> low) & here == 0:
                        first = False
                if first:
                    if count < len(out_picture):
                        out_picture[count] = i
                        out_other[count] = other
                        out_bits[count] = bits
                    count += 1
    return count
