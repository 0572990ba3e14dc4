"""Which one of a cluster stays: decided when it is known which rows there are, because a filter may drop any of them.

The row of the earliest dataset stays, and of several of that dataset the one with the smallest
``order_key("dedup", id)``. What is the same as a row of a dataset to compare against does not stay at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curator.measure import Measured
from registry.identity import order_key

AGAINST = "against"
"""The reason of a row that is the same as one of a dataset to compare against."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Member:
    """One dataset whose duplicates are dropped."""

    clusters: Measured
    alive: npt.NDArray[np.bool_] | None = None
    """Which of its rows there are; None: all."""


@dataclass(frozen=True)
class Clustered:
    """The rows of a dataset that are in a cluster."""

    positions: Ints
    clusters: list[str]
    ways: list[str]
    ids: list[str]


@dataclass(frozen=True)
class Decided:
    """The clustered rows of one dataset, and which of them go."""

    rows: Clustered
    goes: npt.NDArray[np.bool_]
    reasons: list[str]
    """For each row that goes the way by which it is the same as another one, or ``against``; empty for one that stays.
    """

    @property
    def dropped(self) -> Ints:
        """The positions of the rows that go, sorted."""
        return self.rows.positions[self.goes]


class _Row(NamedTuple):
    """What decides between rows, in this order."""

    member: int
    key: int
    at: int
    """Its place among the clustered rows of its member."""


def decide(members: list[Member], against: list[Measured]) -> list[Decided]:
    """What goes of each member; they are in the order in which their rows are preferred."""
    rows = [clustered(member) for member in members]
    lost = {name for measured in against for name in clustered(Member(measured)).clusters}
    best: dict[str, _Row] = {}
    for number, one in enumerate(rows):
        for at, (cluster, identity) in enumerate(zip(one.clusters, one.ids, strict=True)):
            row = _Row(number, order_key("dedup", identity), at)
            best[cluster] = min(row, best.get(cluster, row))
    return [_decided(number, one, best, lost) for number, one in enumerate(rows)]


def _decided(number: int, rows: Clustered, best: dict[str, _Row], lost: set[str]) -> Decided:
    reasons = []
    for at, cluster in enumerate(rows.clusters):
        kept = best[cluster]
        stays = cluster not in lost and (kept.member, kept.at) == (number, at)
        reasons.append("" if stays else AGAINST if cluster in lost else rows.ways[at])
    return Decided(rows, np.array([bool(reason) for reason in reasons], np.bool_), reasons)


def clustered(member: Member) -> Clustered:
    """The rows of a dataset that there are and that are in a cluster."""
    parts = list(_parts(member))
    positions = np.concatenate([np.empty(0, np.int64), *(part.positions for part in parts)])
    return Clustered(
        positions,
        [name for part in parts for name in part.clusters],
        [way for part in parts for way in part.ways],
        [identity for part in parts for identity in part.ids],
    )


def _parts(member: Member) -> Iterator[Clustered]:
    """The clustered rows that there are, file by file."""
    import pyarrow.parquet as pq

    begin = 0
    for path in sorted(member.clusters.folder.glob("part-*.parquet")):
        table = pq.ParquetFile(path).read()
        end = begin + table.num_rows
        there = np.asarray(table.column("cluster").is_valid())
        if member.alive is not None:
            there &= member.alive[begin:end]
        at = np.flatnonzero(there)
        taken = table.take(at)
        columns = (taken.column(name).to_pylist() for name in ("cluster", "way", "id"))
        yield Clustered(at + begin, *columns)
        begin = end
