"""WebDataset tars with the metadata and the indexes of Megatron-Energon."""

from __future__ import annotations

import struct
from pathlib import Path

from curator.exporting import drafts
from curator.exporting.source import Source, Told
from curator.exporting.tar_shards import row, write_shards
from registry.store import dump_json

VERSION = 1
SHARDED = True
META = ".nv-meta"
LOADING = """```python
from megatron.energon import WorkerConfig, get_loader, get_train_dataset

dataset = get_train_dataset("FOLDER", task_encoder=…, worker_config=WorkerConfig.default_worker_config(), …)
```

The samples are crude: `json` holds the conversation, `jpg`, `png`, `0.jpg` … the pictures in the order of its image
parts, for a cooker of your task encoder. What joins datasets by key wants `index.sqlite` too: `energon prepare`."""
_DATASET = {"__module__": "megatron.energon", "__class__": "CrudeWebdataset"}


def look(source: Source) -> Told:
    """What an export would hold."""
    return drafts.look(source, row)


def write(source: Source, folder: Path) -> Told:
    """Tars, an index beside each, and ``.nv-meta``."""
    made = drafts.Drafts(source, row)
    shards = write_shards(source, made, folder)
    for shard in shards:
        with source.whole((folder / shard.name).with_suffix(".tar.idx")) as aside:
            aside.write_bytes(struct.pack(f"<{len(shard.starts) + 1}Q", *shard.starts, shard.end))
    meta = folder / META
    meta.mkdir(exist_ok=True)
    counts = {shard.name: len(shard.starts) for shard in shards}
    (meta / ".info.json").write_bytes(dump_json({"shard_counts": counts}))
    split = {"split_parts": {"train": list(counts), "val": [], "test": []}, "exclude": []}  # a mix is for training
    for name, described in (("dataset.yaml", _DATASET), ("split.yaml", split)):
        (meta / name).write_bytes(dump_json(described))  # JSON is YAML too
    return made.told
