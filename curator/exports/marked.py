"""JSON lines of messages with <image> in the text and a folder of pictures: LLaMA-Factory, ms-swift.

LLaMA-Factory reads them by the ``dataset_info.json`` beside them (sharegpt formatting), ms-swift as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.exporting import drafts
from curator.exporting.picture_folder import PictureFolder, Place
from curator.exporting.source import IMAGE, Sample, Source, Told, Unfit, refuse_marks
from registry.sample import IMAGE_MARKER
from registry.store import dump_json

VERSION = 1
SHARDED = False
DATA_FILE = "train.jsonl"
NAME = "mix"
"""What the data is called in ``dataset_info.json``."""
LOADING = f"""* LLaMA-Factory: `dataset_dir: FOLDER`, `media_dir: FOLDER`, `dataset: {NAME}`
* ms-swift: `ROOT_IMAGE_DIR=FOLDER swift sft --dataset FOLDER/{DATA_FILE}`"""
MARKS = (IMAGE_MARKER, "<video>", "<audio>", "<img>")
"""What one of the readers takes for something that is not text."""


def row(sample: Sample, place: Place) -> dict[str, Any]:
    """A row, with its pictures where `place` puts them; ``Unfit`` where a reader would see another row."""
    refuse_marks(sample, MARKS)
    first = sample.messages[0]
    if first["role"] == "system" and any(part["type"] == IMAGE for part in first["content"]):
        raise Unfit("shows a picture in a system message")
    turns = zip(sample.messages, sample.marked(line_ends=False), strict=True)
    messages = [{"role": message["role"], "content": text} for message, text in turns]
    return {**sample.origin(), "images": list(map(place, sample.digests)), "messages": messages}


def look(source: Source) -> Told:
    """What an export would hold."""
    return drafts.look(source, lambda sample: row(sample, str))


def write(source: Source, folder: Path) -> Told:
    """``train.jsonl``, ``dataset_info.json`` and ``images/``."""
    pictures = PictureFolder(source, folder)
    made = drafts.Drafts(source, lambda sample: row(sample, pictures.place))
    made.write_left_out(folder)
    with source.whole(folder / DATA_FILE) as aside, aside.open("wb") as file:
        file.writelines(line for _, line in made)
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    described = {
        "file_name": DATA_FILE,
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {**tags, "system_tag": "system"},
    }
    (folder / "dataset_info.json").write_bytes(dump_json({NAME: described}))
    return made.told
