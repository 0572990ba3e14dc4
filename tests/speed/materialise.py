"""A mix written out as parquet with its pictures, against what `datasets` needs for the same rows.

    python -m tests.speed.materialise [--samples 4000] [--rounds 5]

Five sources with weights .4, .3, .15, .1 and .05, JPEGs of 640 x 480 (about 89 kB). Each way does its work in turn in
this process, after a round of each that is not counted; CPU seconds (all threads), medians, MB of pictures by CPU
second. Everything is in the page cache. `datasets` interleaves the same rows (each source as it is exported) and has
its Arrow cache and its open tables before the clock starts; ours opens the home, the mix and the image store within
it. Exit status 1 below four times `datasets`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from curator.cli import cli
from curator.export import Exporter
from curator.mix import build_mix
from registry.mix import MixReader
from registry.recipe import Recipe, RecipePart
from registry.store import Home
from tests.curator.publish_home import KNOWN, SHAPES
from tests.speed.normalise import jpeg

AIM = 4.0
WEIGHTS = (0.4, 0.3, 0.15, 0.1, 0.05)


def publish(folder: Path, name: str, rows: int) -> None:
    """A source as it is published: pictures and captions in one parquet file."""
    chance = Random(name)
    folder.mkdir(parents=True)
    table = [
        {"id": f"{name}-{n}", "image": {"bytes": jpeg(chance, 88), "path": None}, "caption": f"blobs of {name} {n}"}
        for n in range(rows)
    ]
    pq.write_table(pa.Table.from_pylist(table), folder / "train.parquet", row_group_size=100)


def make_home(root: Path, samples: int) -> tuple[Home, Path, list[Path]]:
    """A home with five sources, their mix, and each source as a mix of its own in parquet."""
    home, files, parts = Home(root / "home"), [], []
    home.cards.mkdir(parents=True)
    for number, weight in enumerate(WEIGHTS):
        name = f"source{number}"
        publish(root / name, name, round(samples * weight))
        (home.cards / f"{name}.yaml").write_text(SHAPES.format(name=name, licence=KNOWN))
        done = CliRunner().invoke(cli, ["pull", name, "--from", str(root / name), "--home", str(home.path)])
        assert done.exit_code == 0, done.output
        parts.append(RecipePart(dataset=name))
        alone, _ = build_mix(home, Recipe(name=name, seed=1, parts=parts[-1:]))
        exporter = Exporter(home, MixReader(home, alone))
        files.append(root / f"{name}.parquet")
        exporter.write(files[-1], exporter.slices()[0])
        exporter.close()
    mix, _ = build_mix(home, Recipe(name="all", seed=1, parts=parts))
    return home, mix, files


def ours(home: Home, mix: Path, work: Path, *, publishing: bool) -> int:
    """Bytes of pictures written by the exporter."""
    exporter = Exporter(home, MixReader(home, mix), publishing=publishing)
    for number, part in enumerate(exporter.slices()):
        path = work / f"{number}.parquet"
        exporter.write(path, part) if publishing else exporter.write_rows(path, part)
    exporter.close()
    return picture_bytes(work)


def theirs(sources: list[Any], work: Path) -> int:
    """Bytes of pictures written by `datasets`."""
    import datasets

    mixed = datasets.interleave_datasets(sources, probabilities=list(WEIGHTS), seed=1)
    mixed.to_parquet(str(work / "0.parquet"))
    return picture_bytes(work)


def limit(home: Home, work: Path) -> int:
    """Bytes of pictures copied from the mapped tar shards into uncompressed parquet, with nothing checked."""
    room, number = np.empty(64 << 20, np.uint8), 0
    settings = {"compression": "none", "use_dictionary": False, "write_statistics": False, "write_batch_size": 16}
    for index in sorted(home.images.glob("*.parquet")):
        tar = np.memmap(index.with_suffix(".tar"), np.uint8, "r")
        offsets, lengths = (column.to_numpy() for column in pq.read_table(index, columns=["offset", "length"]).columns)
        for start in range(0, len(offsets), 512):
            there = slice(start, start + 512)
            ends = np.cumsum([0, *lengths[there]]).astype(np.int32)
            for place, length, end in zip(offsets[there], lengths[there], ends[1:], strict=True):
                room[end - length : end] = tar[place : place + length]
            data = pa.Array.from_buffers(pa.binary(), len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(room)])
            pq.write_table(pa.table({"bytes": data}), work / f"{number}.parquet", **settings)
            number += 1
    return picture_bytes(work)


def picture_bytes(work: Path) -> int:
    """Bytes of the picture columns of all files, which are then removed."""
    total = 0
    for path in work.glob("*.parquet"):
        about = pq.read_metadata(path)
        for group in range(about.num_row_groups):
            for number in range(about.num_columns):
                column = about.row_group(group).column(number)
                total += column.total_uncompressed_size if column.path_in_schema.endswith("bytes") else 0
        path.unlink()
    return total


def measured(ways: dict[str, Callable[[Path], int]], work: Path, rounds: int) -> dict[str, list[float]]:
    """Way -> MB of pictures by CPU second, round by round; the files are counted and removed off the clock."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            done = way(work)
            spent = time.process_time() - start
            if turn:
                found[name].append(done / spent / 1e6)
    return found


def main() -> int:
    """Print the figures; 1 when the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["HF_HOME"] = str(root / "hf")
        import datasets

        home, mix, files = make_home(root, asked.samples)
        sources = [datasets.load_dataset("parquet", data_files=str(path), split="train") for path in files]
        work = root / "work"
        work.mkdir()
        ways: dict[str, Callable[[Path], int]] = {
            "datasets, warm cache": partial(theirs, sources),
            "export": partial(ours, home, mix, publishing=False),
            "publish": partial(ours, home, mix, publishing=True),
            "gather and parquet alone": partial(limit, home),
        }
        found = measured(ways, work, asked.rounds)
    best = statistics.median(found["datasets, warm cache"])
    for name, rates in found.items():
        rate = statistics.median(rates)
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        print(f"{name:<26} {rate:>7,.0f} MB by CPU second ({spread}), {rate / best:.2f} x datasets")
    return int(statistics.median(found["export"]) < AIM * best)


if __name__ == "__main__":
    sys.exit(main())
