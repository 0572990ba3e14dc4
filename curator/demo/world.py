"""Writes the whole demo world into a folder: datasets in their published shapes, and benchmark tables.

Bytes depend on the seed and the sizes alone. A dataset is written aside and renamed, so a killed run leaves no half
of one, and a second run finds what is there. ``world.json`` says which world a folder holds, so that a run with other
sizes does not take the old one for its own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from curator.demo.benchmarks import TABLES, table_bytes
from curator.demo.datasets import SHAPES, write_dataset
from registry.errors import Refusal
from registry.identity import field_diff
from registry.store import dump_json, write_aside


def write_world(
    folder: Path,
    seed: int,
    candidate_samples: int = 896,
    baseline_samples: int = 1536,
    pretrain_samples: int = 2048,
) -> None:
    """``folder/datasets/<name>/…`` and ``folder/benchmarks/<table>.tsv``; a Refusal if another world is there."""
    sizes = {"candidate": candidate_samples, "baseline": baseline_samples, "pretrain": pretrain_samples}
    _claim(folder / "world.json", {"seed": seed, **sizes})
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


def _claim(path: Path, settings: dict[str, int]) -> None:
    """Write down, before anything else, which world this folder is for; raise Refusal if it is for another."""
    if not path.is_file():
        write_aside(path, dump_json(settings))
        return
    try:
        there = json.loads(path.read_bytes())
    except ValueError:
        there = None
    if there != settings:
        changes = "; ".join(map(str, field_diff(there, settings))) if isinstance(there, dict) else "it is damaged"
        raise Refusal(str(path), f"another demo world is here ({changes})", "give another folder, or remove this one")
