"""The order of a draw: a 64-bit number a row, of which the smallest are taken.

A place depends on nothing but the row (``hash``, ``top``), or on all wanted rows as a set (``balance``): not on files,
their order, threads or machines. Rows whose numbers are equal are told apart by their keys, then by all their values.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from curator.extract.columns import NEEDED
from registry.identity import order_key

if TYPE_CHECKING:
    import polars as pl

    from curator.extract.scan import Look
    from curator.extract.sources import Pool
    from curator.runner import Place

Numbers = npt.NDArray[np.uint64]
LAST = (1 << 64) - 1
"""The largest place; a row that has it is never drawn."""


@dataclass(frozen=True)
class Draw:
    """Which strategy draws, and its settings: part of the identity of what is drawn."""

    strategy: str = "hash"
    """A file in ``curator/extract/draws``."""
    seed: int = 0
    by: str | None = None
    """Column that ``top`` orders by."""
    cap: int | None = None
    """Rows that ``balance`` takes of one concept at most."""

    @property
    def by_key(self) -> bool:
        """Whether a row's place is its key."""
        return self.strategy == "hash"

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns that a sample of the rows must have to say how their places lie."""
        return ("caption",) if self.by_key else (*NEEDED, *([self.by] if self.by else []))

    def plain(self) -> dict[str, Any]:
        """JSON form, for the identity of a draw."""
        return {"strategy": self.strategy, "seed": self.seed, "by": self.by, "cap": self.cap}


@dataclass(frozen=True)
class Preparing:
    """What a strategy may use in a pass of its own."""

    pool: Pool
    rows: int
    """Rows of the largest subset."""
    state: Path
    """Where it keeps what a killed run need not find out again."""
    place: Place
    advance: Callable[[int], None]


@dataclass(frozen=True)
class Prepared:
    """What such a pass found out."""

    table: Path
    places: Numbers
    """Places of all rows that may be drawn, in order."""


class Strategy(Protocol):
    """What a file in ``curator/extract/draws`` has."""

    VERSION: int
    """Raised whenever the order of the same rows changes."""

    @staticmethod
    def check(draw: Draw, columns: Mapping[str, Any]) -> None:
        """Raise Refusal for settings that do not fit, or columns that are missing."""

    @staticmethod
    def prepare(asked: Preparing, look: Look) -> Prepared | None:
        """A pass over the pool before the draw; None where a row's place needs none."""

    @staticmethod
    def places(draw: Draw, frame: pl.DataFrame, keys: Numbers, looked_up: Path | None) -> Numbers:
        """The place of each row; ``LAST`` for rows that are never drawn."""


def strategy(draw: Draw) -> Strategy:
    """The module of a draw's strategy."""
    module: Any = importlib.import_module(f"curator.extract.draws.{draw.strategy}")
    found: Strategy = module
    return found


def keys_of(seed: int, urls: pl.Series, captions: pl.Series) -> Numbers:
    """The order key of each (url, caption): 64 bits that are the same on every machine, engine and version."""
    import polars as pl

    from curator.kernels.order_keys import chain

    keys = np.full(len(urls), order_key("extract", seed), np.uint64)
    for texts in (urls, captions):
        sound = texts.fill_null("") if texts.null_count() else texts
        chain(sound.to_arrow(compat_level=pl.CompatLevel.newest()), keys)
    return keys
