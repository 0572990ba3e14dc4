"""A data home with a toy world in it, written through the registry alone: squares of one colour and talk of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from registry.checkpoint import base_digest
from registry.identity import digest, order_key
from registry.images import ImageStore
from registry.mix import MIX_FILE, MixInfo, rows_schema
from registry.sample import Message, SampleImage, arrow_schema, make_message, sample_id
from registry.store import COST, Home, Record, dump_json
from registry.trial import Settings, Stage
from trainers.requests import BaseRequest, BaseSettings, BaseStage, Shape, TrainRequest

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "yellow": (230, 220, 20)}
WORDS = sorted({*COLOURS, "What", "color", "is", "the", "square", "yes", "no", "Is", "it", "two", "plus", "three"})


def picture(colour: str, size: int = 12, number: int = 0) -> bytes:
    """PNG bytes of a square; ``number`` makes pictures of one colour differ."""
    image = Image.new("RGB", (size, size), COLOURS[colour])
    image.putpixel((number % size, number // size % size), (0, 0, 0))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def talk(number: int) -> tuple[list[Message], str | None]:
    """Conversation and colour of the picture (None: text only) of one toy sample; all kinds take turns."""
    names = list(COLOURS)
    colour = names[order_key("toy", number) % len(names)]
    kind = number % 4
    if kind == 0:
        return [make_message("user", "What color is the square?", 1), make_message("assistant", colour)], colour
    if kind == 1:
        options = "\n".join(f"{letter}. {name}" for letter, name in zip("ABCD", names, strict=True))
        ask = f"What color is it?\n{options}\nAnswer with the option's letter from the given choices directly."
        return [
            make_message("user", ask, 1),
            make_message("assistant", f"{colour} {'ABCD'[names.index(colour)]}"),
        ], colour
    if kind == 2:
        asks = [make_message("user", "Is it red?\nPlease answer yes or no.", 1)]
        answers = [make_message("assistant", "yes" if colour == "red" else "no")]
        more = [make_message("user", "What color is it?"), make_message("assistant", colour)]
        return [*asks, *answers, *more], colour
    return [make_message("user", "two plus three"), make_message("assistant", f"yes {colour}")], None


def make_mix(
    home: Home,
    name: str,
    numbers: list[int],
    extra: list[list[Message]] | None = None,
    pictured: Sequence[int] = (),
) -> tuple[str, str]:
    """``(folder name, content digest)`` of a mix of the toy samples ``numbers`` and of text-only ``extra`` ones.

    ``pictured`` adds a sample for each of its numbers, with so many pictures.
    """
    rows = []
    store = ImageStore(home)
    with store.writer() as writer:
        for number in numbers:
            messages, colour = talk(number)
            images: list[SampleImage] = []
            if colour is not None:
                ref = writer.add(picture(colour, number=number))
                images.append({"sha256": ref.sha256, "width": ref.width, "height": ref.height})
            rows.append(_row(name, number, messages, images))
        for count in pictured:
            refs = [writer.add(picture("red", number=place)) for place in range(count)]
            shown: list[SampleImage] = [
                {"sha256": ref.sha256, "width": ref.width, "height": ref.height} for ref in refs
            ]
            asks = [make_message("user", "Is it red?", count), make_message("assistant", "yes")]
            rows.append(_row(name, 20_000 + count, asks, shown))
    rows += [_row(name, 10_000 + number, messages, []) for number, messages in enumerate(extra or [])]
    store.close()
    samples = home.folder("samples", f"{name}@1", digest([row["id"] for row in rows]))
    with home.making(samples, Record(kind="samples", name=name, digest=digest(name))) as work:
        pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema()), work / "part-00000.parquet")
    return _write_mix(home, name, samples.name, rows)


def _row(name: str, number: int, messages: list[Message], images: list[SampleImage]) -> dict[str, object]:
    return {
        "id": sample_id(messages, [image["sha256"] for image in images]),
        "dataset": name,
        "part": None,
        "source_id": str(number),
        "category": "general_qa",
        "images": images,
        "messages": messages,
    }


def _write_mix(home: Home, name: str, samples: str, rows: list[dict[str, object]]) -> tuple[str, str]:
    seen: dict[object, int] = {}
    references = []
    for number, row in enumerate(rows):
        copy = seen.get(row["id"], 0)
        seen[row["id"]] = copy + 1
        kept = {key: row[key] for key in ("id", "dataset", "part", "category", "images")}
        references.append({**kept, "copy": copy, "folder": samples, "file": "part-00000.parquet", "row": number})
    content = digest([[row["id"], row["copy"]] for row in references])
    info = MixInfo(
        name=name,
        recipe={},
        recipe_digest=content,
        content_digest=content,
        samples=len(rows),
        images=0,
        datasets={name: len(rows)},
        categories={"general_qa": len(rows)},
        parts=[],
    )
    folder = home.folder("mixes", name, content)
    with home.making(folder, Record(kind="mix", name=name, digest=content)) as work:
        (work / MIX_FILE).write_bytes(dump_json(info.model_dump(mode="json")))
        pq.write_table(pa.Table.from_pylist(references, schema=rows_schema()), work / "rows-00000.parquet")
    return folder.name, content


SMALL = Shape(
    image_size=12,
    patch_size=6,
    vision_width=16,
    vision_layers=1,
    vision_heads=2,
    vision_mlp=32,
    width=32,
    layers=2,
    heads=2,
    mlp=64,
)
"""A model that trains in a second: a picture is four tokens."""


def stage(name: str = "sft", **changes: Any) -> Stage:
    """A stage for the toy world that trains adapter and decoder."""
    settings: dict[str, Any] = {
        "name": name,
        "template": "demo",
        "trains": ["adapter", "llm"],
        "lr": {"adapter": 2e-3, "llm": 2e-3},
        "capacity": 160,
        "rows_per_step": 2,
        **changes,
    }
    return Stage(**settings)


def everything(rate: float = 3e-3) -> dict[str, Any]:
    """Changes to a stage that make all three modules learn."""
    return {"trains": ["vision", "adapter", "llm"], "lr": dict.fromkeys(("vision", "adapter", "llm"), rate)}


def base_request(home: Home, folder: Path, mix: str, epochs: int = 1) -> BaseRequest:
    """Build a toy base checkpoint on one mix."""
    part = BaseStage(stage=stage("all", **everything(), epochs=epochs, capacity=400, rows_per_step=1), mix=mix)
    settings = BaseSettings(shape=SMALL, words=WORDS, stages=[part])
    return BaseRequest(do="base", home=str(home.path), folder=str(folder), settings=settings)


def train_request(home: Home, base: Path, mix: tuple[str, str], name: str = "toy", **changes: Any) -> TrainRequest:
    """Train a toy trial; ``changes`` to its stage, or ``seed`` and ``init``."""
    identity = {key: changes.pop(key) for key in ("seed", "init") if key in changes}
    settings = Settings(stage=stage(**changes), base=base_digest(base), mix=mix[1], **identity)
    return TrainRequest(do="train", home=str(home.path), name=name, settings=settings, mix=mix[0], base=str(base))


def ignore(event: dict[str, Any]) -> None:
    """Listens to progress and does nothing."""


def files_of(folder: Path) -> dict[str, bytes]:
    """Relative path -> bytes of every file but the cost, which may differ between equal runs."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != COST)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
