"""Megatron-Energon's loader reads every row, and its own preparation finds the indexes as ours are."""

# The program is installed where this runs, not where it is checked.
# mypy: ignore-errors
from __future__ import annotations

import base64
import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from megatron.energon import Cooker, DefaultTaskEncoder, WorkerConfig, get_loader, get_train_dataset, stateless
from megatron.energon.epathlib import EPath
from megatron.energon.flavors.webdataset.prepare import WebdatasetPreparator

folder, rows = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))


@stateless
def cook(sample):
    return dict(sample)


class Encoder(DefaultTaskEncoder):
    decoder = None
    cookers = (Cooker(cook),)

    def batch(self, samples):
        return samples


dataset = get_train_dataset(
    str(folder),
    worker_config=WorkerConfig(rank=0, world_size=1, num_workers=0),
    batch_size=1,
    shuffle_buffer_size=None,
    max_samples_per_sequence=None,
    task_encoder=Encoder(),
    repeat=False,
)
found = sorted((sample for batch in get_loader(dataset) for sample in batch), key=lambda sample: sample["__key__"])
for sample, wanted in zip(found, rows, strict=True):
    said = json.loads(sample["json"])
    assert {name: said[name] for name in wanted["origin"]} == wanted["origin"]
    assert said["messages"] == wanted["messages"]
    names = sorted(name for name in sample if name != "json" and not name.startswith("__"))
    assert [sample[name] for name in names] == [base64.b64decode(text) for text in wanted["pictures"]]

again = Path("again")
shutil.copytree(folder, again, ignore=shutil.ignore_patterns("*.idx", ".nv-meta"))
tars = sorted(path.name for path in again.glob("*.tar"))
WebdatasetPreparator.prepare_dataset(
    EPath(again.resolve()), tars, split_parts_ratio=[("train", 1.0)], progress_fn=lambda items, _n: items, workers=1
)
for tar in tars:
    name = tar.replace(".tar", ".tar.idx")
    assert (again / name).read_bytes() == (folder / name).read_bytes()
ours, theirs = (json.loads((one / ".nv-meta" / ".info.json").read_text())["shard_counts"] for one in (folder, again))
assert ours == theirs
print(
    json.dumps({"program": "energon", "version": version("megatron-energon"), "rows": len(found), "shards": len(tars)})
)
