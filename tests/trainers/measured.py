"""Samples to measure: files of a samples folder with pictures in the store of a home, and requests to measure them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from registry.images import ImageStore
from registry.sample import Message, SampleImage, arrow_schema, make_message, sample_id
from registry.store import Home
from tests.trainers.toy import ignore
from trainers.measure import measure_files
from trainers.requests import MeasureRequest, SampleFile
from trainers.workshop import Workshop

COLUMNS = {
    "similarity": {"similarity": "float32"},
    "answer_loss": {"answer_loss": "float32", "answer_tokens": "int32"},
    "picture_gain": {"picture_gain": "float32", "loss_without_picture": "float32"},
}
Row = dict[str, Any]
ASKED = ("What color is the square?", "Is it red?\nPlease answer yes or no.", "Write a short caption for the image.")
SAID = ("red", "yes", "a small blue square on white", "Nothing that any of us had ever seen before, and much of it.")


def noise(number: int, size: tuple[int, int] = (20, 16)) -> bytes:
    """PNG bytes of a picture like no other."""
    pixels = np.random.default_rng(number).integers(0, 255, (size[1] // 4 + 1, size[0] // 4 + 1, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def make_rows(home: Home, count: int) -> list[Row]:
    """Samples of all kinds: one picture (often shared), two, none; one turn, two; short answers and long ones."""
    with ImageStore(home).writer() as writer:
        refs = [writer.add(noise(number, (20 + number, 16))) for number in range(max(count // 3, 2))]
    rows = []
    for number in range(count):
        chosen = {0: (), 1: (number % len(refs), (number + 1) % len(refs))}.get(number % 5, (number % len(refs),))
        images = [refs[one] for one in chosen]
        messages = [make_message("user", ASKED[number % 3], len(images)), make_message("assistant", SAID[number % 4])]
        if number % 7 == 3:
            messages += [make_message("user", ASKED[0]), make_message("assistant", f"{SAID[2]} {number}")]
        rows.append(row_of(messages, [{"sha256": r.sha256, "width": r.width, "height": r.height} for r in images]))
    return rows


def row_of(messages: list[Message], images: list[SampleImage]) -> Row:
    """A row of the samples schema."""
    name = sample_id(messages, [image["sha256"] for image in images])
    told = {"dataset": "x", "part": "all", "source_id": "1", "category": "general_qa"}
    return {"id": name, "images": images, "messages": messages, **told}


def write_files(folder: Path, rows: Sequence[Row], sizes: Sequence[int]) -> list[Path]:
    """The rows in files of these sizes."""
    folder.mkdir(parents=True)
    paths, start = [], 0
    for number, size in enumerate(sizes):
        paths.append(folder / f"part-{number:05d}.parquet")
        pq.write_table(pa.Table.from_pylist(list(rows[start : start + size]), schema=arrow_schema()), paths[-1])
        start += size
    assert start == len(rows)
    return paths


def measured(
    home: Home, name: str, checkpoint: Path, sources: Sequence[Path], out: Path, template: str | None = None
) -> bool:
    """Measure files into files of the same names."""
    request = MeasureRequest.model_validate(
        {
            "do": "measure",
            "home": str(home.path),
            "filter": name,
            "columns": COLUMNS[name],
            "checkpoint": str(checkpoint),
            "template": template,
            "files": [SampleFile(source=str(path), target=str(out / path.name)) for path in sources],
        }
    )
    return measure_files(Workshop(), request, ignore)


def columns_of(out: Path) -> dict[str, list[Any]]:
    """All files of a folder, one after the other."""
    tables = [pq.read_table(path) for path in sorted(out.glob("part-*.parquet"))]
    found: dict[str, list[Any]] = pa.concat_tables(tables).to_pydict()
    return found
