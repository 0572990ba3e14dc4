"""A home whose mix holds what is awkward to export: pictures anywhere, systems, marks in texts, no picture at all."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from curator.cli import cli
from curator.mix import build_mix
from registry.mix import MixReader
from registry.recipe import Recipe, RecipePart
from registry.sample import IMAGE_MARKER, arrow_schema, sample_id
from registry.store import Home
from tests.curator.data_home import picture, write_card, write_json, write_parquet

LITERAL = {"image": "write <image> here", "video": "a <video> tag", "img": "see <img>x.png</img>"}
"""source_id suffix -> caption that holds a mark, which is text and no picture."""

_MASK = "(image)"
_CHATS: list[tuple[str, list[int], list[tuple[str, str]]]] = [
    ("one", [1], [("human", "<image>\nWhat is it?"), ("gpt", "A dot.\n")]),
    ("two", [2, 3], [("human", "<image>\n<image>\nWhich?"), ("gpt", "Both."), ("human", "Sure?"), ("gpt", "Yes.")]),
    ("later", [4], [("human", "Hello"), ("gpt", "Hi"), ("human", "<image>\nAnd this?"), ("gpt", "Blue.")]),
    ("after", [1], [("human", "Look:\n\n<image>\nWell?"), ("gpt", "Fine\u2028indeed \U0001f600.")]),
    ("between", [5, 6], [("human", "From <image> to <image> what changed?"), ("gpt", "Much.")]),
    ("system", [7], [("system", "Be brief."), ("human", "<image>\nWhat?"), ("gpt", "Dot.")]),
    ("plain", [], [("human", "2 + 2?"), ("gpt", '4, "four"')]),
]


@dataclass(frozen=True)
class Wanted:
    """A row of the mix as every export has to give it back."""

    position: int
    origin: dict[str, Any]
    messages: list[dict[str, Any]]
    """With content parts, without empty fields."""
    pictures: list[bytes]


def make_awkward(root: Path, chats: int = 1) -> tuple[Home, Path]:
    """The home, and its mix of two copies of every row."""
    home = Home(root / "home")
    source = root / "source"
    rows = []
    for turn in range(chats):
        for name, numbers, said in _CHATS:
            turns = [{"from": who, "value": text} for who, text in said]
            turns[-1]["value"] += f" ({turn})" if turn else ""
            images = [f"{number + 10 * turn}.jpg" for number in numbers]
            row = {"id": f"{name}-{turn}", "conversations": turns}
            rows.append(row | ({"image": images} if images else {}))
            for number in numbers:
                path = source / "chats" / f"{number + 10 * turn}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture(number + 10 * turn, (40, 30), "JPEG"))
    write_json(source / "chats" / "chats.json", rows)
    write_card(home, "chats", format="llava_chat", licence={"annotations": "MIT"})
    captions = [
        {"id": name, "image": {"bytes": picture(90 + n), "path": None}, "caption": text.replace(IMAGE_MARKER, _MASK)}
        for n, (name, text) in enumerate(LITERAL.items())
    ]
    write_parquet(source / "literal" / "train.parquet", captions)
    write_card(home, "literal", format="caption_pairs", licence={"annotations": "CC0-1.0", "images": "CC0-1.0"})
    for name in ("chats", "literal"):
        done = CliRunner().invoke(cli, ["pull", name, "--from", str(source / name), "--home", str(home.path)])
        assert done.exit_code == 0, done.output
    _unmask(home)
    parts = [RecipePart(dataset=name, repeat=2) for name in ("chats", "literal")]
    mix, _ = build_mix(home, Recipe(name="awkward", seed=5, parts=parts))
    return home, mix


def _unmask(home: Home) -> None:
    """Put the literal mark into its sample: formats take every mark for a picture, captions of metadata do not."""
    for path in home.stage("samples").glob("literal@*/part-*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            for message in row["messages"]:
                for part in message["content"]:
                    part["text"] = part["text"] and part["text"].replace(_MASK, IMAGE_MARKER)
            row["id"] = sample_id(row["messages"], [image["sha256"] for image in row["images"]])
        pq.write_table(pa.Table.from_pylist(rows, arrow_schema()), path)


def wanted(home: Home, mix: Path) -> list[Wanted]:
    """Every row of the mix in its order, read from the samples and the store alone."""
    reader = MixReader(home, mix)
    rows = reader.rows()
    stored = {hashlib.sha256(data).hexdigest(): data for data in _stored(home)}
    sources = _source_ids(home)
    found = []
    for position, (row, messages) in enumerate(zip(rows.to_pylist(), reader.messages(rows), strict=True)):
        origin = {name: row[name] for name in ("id", "dataset", "part", "category", "copy")}
        origin["source_id"] = sources[row["folder"], row["file"], row["row"]]
        plain = [
            {
                "role": said["role"],
                "content": [{k: v for k, v in part.items() if v is not None} for part in said["content"]],
            }
            for said in json.loads(json.dumps(messages))
        ]
        found.append(Wanted(position, origin, plain, [stored[image["sha256"]] for image in row["images"]]))
    return found


def _stored(home: Home) -> list[bytes]:
    found = []
    for path in home.images.glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                found.append(file.read())
    return found


def _source_ids(home: Home) -> dict[tuple[str, str, int], str]:
    found = {}
    for path in home.stage("samples").glob("*/part-*.parquet"):
        for number, name in enumerate(pq.read_table(path, columns=["source_id"]).column(0).to_pylist()):
            found[path.parent.name, path.name, number] = name
    return found
