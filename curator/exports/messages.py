"""JSON lines of messages in parts and a folder of pictures: TRL and chat templates, by datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.exporting import drafts
from curator.exporting.picture_folder import PictureFolder, Place
from curator.exporting.source import Sample, Source, Told, parts

VERSION = 1
SHARDED = False
DATA_FILE = "metadata.jsonl"
"""The name that `datasets` looks for beside pictures."""
LOADING = """```python
from datasets import load_dataset

mix = load_dataset("imagefolder", data_dir="FOLDER", split="train")
```

gives `messages` and `images`, decoded when they are asked for, as TRL takes them; rows have the order of the mix. A
mix of text alone is loaded as JSON: `load_dataset("json", data_files="FOLDER/metadata.jsonl", split="train")`."""
_PICTURES = "images_file_names"
"""`datasets` reads the files and calls the column ``images``."""


def row(sample: Sample, place: Place) -> dict[str, Any]:
    """A row, with its pictures where `place` puts them; nothing is lost."""
    messages = [{"role": message["role"], "content": parts(message)} for message in sample.messages]
    return {**sample.origin(), _PICTURES: list(map(place, sample.digests)), "messages": messages}


def look(source: Source) -> Told:
    """What an export would hold."""
    return drafts.look(source, lambda sample: row(sample, str))


def write(source: Source, folder: Path) -> Told:
    """``metadata.jsonl`` and ``images/``."""
    pictures = PictureFolder(source, folder)
    made = drafts.Drafts(source, lambda sample: row(sample, pictures.place))
    with source.whole(folder / DATA_FILE) as aside, aside.open("wb") as file:
        file.writelines(line for _, line in made)
    return made.told
