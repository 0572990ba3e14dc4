"""WebDataset tars with the metadata and the indexes of Megatron-Energon."""

from __future__ import annotations

import struct
from pathlib import Path

from curator.exporting import drafts
from curator.exporting.source import Source, Told
from curator.exporting.tar_shards import TarShard, row, write_shards
from registry.store import dump_json, whole_file

VERSION = 1
SHARDED = True
META = ".nv-meta"
LOADING = """```python
from megatron.energon import WorkerConfig, get_loader, get_train_dataset

dataset = get_train_dataset("FOLDER", task_encoder=…, worker_config=WorkerConfig.default_worker_config(), …)
```

The samples are crude: `json` holds the conversation, `jpg`, `png`, `0.jpg` … the pictures in the order of its image
parts, for a cooker of your task encoder. What joins datasets by key wants `index.sqlite` too: `energon prepare`."""
_DATASET = "__module__: megatron.energon\n__class__: CrudeWebdataset\n"


def look(source: Source) -> Told:
    """What an export would hold."""
    return drafts.look(source, row)


def write(source: Source, folder: Path) -> Told:
    """Tars, an index beside each, and ``.nv-meta``."""
    made = drafts.Drafts(source, row)
    shards = write_shards(source, made, folder)
    for shard in shards:
        with whole_file((folder / shard.name).with_suffix(".tar.idx")) as aside:
            aside.write_bytes(struct.pack(f"<{len(shard.starts) + 1}Q", *shard.starts, shard.end))
    meta = folder / META
    meta.mkdir(exist_ok=True)
    counts = {shard.name: len(shard.starts) for shard in shards}
    (meta / ".info.json").write_bytes(dump_json({"shard_counts": counts}))
    (meta / "dataset.yaml").write_text(_DATASET)
    (meta / "split.yaml").write_text(_split(shards))
    return made.told


def _split(shards: list[TarShard]) -> str:
    """Everything is for training: a mix has no other part."""
    names = "".join(f"\n  - {shard.name}" for shard in shards)
    return f"exclude: []\nsplit_parts:\n  train:{names}\n  val: []\n  test: []\n"
