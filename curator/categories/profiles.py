"""Profiles: which grams the samples of a dataset have, by category. They are measures, and what is learned from.

Only samples whose card is certain of the category count: those of parts that are not told apart by patterns in text,
which is what is to be judged here. Everything is added up in whole numbers, so no order and no layout matters.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch
from curator.categories import grams as gram_kind
from curator.categories.grams import BUCKETS, grams
from curator.measure import Advance, Measured, make_measure, measure_folder, run_files, write_measure
from curator.reclassify import label_table, labels_digest
from curator.rules import PartRules
from curator.runner import HERE, Place
from curator.samples import Samples
from registry.card import Card
from registry.identity import digest
from registry.store import Home, Record

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NAME = "profile"
MOST_ROWS = 20_000
"""About so many samples of a dataset are looked at, chosen by their ids; more do not make a category clearer."""
UNIT = 1 << 20
"""Length of a sample's vector."""
ALL = -1
"""Stands for the bucket in the row that counts the samples of a category."""


@dataclass(frozen=True)
class ProfileFile:
    """One file of samples, and the file of their profile."""

    card: Card
    source: Path
    target: Path
    below: int
    """Samples whose ids begin with a smaller number are looked at."""
    relabelled: bool
    """Whether the card's rules have to be asked: they changed since the samples were written."""


def certain_parts(card: Card) -> list[str]:
    """Names of the parts whose samples the card tells apart without patterns in requests or answers."""
    uncertain = False
    names: list[str] = []
    for part in sorted(card.parts, key=lambda part: part.rule is None):
        uncertain = uncertain or bool(part.rule and (part.rule.request or part.rule.answer))
        names += [] if uncertain else [part.name]
    return names


def profile_digest(samples: Samples) -> str:
    """Identity of a profile: these samples with these labels."""
    versions = {"profile": VERSION, "grams": gram_kind.VERSION, "buckets": BUCKETS, "rows": MOST_ROWS}
    return digest({**versions, "labels": labels_digest(samples)})


def profile(home: Home, samples: Samples, advance: Advance | None = None, place: Place = HERE) -> Measured:
    """Make (or find) the profile of a dataset."""
    record = Record(
        kind="measures",
        name=NAME,
        digest=profile_digest(samples),
        settings={"parts": certain_parts(samples.card), "buckets": BUCKETS, "rows": MOST_ROWS},
        versions={"profile": str(VERSION), "grams": str(gram_kind.VERSION)},
        command=f"curator reclassify {samples.card.name} --by general",
    )
    share = min(1.0, MOST_ROWS / max(1, samples.record.rows_out))

    def write(out: Path) -> Generator[int]:
        below = round(share * (1 << 32))
        tasks = [
            ProfileFile(samples.card, path, out / path.name, below, samples.relabelled) for path in samples.files()
        ]
        return run_files(profile_file, tasks, place)

    return make_measure(home, samples, record, write, advance)


def profile_folder(home: Home, samples: Samples) -> Path:
    """Where the profile of a dataset lies."""
    return measure_folder(home, samples, NAME, profile_digest(samples))


def profile_file(task: ProfileFile) -> Iterator[int]:
    """Write the profile of one file; yields the rows done."""
    certain = set(certain_parts(task.card))
    rules = PartRules(task.card.parts) if task.relabelled else None

    def measured(table: pa.Table) -> pa.Table:
        labels = table if rules is None else label_table(rules, table)
        counted = np.array([int(identity[:8], 16) < task.below for identity in table.column("id").to_pylist()], bool)
        counted &= np.array([part in certain for part in labels.column("part").to_pylist()], bool)
        chosen = np.flatnonzero(counted)
        return profile_rows(table.take(chosen), labels.column("category").take(chosen).to_pylist())

    yield from write_measure(task.source, task.target, profile_schema(), measured)


def profile_rows(table: pa.Table, categories: list[str]) -> pa.Table:
    """What samples of these categories have in common: a row for each category and bucket."""
    import pyarrow as pa

    found = grams(Batch(table))
    count = np.bincount(found.sample, minlength=table.num_rows)
    weight = np.rint(UNIT / np.sqrt(np.maximum(count, 1))).astype(np.int64)
    rows: dict[str, list[pa.Array]] = {name: [] for name in profile_schema().names}
    for category in sorted(set(categories)):
        of_it = np.array([one == category for one in categories], bool)
        mine = of_it[found.sample]
        buckets, at = np.unique(found.bucket[mine], return_inverse=True)
        weights = np.zeros(len(buckets), np.int64)
        np.add.at(weights, at, weight[found.sample[mine]])
        samples = np.bincount(at, minlength=len(buckets))
        rows["category"].append(pa.repeat(category, len(buckets) + 1))
        rows["bucket"].append(pa.array(np.append(buckets, ALL), pa.int32()))
        rows["weight"].append(pa.array(np.append(weights, 0), pa.int64()))
        rows["samples"].append(pa.array(np.append(samples, of_it.sum()), pa.int64()))
    schema = profile_schema()
    if not categories:
        return schema.empty_table()
    return pa.table({name: pa.chunked_array(arrays, schema.field(name).type) for name, arrays in rows.items()})


def profile_schema() -> pa.Schema:
    """Columns of a profile."""
    import pyarrow as pa

    numbers = [("bucket", pa.int32()), ("weight", pa.int64()), ("samples", pa.int64())]
    return pa.schema([("category", pa.string()), *numbers])
