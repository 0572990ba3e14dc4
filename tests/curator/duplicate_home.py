"""Datasets with planted duplicates, for the tests of deduplication."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

from curator.samples import Samples, find_samples
from registry.recipe import Dedup
from registry.store import Home
from tests.curator.data_home import Rows, pulled, rows_of, write_card, write_json, write_parquet
from tests.curator.test_dedup_looks import encoded, scene

Cluster = tuple[str, str]
"""``(cluster, way)``."""


def sentence(chance: random.Random, words: int) -> list[str]:
    return [f"w{chance.randrange(500)}" for _ in range(words)]


def texts(seed: int, count: int = 60) -> list[str]:
    """Texts of which some are copies, some in other clothes, and some have a few words changed."""
    chance = random.Random(seed)
    found: list[str] = []
    for _ in range(count):
        words = sentence(chance, chance.choice([3, 8, 30, 60]))
        found.append(" ".join(words))
        if chance.random() < 0.3:
            found.append("  ".join(words).upper() + "!")
        for _ in range(chance.choice([0, 0, 1, 3])):
            words[chance.randrange(len(words))] = "changed"
            found.append(" ".join(words))
    return found


def chat(number: int, text: str) -> dict[str, Any]:
    turns = [{"from": "human", "value": text}, {"from": "gpt", "value": "So it is."}]
    return {"id": f"row-{number}", "conversations": turns}


def make_texts(home: Home, folder: Path, name: str, rows: list[dict[str, Any]], files: int = 1, **card: Any) -> Samples:
    """A dataset of conversations without pictures, published in so many files."""
    shutil.rmtree(folder / name, ignore_errors=True)
    for number in range(files):
        write_json(folder / name / f"train-{number}.json", rows[number::files])
    pulled(home, write_card(home, name, format="llava_chat", **card), folder / name)
    return find_samples(home, name)


def pictured(number: int, text: str, seed: int, quality: int = 90) -> dict[str, Any]:
    """A caption of one of the scenes."""
    data = encoded(scene(seed, 160, 120), quality)
    return {"image": {"bytes": data, "path": f"{number}.jpg"}, "caption": text}


def make_pictures(home: Home, folder: Path, name: str, rows: Rows, **card: Any) -> Samples:
    """A dataset of captions."""
    write_parquet(folder / name / "train.parquet", rows)
    pulled(home, write_card(home, name, format="caption_pairs", **card), folder / name)
    return find_samples(home, name)


def near(*ways: str, **more: Any) -> Dedup:
    """Settings with which no pair above the threshold is missed by chance."""
    return Dedup(by=list(ways), threshold=0.7, bands=128, rows=2, **more)


def contents(samples: Samples) -> dict[str, str]:
    """Id of each sample -> what its user says."""
    return {row["id"]: row["messages"][0]["content"][-1]["text"] for row in rows_of(samples.folder)}
