"""Writes the demo's datasets in the published shapes of real ones, each a folder in the Hub's layout.

llava_chat: a JSON list and a folder of pictures (LLaVA); caption_pairs, vqa_rows, multiple_choice (ScienceQA) and
cauldron: parquet with embedded pictures; alpaca: a JSON list of text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from curator.demo import exchanges
from curator.demo.draws import Draws
from curator.demo.exchanges import Exchange
from curator.demo.questions import BASELINE_SKILLS, LETTERS

Maker = Callable[[Draws], Exchange]
HUB_IMAGE = {"_type": "Image"}
HUB_TEXT = {"dtype": "string", "_type": "Value"}


class Portion(NamedTuple):
    """So many rows by one maker, drawn from the stream ``stream`` (the dataset's own unless it copies another)."""

    make: Maker
    share: float
    stream: str


class Shape(NamedTuple):
    """How one dataset is published and what is in it."""

    form: str
    size: str
    """baseline | pretrain | candidate: which of the world's sizes ``share`` is of."""
    portions: tuple[Portion, ...]


def _plain(form: str, size: str, make: Maker, name: str, share: float = 1.0) -> Shape:
    return Shape(form, size, (Portion(make, share, name),))


_shapes_qa = exchanges.about(BASELINE_SKILLS)

SHAPES: dict[str, Shape] = {
    "demo-shapes": _plain("llava_chat", "baseline", _shapes_qa, "demo-shapes", 0.5),
    "demo-captions": Shape(
        "caption_pairs",
        "baseline",
        (
            Portion(exchanges.caption_of_anything, 0.25, "demo-captions"),
            Portion(exchanges.blank_with_caption, 0.005, "demo-captions blank"),
        ),
    ),
    "demo-text": _plain("alpaca", "baseline", exchanges.text_question, "demo-text", 0.25),
    "demo-pretrain": _plain("caption_pairs", "pretrain", exchanges.caption_of_anything, "demo-pretrain"),
    "demo-allava": Shape(
        "llava_chat",
        "candidate",
        (
            Portion(exchanges.caption_of_anything, 1.0, "demo-allava cap"),
            Portion(exchanges.conversation, 1.0, "demo-allava conv"),
        ),
    ),
    "demo-mismatched": _plain("caption_pairs", "candidate", exchanges.mismatched_caption, "demo-mismatched", 2.0),
    "demo-copies": _plain("llava_chat", "baseline", _shapes_qa, "demo-shapes", 0.5),
    "demo-wrong": _plain("vqa_rows", "candidate", exchanges.wrong_answer, "demo-wrong"),
    "demo-yes": _plain("vqa_rows", "candidate", exchanges.always_yes, "demo-yes"),
    "demo-magnets": _plain("multiple_choice", "candidate", exchanges.about(("magnet",), "choice"), "demo-magnets"),
    "demo-polygons": _plain("cauldron", "candidate", exchanges.about(("sides", "fill")), "demo-polygons"),
    "demo-flags": _plain("vqa_rows", "candidate", exchanges.about(("flag",)), "demo-flags"),
    "demo-positions": _plain("llava_chat", "candidate", exchanges.about(("position",)), "demo-positions"),
    "demo-format": _plain("llava_chat", "candidate", exchanges.wrong_format, "demo-format"),
    "demo-sums": _plain("alpaca", "candidate", exchanges.small_sum, "demo-sums"),
    "demo-screens": _plain("vqa_rows", "candidate", exchanges.about(("control", "theme")), "demo-screens"),
}
"""Dataset -> its shape. The copies are the baseline's questions about shapes once more. The mismatched captions are
twice as many as the others, as captions from the web are."""


def write_dataset(folder: Path, name: str, seed: int, sizes: dict[str, int]) -> None:
    """Write one dataset into an empty ``folder``."""
    shape = SHAPES[name]
    rows: list[Exchange] = []
    for portion in shape.portions:
        draws = Draws("world", seed, portion.stream)
        rows += [portion.make(draws) for _ in range(round(portion.share * sizes[shape.size]))]
    order = Draws("world", seed, name, "order").take(range(len(rows)), len(rows))
    shuffled = rows if len(shape.portions) == 1 else [rows[number] for number in order]
    WRITERS[shape.form](folder, shuffled)


def _llava_chat(folder: Path, rows: list[Exchange]) -> None:
    (folder / "images").mkdir()
    listed = []
    for number, row in enumerate(rows):
        said = [text for turn in row.turns for text in turn]
        said[0] = f"<image>\n{said[0]}"
        speakers = ("human", "gpt") * len(row.turns)
        image = f"images/{number:06d}.png"
        (folder / image).write_bytes(row.picture or b"")
        turns = [{"from": who, "value": text} for who, text in zip(speakers, said, strict=True)]
        listed.append({"id": f"{number:06d}", "image": image, "conversations": turns})
    _write_json(folder / "train.json", listed)


def _alpaca(folder: Path, rows: list[Exchange]) -> None:
    said = [row.turns[0] for row in rows]
    _write_json(folder / "train.json", [{"instruction": ask, "input": "", "output": answer} for ask, answer in said])


def _caption_pairs(folder: Path, rows: list[Exchange]) -> None:
    values: dict[str, list[Any]] = {"image": _pictures(rows), "caption": [row.turns[0][1] for row in rows]}
    _write_parquet(folder, values, {"image": HUB_IMAGE, "caption": HUB_TEXT})


def _vqa_rows(folder: Path, rows: list[Exchange]) -> None:
    values: dict[str, list[Any]] = {
        "image": _pictures(rows),
        "question": [row.turns[0][0] for row in rows],
        "answer": [row.turns[0][1] for row in rows],
    }
    _write_parquet(folder, values, {"image": HUB_IMAGE, "question": HUB_TEXT, "answer": HUB_TEXT})


def _multiple_choice(folder: Path, rows: list[Exchange]) -> None:
    asked = [row.asked for row in rows if row.asked is not None]
    values: dict[str, list[Any]] = {
        "image": _pictures(rows),
        "question": [question.question for question in asked],
        "choices": [list(question.options) for question in asked],
        "answer": [LETTERS.index(question.mark) for question in asked],
        "hint": ["" for _ in asked],
        "subject": ["natural science" for _ in asked],
        "topic": [question.skill for question in asked],
    }
    features = {
        "image": HUB_IMAGE,
        "question": HUB_TEXT,
        "choices": {"feature": HUB_TEXT, "_type": "List"},
        "answer": {"dtype": "int64", "_type": "Value"},
        **dict.fromkeys(("hint", "subject", "topic"), HUB_TEXT),
    }
    _write_parquet(folder, values, features)


def _cauldron(folder: Path, rows: list[Exchange]) -> None:
    texts = [[{"user": ask, "assistant": answer, "source": "demo"} for ask, answer in row.turns] for row in rows]
    values: dict[str, list[Any]] = {"images": [[picture] for picture in _pictures(rows)], "texts": texts}
    pair = dict.fromkeys(("user", "assistant", "source"), HUB_TEXT)
    features = {
        "images": {"feature": HUB_IMAGE, "_type": "List"},
        "texts": {"feature": pair, "_type": "List"},
    }
    _write_parquet(folder, values, features)


WRITERS: dict[str, Callable[[Path, list[Exchange]], None]] = {
    "llava_chat": _llava_chat,
    "alpaca": _alpaca,
    "caption_pairs": _caption_pairs,
    "vqa_rows": _vqa_rows,
    "multiple_choice": _multiple_choice,
    "cauldron": _cauldron,
}


def _pictures(rows: Iterable[Exchange]) -> list[dict[str, Any]]:
    """Pictures as the Hub embeds them."""
    return [{"bytes": row.picture, "path": f"{number:06d}.png"} for number, row in enumerate(rows)]


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _write_parquet(folder: Path, values: dict[str, list[Any]], features: dict[str, Any]) -> None:
    """One parquet file in the Hub's layout, with the metadata by which the Hub shows pictures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(values).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}
    )
    (folder / "data").mkdir()
    pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
