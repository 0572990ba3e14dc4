"""Messages with ``<image>`` in the text: as many marks as pictures, where they were, and a page for LLaMA-Factory."""

from __future__ import annotations

import json
from pathlib import Path

from tests.curator.exports.conftest import Awkward, Export


def test_rows_read_back_in_the_order_of_the_mix(awkward: Awkward, exported: Export, tmp_path: Path) -> None:
    done = exported("marked")
    assert done.left_out == {f"its text holds <{mark}>": 2 for mark in ("image", "video", "img")}
    folder = tmp_path / "marked"
    with (folder / "train.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row, wanted in zip(rows, awkward.without("image", "video", "img"), strict=True):
        assert {name: row[name] for name in wanted.origin} == wanted.origin
        assert [(folder / path).read_bytes() for path in row["images"]] == wanted.pictures
        for said, message in zip(row["messages"], wanted.messages, strict=True):
            parts = ["<image>" if part["type"] == "image" else part["text"] for part in message["content"]]
            assert said == {"role": message["role"], "content": "".join(parts)}
        assert sum(said["content"].count("<image>") for said in row["messages"]) == len(row["images"])


def test_the_description_names_the_file_and_its_columns(exported: Export, tmp_path: Path) -> None:
    exported("marked")
    [(_, described)] = json.loads((tmp_path / "marked" / "dataset_info.json").read_text()).items()
    assert (tmp_path / "marked" / described["file_name"]).is_file()
    with (tmp_path / "marked" / "train.jsonl").open(encoding="utf-8") as file:
        first = json.loads(file.readline())
    assert {described["columns"]["messages"], described["columns"]["images"]} <= first.keys()
    assert {described["tags"]["role_tag"], described["tags"]["content_tag"]} == first["messages"][0].keys()
