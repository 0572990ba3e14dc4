"""Duplicates in a mix: among the rows that the filters left, before anything is drawn from them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from curator.duplicates.clusters import clusters
from curator.duplicates.keep import Decided, Member, decide
from curator.remaining import POSITION, Remaining, inner_first
from curator.resolve import Deduplication, Group
from registry.store import Home


def drop_duplicates(home: Home, group: Group, parts: list[Remaining]) -> None:
    """Take out what the recipe, and the recipes inside it, say of duplicates; the inner ones first."""
    for inner, its in inner_first(group, parts):
        if inner.dedup is not None:
            _drop(home, inner.dedup, its)


def _drop(home: Home, dedup: Deduplication, parts: list[Remaining]) -> None:
    """A sample that two parts name is one sample: it stays in both or in neither."""
    for folders, scope in dedup.scopes():
        found = clusters(home, scope)
        names = [samples.folder.name for samples in folders]
        members = []
        for samples in folders:
            alive = np.zeros(samples.record.rows_out, np.bool_)
            for part in _of(parts, samples.folder.name):
                alive[np.asarray(part.rows.column(POSITION))] = True
            members.append(Member(found[samples.folder.name], alive))
        decided = decide(members, [found[one.folder.name] for one in dedup.against])
        for name, one in zip(names, decided, strict=True):
            for part in _of(parts, name):
                _take_out(part, one)


def _of(parts: list[Remaining], folder: str) -> list[Remaining]:
    return [part for part in parts if part.leaf.samples.folder.name == folder]


def _take_out(part: Remaining, decided: Decided) -> None:
    positions, dropped = np.asarray(part.rows.column(POSITION)), decided.dropped
    there = np.zeros(len(decided.reasons), np.bool_)
    there[decided.goes] = np.isin(dropped, positions)
    reasons = Counter(reason for reason, counts in zip(decided.reasons, there.tolist(), strict=True) if counts)
    part.rows = part.rows.filter(~np.isin(positions, dropped))
    for reason, rows in sorted(reasons.items()):
        part.dropped[f"dedup.{reason}"] = part.dropped.get(f"dedup.{reason}", 0) + rows
