"""What a draw will give, from the footers and a sample of the rows: how far in the order it must look."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.extract.columns import NEEDED
from curator.extract.order import LAST, Draw, Numbers, keys_of, strategy
from curator.extract.scan import Look, Stretch
from curator.extract.sources import Pool
from curator.extract.wanted import Bound
from registry.errors import Refusal

if TYPE_CHECKING:
    import polars as pl

SAMPLE_ROWS = 120_000
SAMPLE_PLACES = 12
ROWS_TRIED = 24
ROWS_PER_BIN = 100_000
"""Rows of a bin, about: what the cut holds in memory."""


@dataclass(frozen=True)
class Sample:
    """Some rows of a pool and what became of them."""

    pool_rows: int
    rows: int
    """Rows that were looked at."""
    found: int
    """Those of them that are wanted."""
    places: Numbers | None
    """Places of these, in order; None where places are keys, which lie evenly."""
    held: dict[str, int]
    """Test -> rows for which it holds, alone."""

    @property
    def share(self) -> float:
        """Share of the rows that is wanted."""
        return self.found / self.rows if self.rows else 0.0

    def wanted(self) -> int:
        """Rows of the pool that are wanted, about; duplicates count."""
        return round(self.share * self.pool_rows)

    def last(self, rows: int, *, spread: float = 5.0) -> int:
        """A place up to which there are ``rows`` wanted rows, almost surely; ``LAST`` where only all will do."""
        there = self.share * self.pool_rows
        if self.places is not None:
            needed = rows / self.pool_rows * self.rows
            needed += 1 + spread * math.sqrt(needed + 1)
            return int(self.places[math.ceil(needed)]) if needed < len(self.places) - 1 else LAST
        margin = 0.015 + spread / math.sqrt(rows) + spread / math.sqrt(max(1, self.found))
        share = rows / there * (1 + margin) if there else 1.0
        return LAST if share >= 1 else int(share * LAST)

    def edges(self, above: int, last: int) -> tuple[int, ...]:
        """Ends of bins of about ``ROWS_PER_BIN`` rows each."""
        if self.places is not None:
            inside = self.places[(self.places > max(above, 0)) & (self.places <= last)]
            return (*edges_of(inside, round(len(inside) / self.rows * self.pool_rows))[:-1], last)
        count = math.ceil(self.wanted() * (last - above) / LAST / ROWS_PER_BIN) or 1
        return (*(above + (last - above) * (i + 1) // count for i in range(count - 1)), last)


def edges_of(places: Numbers, rows: int) -> tuple[int, ...]:
    """Ends of bins of about ``ROWS_PER_BIN`` of so many rows, whose places are like these (in order)."""
    if not len(places):
        return (LAST,)
    count = math.ceil(rows / ROWS_PER_BIN) or 1
    steps = [(len(places) - 1) * (i + 1) // count for i in range(count)]
    return tuple(sorted({int(places[step]) for step in steps}))


def sampled(pool: Pool, look: Look) -> Sample:
    """Look at some rows from all over the pool."""
    total = found = 0
    parts: list[Numbers] = []
    held: Counter[str] = Counter(dict.fromkeys(look.wanted.tests(), 0))
    columns = dict.fromkeys([*look.wanted.reads(pool.schema), *look.draw.reads])
    for stretch in _places(pool):
        rows = _rows(pool, stretch, columns)
        total += stretch.rows
        masks = look.wanted.masks(rows)
        held += Counter({words: int(mask.sum()) for words, mask in masks.items()})
        rows = rows.filter(*masks.values())
        found += len(rows)
        if not look.draw.by_key:
            keys = keys_of(look.draw.seed, rows["url"], rows["caption"])
            parts.append(strategy(look.draw).places(look.draw, rows, keys, look.looked_up))
    held_alone = {words: held[words] for words in look.wanted.tests()}
    if look.draw.by_key:
        return Sample(pool.rows, total, found, None, held_alone)
    places = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.uint64)
    places = places[places < LAST]
    return Sample(pool.rows, total, len(places), places, held_alone)


def looked_over(pool: Pool, columns: Collection[str]) -> pl.DataFrame:
    """A few rows of these columns, to try a predicate on."""
    stretch = next(_places(pool), None)
    if stretch is None:
        raise Refusal("--source", "its files have no rows", "check the files")
    return _rows(pool, replace(stretch, rows=min(stretch.rows, ROWS_TRIED)), columns)


def estimated(pool: Pool, look: Look, sizes: Mapping[str, int]) -> dict[str, Any]:
    """What a draw would find, for people: nothing but footers and the sample is read."""
    sample = sampled(pool, replace(look, draw=Draw(seed=look.draw.seed)))
    out = ruled_out(pool, look.wanted.bounds)
    filters = [
        {
            "filter": words,
            "share": held / sample.rows if sample.rows else 0.0,
            "rows": round(held / max(1, sample.rows) * pool.rows),
            "ruled_out": out.get(words.split()[0], 0),
        }
        for words, held in sample.held.items()
    ]
    subsets = [{"size": name, "rows": rows, "enough": rows <= sample.wanted()} for name, rows in sizes.items()]
    told = {"rows": pool.rows, "sampled": sample.rows, "wanted": sample.wanted()}
    return {**told, "filters": filters, "subsets": subsets}


def ruled_out(pool: Pool, bounds: Mapping[str, Bound]) -> dict[str, int]:
    """Column -> rows of row groups whose statistics say that none of their values is inside its bounds."""
    import pyarrow.parquet as pq

    found: Counter[str] = Counter()
    for table in pool.tables:
        meta = pq.read_metadata(table.path)
        places = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
        for name, bound in bounds.items():
            place = places.get(table.layout.names.get(name, ""))
            for number in range(meta.num_row_groups) if place is not None else ():
                known = meta.row_group(number).column(place).statistics
                if known is not None and known.has_min_max and _outside(known.min, known.max, bound):
                    found[name] += meta.row_group(number).num_rows
    return dict(found)


def _outside(least: float, most: float, bound: Bound) -> bool:
    return (bound.min is not None and most < bound.min) or (bound.max is not None and least > bound.max)


def _rows(pool: Pool, stretch: Stretch, columns: Collection[str]) -> pl.DataFrame:
    """These columns of rows as they are, with an address and a caption as far as these are asked for."""
    import polars as pl

    frame = stretch.table.layout.selected(pl.scan_parquet(stretch.table.path, glob=False)).select(*columns)
    sound = [pl.col(name).is_not_null() for name in NEEDED if name in columns]
    try:
        found = frame.slice(stretch.first, stretch.rows).filter(*sound).collect()
        return found.cast({name: pool.schema[name] for name in found.columns})
    except pl.exceptions.PolarsError as error:
        problem = " ".join(str(error).split())
        raise Refusal(str(stretch.table.path), f"cannot be read ({problem})", "download it again") from None


def _places(pool: Pool) -> Iterator[Stretch]:
    """Stretches of equal length, evenly over all rows; all rows of a small pool."""
    if pool.rows <= SAMPLE_ROWS:
        yield from (Stretch(table, 0, table.rows, whole=False) for table in pool.tables if table.rows)
        return
    each = SAMPLE_ROWS // SAMPLE_PLACES
    begins = [(2 * i + 1) * pool.rows // (2 * SAMPLE_PLACES) for i in range(SAMPLE_PLACES)]
    before = 0
    for table in pool.tables:
        for begin in begins:
            if before <= begin < before + table.rows:
                first = begin - before
                yield Stretch(table, first, min(each, table.rows - first), whole=False)
        before += table.rows
