"""Writes the whole demo world into a folder: datasets in their published shapes, and benchmark tables.

Bytes depend on the seed and the sizes alone. A dataset is written aside and renamed, so a killed run leaves no half
of one, and a second run finds what is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from curator.demo.benchmarks import TABLES, table_bytes
from curator.demo.datasets import SHAPES, write_dataset
from registry.store import write_aside


def write_world(
    folder: Path,
    seed: int,
    candidate_samples: int = 1024,
    baseline_samples: int = 2048,
    pretrain_samples: int = 2048,
) -> None:
    """``folder/datasets/<name>/…`` and ``folder/benchmarks/<table>.tsv``."""
    sizes = {"candidate": candidate_samples, "baseline": baseline_samples, "pretrain": pretrain_samples}
    for name in SHAPES:
        target = folder / "datasets" / name
        if target.is_dir():
            continue
        aside = folder / "datasets" / f".{name}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        write_dataset(aside, name, seed, sizes)
        aside.rename(target)
    for table in TABLES:
        path = folder / "benchmarks" / f"{table}.tsv"
        if not path.is_file():
            write_aside(path, table_bytes(table, seed))
