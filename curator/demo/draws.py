"""The demo world's only source of chance: a small counter-based generator that starts from ``order_key``.

Why not numpy's or Python's: their streams may change with the library's version, and starting one costs more
than the few draws a scene needs. This one (splitmix64, Steele, Lea and Flood 2014) is a few integer operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from registry.identity import order_key

Item = TypeVar("Item")
_MASK = (1 << 64) - 1


class Draws:
    """An endless stream of draws that depends on ``parts`` alone; other parts give an independent stream."""

    def __init__(self, *parts: str | int) -> None:
        self._state = order_key(*parts)

    def bits(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, n: int) -> int:
        """A number from 0 to n - 1, all equally likely (the bias is under n / 2**64)."""
        return (self.bits() * n) >> 64

    def between(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def take(self, items: Sequence[Item], n: int) -> list[Item]:
        """``n`` different ones of the items, in random order (a Fisher-Yates shuffle that stops early)."""
        left = list(items)
        for i in range(n):
            j = i + self.below(len(left) - i)
            left[i], left[j] = left[j], left[i]
        return left[:n]

    def other(self, items: Sequence[Item], than: Item) -> Item:
        """One of the items that is not ``than``."""
        return self.pick([item for item in items if item != than])
