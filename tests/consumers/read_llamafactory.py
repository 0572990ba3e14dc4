"""LLaMA-Factory finds, converts and checks every row. Run by tests.consumers.load; imports nothing of ours."""

# The program is installed where this runs, not where it is checked.
# mypy: ignore-errors
from __future__ import annotations

import base64
import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from transformers import TrainingArguments

if find_spec("torchaudio") is None:  # an import wants it; it is used for sound alone
    sys.modules["torchaudio"] = ModuleType("torchaudio")

from llamafactory.data.loader import _load_single_dataset
from llamafactory.data.mm_plugin import MMPluginMixin
from llamafactory.data.parser import get_dataset_list
from llamafactory.hparams import DataArguments, ModelArguments

folder, rows = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
[described] = get_dataset_list(["mix"], folder)
model = ModelArguments(model_name_or_path="none", cache_dir="cache")
data = DataArguments(dataset="mix", dataset_dir=folder, media_dir=folder)
training = TrainingArguments(output_dir="out", use_cpu=True)
loaded = _load_single_dataset(described, model, data, training)
for row, wanted in zip(loaded, rows, strict=True):
    images = row["_images"] or []
    assert [Path(path).read_bytes() for path in images] == [base64.b64decode(text) for text in wanted["pictures"]]
    said = row["_prompt"] + row["_response"]
    MMPluginMixin._validate_messages(None, said, images, [], [])
    system = [{"role": "system", "content": row["_system"]}] if row["_system"] else []
    texts = ["".join(part.get("text", "<image>") for part in m["content"]) for m in wanted["messages"]]
    roles = [message["role"] for message in wanted["messages"]]
    assert [(m["role"], m["content"]) for m in system + said] == list(zip(roles, texts, strict=True))
print(json.dumps({"program": "llamafactory", "version": version("llamafactory"), "rows": len(rows)}))
