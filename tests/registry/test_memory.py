"""The plan's sizes are those of the real classes, its parts add up, and each way of sharing saves what it should."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from registry.checkpoint import DEMO_FOLDER
from registry.errors import Refusal
from registry.memory import GIB, LIBRARIES, Memory, Sizes, in_gib, memory_of, sizes_of
from registry.scale import load_scale
from registry.trial import Runtime, Stage
from tests.speed.memory_plan import SHAPES

SEVEN, LARGE = SHAPES["LLaVA-1.5 7B"], SHAPES["Yi 34B"]
SFT = Stage(
    name="sft",
    template="plain",
    trains=["adapter", "llm"],
    lr={"adapter": 1e-5, "llm": 1e-5},
    capacity=4096,
    rows_per_step=32,
    precision="bf16",
)


def plan(sizes: Sizes, **runtime: object) -> Memory:
    return memory_of(sizes, SFT, Runtime.model_validate({"micro_rows": 1, "recompute": True, **runtime}))


def test_sizes_are_those_of_the_weights() -> None:
    found = sizes_of(DEMO_FOLDER)
    assert (found.layers, found.width, found.mlp, found.vision_layers) == (4, 96, 288, 3)
    assert found.llm + found.vision + found.adapter == pytest.approx(0.7e6, rel=0.1)
    assert found.rest == 2 * found.vocabulary * found.width + found.width
    assert found.layers_total == 4 * (4 * 96 * 96 + 3 * 96 + 3 * 96 * 288 + 2 * 96)


def test_published_sizes() -> None:
    assert SEVEN.llm == pytest.approx(6.74e9, rel=0.01)
    assert LARGE.llm == pytest.approx(34.4e9, rel=0.01)
    assert SEVEN.vision == pytest.approx(0.304e9, rel=0.01)


def test_weights_gradients_and_moments_are_exact_in_one_process() -> None:
    found = plan(SEVEN)
    learned = SEVEN.llm + SEVEN.adapter
    assert found.weights == 4 * (learned + SEVEN.vision)
    assert (found.gradients, found.moments) == (4 * learned, 8 * learned)
    frozen = memory_of(SEVEN, SFT.model_copy(update={"trains": ["adapter"], "lr": {"adapter": 1e-3}}), Runtime())
    assert frozen.moments == 8 * SEVEN.adapter


def test_sharing_divides() -> None:
    one, ddp = plan(SEVEN), plan(SEVEN, processes=8, parallel="ddp")
    fsdp, both = plan(SEVEN, processes=8, parallel="fsdp"), plan(SEVEN, processes=8, parallel="fsdp+tp", tensor=2)
    assert ddp.moments == one.moments
    assert fsdp.moments == pytest.approx(one.moments / 8)
    assert both.moments == pytest.approx((SEVEN.layers_total / 2 + SEVEN.rest + SEVEN.adapter) * 8 / 4)
    assert both.activations < fsdp.activations
    assert plan(SEVEN, recompute=False).activations > 5 * one.activations
    assert plan(SEVEN, micro_rows=4).activations == 4 * one.activations


def test_a_34b_fits_eight_cards_of_80_gib_and_not_without_sharing() -> None:
    """What docs/decisions.md says of pipelines rests on this."""
    assert plan(LARGE, processes=8, parallel="ddp").total > 500 * GIB
    assert plan(LARGE, processes=8, parallel="fsdp").total > 75 * GIB
    assert plan(LARGE, processes=8, nodes=2, parallel="fsdp").total < 50 * GIB
    assert plan(LARGE, processes=8, nodes=2, parallel="fsdp+tp", tensor=8).total < 60 * GIB


def test_it_adds_up() -> None:
    memory = Memory(1, 2, 3, 4, 5, 6)
    assert memory.total == 21 + LIBRARIES
    assert in_gib(replace(memory, weights=GIB))["weights"] == 1.0
    parts = {"weights", "gradients", "moments", "gathered", "activations", "loss", "libraries", "total"}
    assert set(in_gib(memory)) == parts


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="its sizes cannot be read"):
        sizes_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {}, "vision_config": {}}))
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 16)
    with pytest.raises(Refusal, match="has a header of"):
        sizes_of(tmp_path)


def test_the_demo_is_small() -> None:
    scale = load_scale("demo")
    assert memory_of(sizes_of(DEMO_FOLDER), scale.sft, Runtime()).total - LIBRARIES < 0.2 * GIB
