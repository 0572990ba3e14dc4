"""TRL prepares every row as its vision collator does. Run by tests.consumers.load; imports nothing of ours."""

# The program is installed where this runs, not where it is checked.
# mypy: ignore-errors
from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import datasets
import trl
from PIL import Image
from trl.data_utils import is_conversational, prepare_multimodal_messages

folder, rows = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
loaded = datasets.load_dataset("imagefolder", data_dir=folder, split="train", cache_dir="cache")
for row, wanted in zip(loaded, rows, strict=True):
    assert is_conversational(row)
    messages = prepare_multimodal_messages(row["messages"], images=row["images"])
    seen = [part["image"] for message in messages for part in message["content"] if part["type"] == "image"]
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in wanted["pictures"]]
    assert [image.tobytes() for image in seen] == [image.tobytes() for image in pictures]
    for message, there in zip(messages, wanted["messages"], strict=True):
        assert message["role"] == there["role"]
        parts = [
            {"type": part["type"]} | ({"text": part["text"]} if part["type"] == "text" else {})
            for part in message["content"]
        ]
        assert parts == there["content"]
print(json.dumps({"program": "trl", "version": trl.__version__, "datasets": datasets.__version__, "rows": len(rows)}))
