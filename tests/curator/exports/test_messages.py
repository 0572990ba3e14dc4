"""`datasets` makes of the folder what TRL takes: ``messages`` in parts, ``images`` as pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.curator.exports.conftest import Awkward, Export


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
    assert [image.size for image in loaded[1]["images"]] == [(40, 30)]
