from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curator.demo.datasets import SHAPES
from curator.demo.lessons import words
from curator.demo.truth import CANDIDATES
from curator.measure import measure
from curator.mix import build_mix
from curator.normalise import Normalised
from curator.samples import find_samples
from registry.card import load_card
from registry.discovery import names
from registry.recipe import load_recipe, recipe_files
from registry.sample import message_text
from registry.store import Home
from registry.taxonomy import SLUGS
from tests.curator.demo.conftest import BASELINE, CANDIDATE, PRETRAIN

Samples = dict[str, Normalised]
ROWS = {
    "demo-shapes": BASELINE // 2,
    "demo-captions": BASELINE // 4 + 2,
    "demo-text": BASELINE // 4,
    "demo-pretrain": PRETRAIN,
    "demo-allava": 2 * CANDIDATE,
    "demo-mismatched": 2 * CANDIDATE,
    "demo-copies": BASELINE // 2,
}


def rows_of(made: Normalised) -> list[dict[str, Any]]:
    return [row for path in sorted(made.folder.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_dataset_has_a_card_that_reads_it_and_the_other_way_round(home: Home) -> None:
    assert set(names(home.cards, ".yaml")) == set(SHAPES)
    for name, shape in SHAPES.items():
        assert load_card(name, home).format == shape.form


@pytest.mark.parametrize("name", SHAPES)
def test_every_row_becomes_a_sample(name: str, samples: Samples) -> None:
    record = samples[name].record
    assert record.rejected == {}
    assert record.rows_out == ROWS.get(name, CANDIDATE)


@pytest.mark.parametrize("name", SHAPES)
def test_files_are_in_the_layout_of_the_hub(name: str, world: Path) -> None:
    folder = world / "datasets" / name
    if SHAPES[name].form in ("llava_chat", "alpaca"):
        rows = json.loads((folder / "train.json").read_text())
        listed = [row["image"] for row in rows if "image" in row]
        assert sorted(listed) == sorted(str(p.relative_to(folder)) for p in folder.glob("images/*"))
        return
    table = pq.read_table(folder / "data" / "train-00000-of-00001.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert set(features) == set(table.column_names)


@pytest.mark.parametrize("name", ["demo-captions", "demo-flags", "demo-magnets", "demo-polygons"])
def test_the_datasets_library_shows_the_pictures(name: str, world: Path, tmp_path: Path) -> None:
    import datasets
    from PIL import Image

    path = str(world / "datasets" / name)
    loaded = datasets.load_dataset(path, split="train", cache_dir=str(tmp_path))
    row = loaded[0]
    picture = row["image"] if "image" in row else row["images"][0]
    assert isinstance(picture, Image.Image)
    assert picture.size == (48, 48)


def test_the_planted_candidates_are_parts_of_cards_in_their_category(home: Home) -> None:
    for candidate in CANDIDATES:
        name, _, part = candidate.name.partition("/")
        parts = {p.name: p.category for p in load_card(name, home).parts}
        assert candidate.category in SLUGS
        assert parts[part or "all"] == candidate.category
        assert candidate.why
    tried = {candidate.name.partition("/")[0] for candidate in CANDIDATES}
    assert tried | {"demo-shapes", "demo-captions", "demo-text", "demo-pretrain"} == set(SHAPES)
    assert Counter(c.truth for c in CANDIDATES) == {"good": 5, "neutral": 4, "bad": 4}


def test_a_rule_parts_captions_from_conversations(samples: Samples) -> None:
    rows = rows_of(samples["demo-allava"])
    assert Counter(row["part"] for row in rows) == {"cap": CANDIDATE, "conv": CANDIDATE}
    assert all((len(row["messages"]) == 4) == (row["part"] == "conv") for row in rows)
    order = "".join(row["part"][1] for row in rows)
    assert "ao" in order[:40], "the two parts are mixed, as in the dataset they stand for"
    assert "oa" in order[:40]


def test_copies_are_samples_of_the_baseline_to_the_byte(samples: Samples) -> None:
    baseline = {row["id"] for row in rows_of(samples["demo-shapes"])}
    copies = {row["id"] for row in rows_of(samples["demo-copies"])}
    assert copies == baseline


def test_nothing_but_the_copies_is_in_two_datasets(samples: Samples) -> None:
    owner: dict[str, str] = {}
    for name, made in samples.items():
        if name == "demo-copies":
            continue
        for row in rows_of(made):
            for image in row["images"]:
                assert owner.setdefault(image["sha256"], name) == name


def test_the_blank_filter_drops_the_broken_pictures_and_nothing_else(home: Home, samples: Samples) -> None:
    assert samples["demo-captions"].record.rows_out == ROWS["demo-captions"]
    found = find_samples(home, "demo-captions")
    values = measure(home, found, "blank_image").columns(["grey_deviation"]).column("grey_deviation").to_pylist()
    assert values.count(0) == 2
    assert min(value for value in values if value > 0) > 4


def test_the_recipes_build(home: Home, samples: Samples) -> None:
    assert samples
    for name in ("demo-baseline", "demo-pretrain"):
        assert name in recipe_files(home)
        recipe = load_recipe(name, home)
        for part in recipe.parts:
            for wanted in {**recipe.filters, **part.filters}:
                measure(home, find_samples(home, str(part.dataset)), wanted)
    _, baseline = build_mix(home, load_recipe("demo-baseline", home))
    assert baseline.samples == BASELINE
    assert baseline.categories == {
        "general_qa": BASELINE // 2,
        "captioning": BASELINE // 4,
        "text_only": BASELINE // 4,
    }
    _, pretrain = build_mix(home, load_recipe("demo-pretrain", home))
    assert pretrain.samples == PRETRAIN


def test_the_tokenizer_knows_every_word(samples: Samples) -> None:
    known = set(words())
    instructions = re.compile("Answer the question using.*|Answer with the option.*|Please answer yes or no.")
    for name, made in samples.items():
        texts = [message_text(message) for row in rows_of(made) for message in row["messages"]]
        said = {
            word
            for text in texts
            for word in re.findall(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]", instructions.sub("", text))
        }
        assert said <= known, f"{name}: {sorted(said - known)}"
