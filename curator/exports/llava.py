"""LLaVA-1.5 JSON and a folder of pictures: LLaVA, LLaVA-NeXT and what reads their form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.exporting import drafts
from curator.exporting.picture_folder import PictureFolder, Place
from curator.exporting.source import IMAGE, Sample, Source, Told, Unfit, refuse_marks
from registry.sample import IMAGE_MARKER

VERSION = 1
SHARDED = False
DATA_FILE = "data.json"
LOADING = f"""`--data_path FOLDER/{DATA_FILE} --image_folder FOLDER` for LLaVA's trainer."""

SEVERAL = "has several pictures, as a list: LLaVA-NeXT reads them, LLaVA-1.5 reads one"
LATER = "shows a picture after text of its turn: LLaVA's trainer moves it to the start of the turn"
_SPEAKERS = {"user": "human", "assistant": "gpt"}


def row(sample: Sample, place: Place) -> dict[str, Any]:
    """A row, with its pictures where `place` puts them; ``Unfit`` where LLaVA has no words for it."""
    if any(message["role"] not in _SPEAKERS for message in sample.messages):
        raise Unfit("has a system message")
    refuse_marks(sample, [IMAGE_MARKER])
    pictures = list(map(place, sample.digests))
    image: dict[str, Any] = {}
    if pictures:
        image["image"] = pictures[0] if len(pictures) == 1 else pictures
    turns = zip(sample.messages, sample.marked(line_ends=True), strict=True)
    said = [{"from": _SPEAKERS[message["role"]], "value": text} for message, text in turns]
    return {**sample.origin(), **image, "conversations": said}


def notes(sample: Sample) -> list[str]:
    """What LLaVA's own trainers do with it."""
    late = any(IMAGE in _types_after_text(sample, number) for number in range(len(sample.messages)))
    return [SEVERAL] * (len(sample.digests) > 1) + [LATER] * late


def look(source: Source) -> Told:
    """What an export would hold."""
    return drafts.look(source, lambda sample: row(sample, str), notes)


def write(source: Source, folder: Path) -> Told:
    """``data.json`` and ``images/``."""
    pictures = PictureFolder(source, folder)
    made = drafts.Drafts(source, lambda sample: row(sample, pictures.place), notes)
    made.write_left_out(folder)
    with source.whole(folder / DATA_FILE) as aside, aside.open("wb") as file:
        before = b"[\n"
        for _, line in made:
            file.write(before + line.rstrip(b"\n"))
            before = b",\n"
        file.write(b"\n]\n" if made.told.rows else b"[]\n")
    return made.told


def _types_after_text(sample: Sample, number: int) -> list[str]:
    """Types of what follows the first text of a message."""
    types = [part["type"] for part in sample.messages[number]["content"]]
    return types[types.index("text") :] if "text" in types else []
