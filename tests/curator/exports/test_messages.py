"""`datasets` makes of the folder what TRL takes: ``messages`` in parts, ``images`` as pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from curator.exporting.run import export, plan_export
from curator.mix import build_mix
from registry.recipe import Recipe, RecipePart
from registry.store import Home
from tests.curator.exports.conftest import Awkward, Export
from tests.curator.publish_home import add_sums


def test_datasets_reads_every_row_in_order(awkward: Awkward, exported: Export, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    assert exported("messages").left_out == {}
    folder = str(tmp_path / "messages")
    loaded = datasets.load_dataset("imagefolder", data_dir=folder, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.features["images"].feature == datasets.Image()
    plain = loaded.cast_column("images", datasets.List(datasets.Image(decode=False)))
    for row, wanted in zip(plain, awkward.rows, strict=True):
        assert {name: row[name] for name in wanted.origin} == wanted.origin
        assert [Path(image["path"]).read_bytes() for image in row["images"]] == wanted.pictures
        content = [[{k: v for k, v in part.items() if v is not None} for part in m["content"]] for m in row["messages"]]
        assert content == [message["content"] for message in wanted.messages], "a literal <image> stays text"
    sizes = [[Image.open(io.BytesIO(data)).size for data in wanted.pictures] for wanted in awkward.rows]
    assert [[image.size for image in row["images"]] for row in loaded] == sizes


def test_text_alone_is_loaded_as_json(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    home = Home(tmp_path / "home")
    add_sums(home, tmp_path / "source", 3)
    mix, _ = build_mix(home, Recipe(name="sums", seed=1, parts=[RecipePart(dataset="sums")]))
    export(plan_export(home, mix, "messages", tmp_path / "out"))
    file = tmp_path / "out" / "metadata.jsonl"
    loaded = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    written = [json.loads(line)["messages"] for line in file.read_text().splitlines()]
    assert loaded["messages"][:] == written
    assert len(written) == 3
