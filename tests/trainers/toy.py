"""A data home with a toy world in it, written through the registry alone: squares of one colour, and what is said of them."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from registry.identity import digest, order_key
from registry.images import ImageStore
from registry.mix import MIX_FILE, MixInfo, rows_schema
from registry.sample import Message, SampleImage, arrow_schema, make_message, sample_id
from registry.store import Home, Record, dump_json

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "yellow": (230, 220, 20)}
WORDS = sorted({*COLOURS, *"What color is the square ? A yes no Is it two plus three".split()} - {"?"})


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


def make_mix(home: Home, name: str, numbers: list[int], extra: list[list[Message]] | None = None) -> tuple[str, str]:
    """``(folder name, content digest)`` of a mix of the toy samples ``numbers`` and of text-only ``extra`` ones."""
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


def mixes_in(home: Home) -> list[Path]:
    """Finished mixes."""
    return home.finished("mixes")
