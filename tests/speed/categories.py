"""How often the general classifier finds the category that is known, a dataset at a time, learned from all others.

    python -m tests.speed.categories [--home HOME] [--leave-out PREFIX]

Without a home: the golden fixtures, few rows each in the schemas of their publishers, their categories by their cards.
With one: every dataset of the home that holds nothing but one category by its card, learned from the home's other
datasets. Signs alone, centroids alone and both together are counted; each dataset has the same weight in the means.
What is printed: a table of datasets, a confusion table, and what a threshold on confidence keeps.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curator.batch import Batch
from curator.categories.centroids import Centroids, learn, nearness
from curator.categories.findings import Findings, judged
from curator.categories.profiles import certain_parts, profile_rows
from curator.categories.signs import Points, points
from curator.measure import sample_tables
from curator.output import print_table
from curator.samples import find_samples
from registry.card import load_card
from registry.sample import arrow_schema, conversation, sample_id
from registry.store import Home
from registry.taxonomy import SLUGS

FIXTURES = Path(__file__).parents[1] / "datasets"
WAYS = ("signs", "words", "both")
MOST = 4000
"""Samples of a dataset that are judged."""


class Known(NamedTuple):
    """Samples whose categories are known."""

    name: str
    table: pa.Table
    categories: list[str]
    learnable: pa.Table
    """Its profile: of the samples whose category the card is certain of."""


def fixtures() -> list[Known]:
    """The golden fixtures as datasets."""
    return [_fixture(path) for path in sorted(FIXTURES.glob("*.json")) if json.loads(path.read_text())["expect"]]


def _fixture(path: Path) -> Known:
    rows: list[dict[str, Any]] = []
    for sample in json.loads(path.read_text(encoding="utf-8"))["expect"]:
        messages = conversation([(role, text) for role, text in sample["turns"]])
        sha256s = [f"{number:064}" for number, _ in enumerate(sample["images"])]
        images = [{"sha256": sha256, "width": 40, "height": 30} for sha256 in sha256s]
        names = {key: sample[key] for key in ("part", "source_id", "category")}
        identity = sample_id(messages, sha256s)
        rows.append({"id": identity, "dataset": path.stem, **names, "images": images, "messages": messages})
    table = pa.Table.from_pylist(rows, schema=arrow_schema())
    return _known(path.stem, table, certain_parts(load_card(path.stem)))


def of_home(home: Home) -> list[Known]:
    """The datasets of a home."""
    found = []
    for name in sorted({folder.name.partition("@")[0] for folder in home.finished("samples")}):
        samples = find_samples(home, name)
        table = pa.concat_tables([part for path in samples.files() for part in sample_tables(path)]).slice(0, MOST)
        found.append(_known(name, table.combine_chunks(), certain_parts(samples.card)))
    return found


def _known(name: str, table: pa.Table, certain: list[str]) -> Known:
    categories = table.column("category").to_pylist()
    learnable = np.flatnonzero([part in certain for part in table.column("part").to_pylist()])
    return Known(name, table, categories, profile_rows(table.take(learnable), [categories[i] for i in learnable]))


def judged_by(centroids: Centroids, table: pa.Table) -> dict[str, Findings]:
    """What the signs find, what the centroids find (knowing of pictures alone), and both together."""
    batch = Batch(table)
    said, near = points(batch), nearness(centroids, batch)
    pictures = np.bincount(batch.picture_sizes()[0], minlength=len(batch)) > 0
    text_only = np.arange(len(SLUGS)) == SLUGS.index("text_only")
    gate = Points(np.where(pictures[:, None] & text_only, -200, 0), said.strongest)
    return {"signs": judged(said, np.zeros_like(near)), "words": judged(gate, near), "both": judged(said, near)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--leave-out", default="\n", help="datasets whose names begin so are not looked at")
    given = parser.parse_args()
    everything = of_home(Home(given.home)) if given.home else fixtures()
    known = [one for one in everything if not one.name.startswith(given.leave_out)]
    confusion = Counter[tuple[str, str]]()
    rows: list[tuple[str, int, *tuple[float, ...]]] = []
    trusted: list[tuple[float, bool, float]] = []
    for left_out in known:
        centroids = learn(one.learnable for one in known if one is not left_out)
        found = judged_by(centroids, left_out.table)
        rows.append((left_out.name, len(left_out.categories), *(_right(left_out, found[way]) for way in WAYS)))
        both = found["both"]
        confusion.update(zip(left_out.categories, both.category, strict=True))
        weight = 1 / len(left_out.categories)
        right = [a == b for a, b in zip(left_out.categories, both.category, strict=True)]
        trusted += [(c, r, weight) for c, r in zip(both.confidence.tolist(), right, strict=True)]
    means = [round(fmean(float(row[2 + i]) for row in rows), 3) for i in range(len(WAYS))]
    print_table(("dataset", "samples", *WAYS), [*rows, ("mean of datasets", None, *means)])
    print()
    seen = [slug for slug in SLUGS if any(slug in pair for pair in confusion)]
    print_table(("known \\ found", *seen), [(a, *(confusion[a, b] or None for b in seen)) for a in seen])
    print()
    print_table(
        ("confidence at least", "share judged", "of those right"), [_kept(trusted, t) for t in range(0, 100, 10)]
    )


def _right(known: Known, found: Findings) -> float:
    return round(fmean(a == b for a, b in zip(known.categories, found.category, strict=True)), 3)


def _kept(trusted: list[tuple[float, bool, float]], percent: int) -> tuple[float, float, float | None]:
    """Datasets weigh alike."""
    kept = [(right, weight) for confidence, right, weight in trusted if confidence >= percent / 100]
    total, weights = sum(weight for *_, weight in trusted), sum(weight for _, weight in kept)
    right = sum(weight for right, weight in kept if right)
    return percent / 100, round(weights / total, 3), round(right / weights, 3) if weights else None


if __name__ == "__main__":
    main()
