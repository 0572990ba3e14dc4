"""WebDataset tars: KEY.json with KEY.jpg, or with KEY.0.jpg, KEY.1.jpg and so on."""

from __future__ import annotations

from pathlib import Path

from curator.exporting import drafts
from curator.exporting.source import Source, Told
from curator.exporting.tar_shards import row, write_shards

VERSION = 1
SHARDED = True
LOADING = """```python
import glob

import webdataset

mix = webdataset.WebDataset(sorted(glob.glob("FOLDER/train-*.tar")), shardshuffle=False).decode("pil")
```

A key is the place of a row in the mix; `json` holds the conversation, its image parts stand for the pictures in
their order."""


def look(source: Source) -> Told:
    """What an export would hold."""
    return drafts.look(source, row)


def write(source: Source, folder: Path) -> Told:
    """``train-00000.tar`` and so on."""
    made = drafts.Drafts(source, row)
    write_shards(source, made, folder)
    return made.told
