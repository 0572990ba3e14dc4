"""What the parts of a recipe still have while a mix is built, and what they lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from curator.resolve import Group, Leaf

if TYPE_CHECKING:
    import pyarrow as pa

POSITION = "position"
"""Column that says which of the samples of its folder a row is."""


@dataclass
class Remaining:
    """What one part of a recipe has, and lost."""

    leaf: Leaf
    rows: pa.Table
    available: int
    dropped: dict[str, int]
    """Reason -> rows."""
    contamination: dict[str, int] = field(default_factory=dict)
    """Benchmark and verdict -> rows that hold something of it, dropped or not."""


def inner_first(group: Group, parts: list[Remaining]) -> Iterator[tuple[Group, list[Remaining]]]:
    """The recipes inside a recipe, then itself, each with its parts; ``parts`` are those of the leaves of ``group``."""
    at = 0
    for member in group.members:
        size = 1 if isinstance(member, Leaf) else len(list(member.leaves()))
        if isinstance(member, Group):
            yield from inner_first(member, parts[at : at + size])
        at += size
    yield group, parts
