"""A small data home with mixes to publish, made by the real chain: pull, normalise, build."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner
from PIL import Image

from curator.cli import cli
from curator.mix import build_mix
from registry.recipe import Recipe, RecipePart
from registry.store import Home

SHAPES = """
name: {name}
title: Noise with names
stage: sft
format: caption_pairs
parts:
  - name: train
    category: captioning
languages: [en]
{licence}
"""
SUMS = """
name: {name}
title: Sums
stage: sft
format: llava_chat
parts:
  - name: train
    category: text_only
languages: [en, de]
licence:
  annotations: MIT
citation:
  arxiv: "2401.00001"
"""
KNOWN = "licence: {annotations: CC BY 4.0, images: CC BY-SA 4.0}"


def noise(seed: int, side: int = 32) -> bytes:
    """A PNG that does not compress."""
    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def add_pictures(home: Home, source: Path, name: str, count: int, licence: str = KNOWN, side: int = 32) -> None:
    """Pull a dataset of `count` pictures with captions, each about 3 * side * side bytes."""
    seeds = [1000 * sum(map(ord, name)) + number for number in range(count)]
    rows = [
        {"id": f"{name}-{n}", "image": {"bytes": noise(n, side), "path": None}, "caption": f"noise number {n}"}
        for n in seeds
    ]
    (source / name).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), source / name / "train-00000.parquet")
    pull(home, source, name, SHAPES.format(name=name, licence=licence))


def add_sums(home: Home, source: Path, count: int, name: str = "sums", padding: int = 0) -> None:
    """Pull a dataset of `count` conversations without a picture, their answers padded with `padding` numbers."""
    draws = np.random.default_rng(len(name)).integers(0, 10_000, (count, padding))
    rows = []
    for n in range(count):
        answer = " ".join(map(str, [2 * n, *draws[n]]))
        turns = [{"from": "human", "value": f"What is {n} + {n}?"}, {"from": "gpt", "value": answer}]
        rows.append({"id": f"s{n}", "conversations": turns})
    (source / name).mkdir(parents=True)
    (source / name / "sums.json").write_text(json.dumps(rows))
    pull(home, source, name, SUMS.format(name=name))


def pull(home: Home, source: Path, name: str, card: str) -> None:
    """Pull a dataset whose files lie in `source` with this card."""
    home.cards.mkdir(parents=True, exist_ok=True)
    (home.cards / f"{name}.yaml").write_text(card)
    done = CliRunner().invoke(cli, ["pull", name, "--from", str(source / name), "--home", str(home.path)])
    assert done.exit_code == 0, done.output


def make_home(root: Path, pictures: int = 40, sums: int = 30, side: int = 32) -> tuple[Home, Path]:
    """A home with the datasets `shapes` and `sums`, and the mix `both`: all shapes twice and 10 sums.

    The shapes come by a recipe of their own, which is in no file.
    """
    home = Home(root / "home")
    add_pictures(home, root / "source", "shapes", pictures, side=side)
    add_sums(home, root / "source", sums)
    inner = Recipe(name="inner", seed=3, parts=[RecipePart(dataset="shapes", repeat=2)])
    parts = [RecipePart(recipe="inner"), RecipePart(dataset="sums", choose=10)]
    folder, _ = build_mix(home, Recipe(name="both", seed=7, parts=parts), nested={"inner": inner})
    return home, folder
