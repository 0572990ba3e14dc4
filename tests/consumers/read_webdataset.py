"""webdataset reads the tars. Run by tests.consumers.load; imports nothing of ours."""

# The program is installed where this runs, not where it is checked.
# mypy: ignore-errors
from __future__ import annotations

import base64
import json
import sys
from importlib.metadata import version
from pathlib import Path

import webdataset

folder, rows = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
shards = [str(path) for path in sorted(folder.glob("train-*.tar"))]
raw = webdataset.WebDataset(shards, shardshuffle=False)
decoded = webdataset.WebDataset(shards, shardshuffle=False).decode("pil")
pictures = 0
for row, seen, wanted in zip(raw, decoded, rows, strict=True):
    assert int(row["__key__"]) == wanted["position"]
    assert seen["json"]["messages"] == wanted["messages"]
    assert {name: seen["json"][name] for name in wanted["origin"]} == wanted["origin"]
    names = sorted(name for name in row if name != "json" and not name.startswith("__"))
    assert [row[name] for name in names] == [base64.b64decode(data) for data in wanted["pictures"]]
    assert all(seen[name].size in ((40, 30), (16, 12)) for name in names)
    pictures += len(names)
print(json.dumps({"program": "webdataset", "version": version("webdataset"), "rows": len(rows), "pictures": pictures}))
