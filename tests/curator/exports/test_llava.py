"""LLaVA's JSON reads back as the conversations it was written from; what it has no words for is left out by name."""

from __future__ import annotations

import json
from pathlib import Path

from registry.sample import conversation
from tests.curator.exports.conftest import Awkward, Export

ROLES = {"human": "user", "gpt": "assistant"}


def test_rows_read_back_in_the_order_of_the_mix(awkward: Awkward, exported: Export, tmp_path: Path) -> None:
    done = exported("llava")
    folder = tmp_path / "llava"
    rows = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    for row, wanted in zip(rows, awkward.without("system", "image"), strict=True):
        assert {name: row[name] for name in wanted.origin} == wanted.origin
        images = row.get("image", [])
        paths = [images] if isinstance(images, str) else images
        assert [(folder / path).read_bytes() for path in paths] == wanted.pictures
        assert isinstance(images, str) == (len(wanted.pictures) == 1), "a list where there are several"
        said = conversation([(ROLES[turn["from"]], turn["value"]) for turn in row["conversations"]])
        plain = [{**m, "content": [{k: v for k, v in p.items() if v is not None} for p in m["content"]]} for m in said]
        assert plain == wanted.messages
    [one] = [row for row in rows if row["source_id"] == "two-0" and row["copy"] == 0]
    assert one["conversations"][0]["value"] == "<image>\n<image>\nWhich?"
    assert done.rows == len(rows) == 16
    assert sum(done.notes.values()) == 8


def test_what_is_left_out_is_listed(awkward: Awkward, exported: Export, tmp_path: Path) -> None:
    done = exported("llava")
    assert done.left_out == {"has a system message": 2, "its text holds <image>": 2}
    listed = [json.loads(line) for line in (tmp_path / "llava" / "left_out.jsonl").read_text().splitlines()]
    gone = [row for row in awkward.rows if row.origin["source_id"].startswith(("system", "image"))]
    assert [row["position"] for row in listed] == [row.position for row in gone]
    assert [row["id"] for row in listed] == [row.origin["id"] for row in gone]
    assert {row["reason"] for row in listed} == set(done.left_out)
    page = (tmp_path / "llava" / "README.md").read_text()
    assert "2 rows: has a system message" in page
