"""Base checkpoints from random weights: reproducible, whole or not there, open in transformers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from registry.checkpoint import base_digest
from registry.errors import Refusal
from tests.trainers.conftest import Toy
from tests.trainers.toy import base_request, files_of, ignore, make_mix, picture
from trainers.base_build import build_base
from trainers.workshop import Workshop


def test_equal_settings_give_equal_bytes(toy: Toy, tmp_path: Path) -> None:
    mix, _ = make_mix(toy.home, "small", list(range(24)))
    first = build_base(toy.workshop, base_request(toy.home, tmp_path / "a", mix), ignore)
    second = build_base(Workshop(), base_request(toy.home, tmp_path / "b", mix), ignore)
    assert first == second == base_digest(tmp_path / "a")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_it_says_how_it_was_made(toy: Toy) -> None:
    built = json.loads((toy.base / "built.json").read_bytes())
    assert built["stages"][0]["mix"] == "toy"
    assert built["loss_at_end"]["1 all"] < 1.0
    assert built["shape"]["width"] == 32


def test_weights_are_not_overwritten(toy: Toy) -> None:
    with pytest.raises(Refusal, match="holds weights already"):
        build_base(toy.workshop, base_request(toy.home, toy.base, toy.mix[0]), ignore)


def test_a_failed_build_leaves_nothing(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="not there"):
        build_base(toy.workshop, base_request(toy.home, tmp_path / "never", "no-such-mix"), ignore)
    assert list(tmp_path.iterdir()) == []


def test_transformers_reads_it_with_its_own_processor(toy: Toy) -> None:
    processor = AutoProcessor.from_pretrained(toy.base)
    model = LlavaForConditionalGeneration.from_pretrained(toy.base, dtype="float32")
    image = Image.open(io.BytesIO(picture("blue")))
    ask = "USER: <image>\nWhat color is the square? ASSISTANT:"
    inputs = processor(images=image, text=ask, return_tensors="pt")
    ours = toy.checkpoint().tokens.encode_prompts([ask], 4)[0]
    assert inputs["input_ids"][0].tolist() == ours.ids.tolist()
    out = model.generate(**inputs, max_new_tokens=4, do_sample=False)[0, len(ours) :]
    assert processor.tokenizer.decode(out, skip_special_tokens=True).strip() in {"red", "green", "blue", "yellow"}
