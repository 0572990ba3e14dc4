"""ms-swift loads every row and puts its pictures where the marks are. Run by tests.consumers.load."""

# The program is installed where this runs, not where it is checked.
# mypy: ignore-errors
from __future__ import annotations

import base64
import json
import sys
from importlib.metadata import version
from pathlib import Path

from swift.dataset import load_dataset
from swift.template.base import Template
from swift.template.template_inputs import StdTemplateInputs
from swift.template.vision_utils import load_image

folder, rows = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
loaded, _ = load_dataset(str(Path(folder) / "train.jsonl"), num_proc=1, strict=True)
for row, wanted in zip(loaded, rows, strict=True):
    images = row["images"] or []
    assert all(image["bytes"] is None for image in images)
    found = [(Path(folder) / image["path"]).read_bytes() for image in images]
    assert found == [base64.b64decode(text) for text in wanted["pictures"]]
    texts = ["".join(part.get("text", "<image>") for part in m["content"]) for m in wanted["messages"]]
    roles = [message["role"] for message in wanted["messages"]]
    assert [(m["role"], m["content"]) for m in row["messages"]] == list(zip(roles, texts, strict=True))
    inputs = StdTemplateInputs.from_dict(dict(row))
    assert [Template._load_image(image, True).size for image in inputs.images] == [
        load_image(data).size for data in found
    ]
    pieces, _ = Template._split_special_tokens([message["content"] for message in inputs.messages], [1.0] * len(texts))
    assert pieces.count("<image>") == len(images)
print(json.dumps({"program": "swift", "version": version("ms-swift"), "rows": len(rows)}))
