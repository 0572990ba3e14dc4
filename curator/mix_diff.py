"""What two mixes have in common, and what not: rows, categories, order and recipe.

A row is a sample and which copy of it; where a sample came from (its dataset, part and category) may differ while the
sample is the same, and is told apart.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from registry.identity import field_diff
from registry.mix import MixInfo

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_KEY = ["id", "copy"]
EXAMPLES = 5


@dataclass(frozen=True)
class Side:
    """One of two mixes: its account and its rows in order (id, copy, dataset, part, category)."""

    name: str
    info: MixInfo
    rows: pa.Table


@dataclass(frozen=True)
class Share:
    """What of one dataset and part is in which mix."""

    dataset: str
    part: str
    in_a: int
    in_b: int
    only_in_a: int
    only_in_b: int


@dataclass(frozen=True)
class Moved:
    """Rows that both mixes have under another category."""

    from_category: str
    to_category: str
    rows: int


@dataclass(frozen=True)
class MixDiff:
    """All differences of two mixes."""

    same_content: bool
    """The same rows in the same order."""
    same_rows: bool
    """The same rows, in whatever order."""
    common: int
    only_in_a: int
    only_in_b: int
    first_difference: int | None
    """Position of the first row that is another, or that one mix lacks."""
    shares: list[Share]
    """Datasets and parts in which they differ."""
    moved: list[Moved]
    recipe: list[str]
    """Fields in which the resolved recipes differ, with both values."""
    examples: dict[str, list[str]]
    """Some ids that only one of them has."""

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def diff_mixes(a: Side, b: Side) -> MixDiff:
    """Compare two mixes."""
    import polars as pl

    left, right = (_frame(side) for side in (a, b))
    only_a, only_b = (one.join(other, on=_KEY, how="anti") for one, other in ((left, right), (right, left)))
    first = _first_difference(left, right)
    moved = (
        left.join(right, on=_KEY, suffix="_b")
        .filter(pl.col("category") != pl.col("category_b"))
        .group_by("category", "category_b")
        .len()
        .sort("category", "category_b")
    )
    return MixDiff(
        same_content=first is None,
        same_rows=only_a.is_empty() and only_b.is_empty(),
        common=left.height - only_a.height,
        only_in_a=only_a.height,
        only_in_b=only_b.height,
        first_difference=first,
        shares=_shares(left, right, only_a, only_b),
        moved=[Moved(*row) for row in moved.iter_rows()],
        recipe=[str(change) for change in field_diff(a.info.recipe, b.info.recipe)],
        examples={name: one["id"].head(EXAMPLES).to_list() for name, one in (("a", only_a), ("b", only_b))},
    )


def _frame(side: Side) -> pl.DataFrame:
    import polars as pl

    frame = pl.from_arrow(side.rows.select([*_KEY, "dataset", "part", "category"]))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _first_difference(left: pl.DataFrame, right: pl.DataFrame) -> int | None:
    shorter = min(left.height, right.height)
    at = (left["id"].head(shorter) != right["id"].head(shorter)).arg_max() if shorter else None
    if at is not None and left["id"][at] != right["id"][at]:
        return at
    return None if left.height == right.height else shorter


def _shares(left: pl.DataFrame, right: pl.DataFrame, only_a: pl.DataFrame, only_b: pl.DataFrame) -> list[Share]:
    """The datasets and parts of which one mix has what the other has not."""
    by = ["dataset", "part"]
    counted = [frame.group_by(by).len(name) for frame, name in zip((left, right, only_a, only_b), "abcd", strict=True)]
    joined = counted[0]
    for one in counted[1:]:
        joined = joined.join(one, on=by, how="full", coalesce=True)
    rows = joined.sort(by).fill_null(0).iter_rows()
    return [share for share in (Share(*row) for row in rows) if share.only_in_a or share.only_in_b]
