"""`datasets` reads the parquet. Run by tests.consumers.load; imports nothing of ours."""

# The program is installed where this runs, not where it is checked.
# mypy: ignore-errors
from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import datasets

folder, rows = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
loaded = datasets.load_dataset(folder, split="train", cache_dir="cache")
assert all(image.size in ((40, 30), (16, 12)) for row in loaded for image in row["images"])
plain = loaded.cast_column("images", datasets.List(datasets.Image(decode=False)))
for row, wanted in zip(sorted(plain, key=lambda row: row["position"]), rows, strict=True):
    assert {name: row[name] for name in wanted["origin"]} == wanted["origin"]
    assert [image["bytes"] for image in row["images"]] == [base64.b64decode(data) for data in wanted["pictures"]]
    content = [[{k: v for k, v in part.items() if v is not None} for part in m["content"]] for m in row["messages"]]
    assert content == [message["content"] for message in wanted["messages"]]
print(json.dumps({"program": "datasets", "version": datasets.__version__, "rows": len(rows)}))
