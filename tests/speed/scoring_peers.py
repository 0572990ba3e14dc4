"""Asks the questions of a table with another tool's own loop, and says what it took. Needs nothing of ours.

``PYTHON -m … scoring_peers.py TOOL FOLDER TABLE``: each line on standard input is one round, answered by a JSON line
``{"cpu": seconds, "replies": {index: reply}}``. Models are loaded before the first round. TOOL is

* ``hf``: transformers' generate, a row at a time, pictures decoded in memory;
* ``lmms-eval``: its model ``llava_hf`` (0.7.3), which takes one row at a time;
* ``vlmevalkit``: its loop ``infer_data`` and its multiple-choice data set (ms-vlmeval 0.0.20), around a model that
  calls transformers' generate. Its modules for other models and data sets are not imported: they want torchvision.
"""

from __future__ import annotations

import base64
import csv
import importlib.machinery
import importlib.util
import io
import json
import os
import shutil
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

REQUEST = "Answer with the option's letter from the given choices directly."
TOKENS = 16
Replies = dict[str, str]


def read_rows(table: Path) -> list[dict[str, str]]:
    """The cells of every row."""
    csv.field_size_limit(1 << 30)
    with table.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def asked(row: Any) -> str:
    """LLaVA's form of a multiple-choice question."""
    return "\n".join([row["question"], *(f"{letter}. {row[letter]}" for letter in "ABCD"), REQUEST])


class Generating:
    """A LLaVA of transformers and its processor."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoProcessor, LlavaForConditionalGeneration

        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()

    def reply(self, text: str, image: Image.Image) -> str:
        """To one question."""
        messages = [{"role": "user", "content": f"<image>\n{text}"}]
        prompt = self.processor.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = self.processor(images=image, text=prompt, return_tensors="pt")
        with torch.inference_mode():
            out = self.model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
        found = self.processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return str(found).strip()


def hf(folder: Path, table: Path) -> Callable[[], Replies]:
    """Transformers alone."""
    model = Generating(folder)

    def once() -> Replies:
        found = {}
        for row in read_rows(table):
            image = Image.open(io.BytesIO(base64.b64decode(row["image"]))).convert("RGB")
            found[row["index"]] = model.reply(asked(row), image)
        return found

    return once


def lmms_eval(folder: Path, table: Path) -> Callable[[], Replies]:
    """Its documents hold the picture files, as its data sets do; ``doc_to_visual`` decodes one."""
    instance = importlib.import_module("lmms_eval.api.instance").Instance
    model = importlib.import_module("lmms_eval.models.simple.llava_hf").LlavaHf(
        pretrained=str(folder), device="cpu", device_map="cpu", dtype="float32", batch_size=1
    )
    docs: list[dict[str, Any]] = [row | {"file": base64.b64decode(row["image"])} for row in read_rows(table)]
    model.task_dict["speed"] = {"test": docs}

    def visual(doc: Any) -> list[Image.Image]:
        return [Image.open(io.BytesIO(doc["file"])).convert("RGB")]

    def once() -> Replies:
        requests = [
            instance(
                request_type="generate_until",
                arguments=(asked(doc), {"max_new_tokens": TOKENS}, visual, number, "speed", "test"),
                idx=0,
                metadata={"task": "speed", "doc_id": number, "repeats": 1},
            )
            for number, doc in enumerate(docs)
        ]
        said = model.generate_until(requests)
        return {doc["index"]: reply.strip() for doc, reply in zip(docs, said, strict=True)}

    return once


def vlmevalkit(folder: Path, table: Path) -> Callable[[], Replies]:
    """Its own loop: a row at a time, its picture written as PNG and read back, replies pickled every ten rows."""
    spec = importlib.util.find_spec("vlmeval")
    root = Path((spec.submodule_search_locations or [""])[0]) if spec else Path()
    for name, place in (("vlmeval", root), ("vlmeval.dataset", root / "dataset")):
        package = types.ModuleType(name)
        package.__path__ = [str(place)]
        package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        sys.modules[name] = package
    known: Any = types.ModuleType("vlmeval.config")
    known.supported_VLM = {}
    sys.modules["vlmeval.config"] = known
    data = Path(tempfile.mkdtemp())
    os.environ["LMUData"] = str(data)  # noqa: SIM112 - its name
    shutil.copyfile(table, data / "MMBench_speed.tsv")
    dataset = importlib.import_module("vlmeval.dataset.image_mcq").ImageMCQDataset
    infer_data = importlib.import_module("vlmeval.inference").infer_data
    load = importlib.import_module("vlmeval.smp").load

    class Wrapped:
        """What its loop asks of a model."""

        def __init__(self) -> None:
            self._inner = Generating(folder)
            self.dump_image: Any = None

        def set_dump_image(self, act: Any) -> None:
            self.dump_image = act

        def use_custom_prompt(self, _: str) -> bool:
            return True

        def build_prompt(self, line: Any, dataset: str) -> list[dict[str, str]]:
            assert dataset
            paths = [{"type": "image", "value": path} for path in self.dump_image(line)]
            return [*paths, {"type": "text", "value": asked(line)}]

        def generate(self, message: list[dict[str, str]], dataset: str) -> str:
            assert dataset
            with Image.open(message[0]["value"]) as image:
                return self._inner.reply(message[1]["value"], image.convert("RGB"))

    model = Wrapped()

    def once() -> Replies:
        shutil.rmtree(data / "images", ignore_errors=True)
        out = data / "replies.pkl"
        out.unlink(missing_ok=True)
        infer_data(model, "tiny", str(data), dataset("MMBench_speed"), str(out))
        return {str(index): reply for index, reply in load(str(out)).items()}

    return once


TOOLS = {"hf": hf, "lmms-eval": lmms_eval, "vlmevalkit": vlmevalkit}


def main() -> None:
    """Serve rounds."""
    torch.set_num_threads(1)
    out, sys.stdout = sys.stdout, sys.stderr
    tool, folder, table = sys.argv[1:]
    once = TOOLS[tool](Path(folder), Path(table))
    for _ in sys.stdin:
        before = time.process_time()
        replies = once()
        cpu = time.process_time() - before
        out.write(json.dumps({"cpu": cpu, "replies": replies}) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
