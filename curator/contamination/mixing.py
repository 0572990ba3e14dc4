"""Contamination of a mix: what the recipe says of samples that hold questions or pictures of benchmarks."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np

from curator.contamination.hits import hits, verdicts
from curator.contamination.questions import BenchmarkTable
from curator.remaining import POSITION, Remaining, inner_first
from curator.resolve import Group
from registry.errors import Refusal
from registry.recipe import Decontaminate
from registry.store import Home


def drop_contaminated(home: Home, group: Group, parts: list[Remaining]) -> None:
    """Take out (or refuse, or count) what the recipe, and the recipes inside it, say; the inner ones first."""
    for inner, its in inner_first(group, parts):
        if inner.decontaminate is None:
            continue
        for table, part in itertools.product(inner.decontaminate.tables, its):
            _judge(home, inner, inner.decontaminate.wanted, table, part)


def _judge(home: Home, group: Group, rule: Decontaminate, table: BenchmarkTable, part: Remaining) -> None:
    measured = hits(home, part.leaf.samples, table).columns()
    positions = np.asarray(part.rows.column(POSITION))
    found = np.array(verdicts(measured, rule.overlap), dtype=object)[positions]
    for verdict, rows in Counter(one for one in found if one is not None).items():
        part.contamination[f"{table.name}.{verdict}"] = rows
    meant = np.isin(found.astype(str), list(rule.verdicts))
    count = int(meant.sum())
    if not count or rule.policy == "report":
        return
    if rule.policy == "refuse":
        name = part.leaf.samples.card.name
        what = f"{count:,} samples of {name} hold something of benchmark {table.name} ({', '.join(rule.verdicts)})"
        way_out = (
            f"look: curator decontaminate {name} --benchmark {table.name}; or let the recipe drop them (policy: drop)"
        )
        raise Refusal(f"recipe '{group.name}'", what, way_out)
    part.rows = part.rows.filter(~meant)
    reason = f"decontaminate.{table.name}"
    part.dropped[reason] = part.dropped.get(reason, 0) + count
