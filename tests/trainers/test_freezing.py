"""What a stage freezes stays as it was to the bit, whatever else learns; rates follow the formula, group by group."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook
from transformers import LlavaForConditionalGeneration

from registry.checkpoint import CHECKPOINT
from registry.store import read_record
from registry.trial import MODULES, Lora
from tests.trainers.conftest import Toy
from tests.trainers.toy import ignore, make_mix, train_request
from trainers.model import module_of
from trainers.train import SETTINGS, train
from trainers.workshop import Workshop

RATES = {"vision": 2e-3, "adapter": 2e-2, "llm": 5e-3}
COMBINATIONS = [
    ("vision",),
    ("adapter",),
    ("llm",),
    ("vision", "adapter"),
    ("vision", "llm"),
    ("adapter", "llm"),
    ("vision", "adapter", "llm"),
]
LORA = Lora(r=2, alpha=4).model_dump()


def run(toy: Toy, trains: tuple[str, ...], **changes: Any) -> Path:
    mix = make_mix(toy.home, "few", list(range(24)))
    rates = {module: RATES[module] for module in trains}
    name = "+".join([*trains, *changes])
    request = train_request(toy.home, toy.base, mix, name, trains=list(trains), lr=rates, **changes)
    return train(Workshop(), request, ignore)[0]


def changed(toy: Toy, folder: Path) -> set[str]:
    before = toy.checkpoint().model.state_dict()
    after = LlavaForConditionalGeneration.from_pretrained(folder / CHECKPOINT).state_dict()
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("trains", COMBINATIONS, ids="+".join)
def test_frozen_modules_are_unchanged_to_the_bit_and_the_others_learn(
    toy: Toy, trains: tuple[str, ...], precision: str
) -> None:
    folder = run(toy, trains, precision=precision)
    assert {module_of(name) for name in changed(toy, folder)} == set(trains)
    plan = json.loads((folder / SETTINGS).read_bytes())["modules"]
    for module in MODULES:
        sizes = [p.numel() for n, p in toy.checkpoint().model.named_parameters() if module_of(n) == module]
        learns = sum(sizes) if module in trains else 0
        assert plan[module] == {"parameters": sum(sizes), "learning": learns, "trained": module in trains}


@pytest.mark.parametrize("trains", [("llm",), ("adapter", "llm"), ("vision", "adapter", "llm")], ids="+".join)
def test_with_lora_only_linear_layers_of_the_decoder_change(toy: Toy, trains: tuple[str, ...]) -> None:
    found = changed(toy, run(toy, trains, lora=LORA))
    assert {module_of(name) for name in found} == set(trains)
    of_decoder = {name for name in found if module_of(name) == "llm"}
    assert of_decoder
    assert all(".layers." in name and name.endswith("_proj.weight") for name in of_decoder)


@pytest.mark.parametrize(
    ("trains", "changes"),
    [
        (("adapter",), {}),
        (("vision", "adapter"), {}),
        (("adapter", "llm"), {"lora": LORA}),
        (("adapter", "llm"), {"weight_decay": 0.1, "epochs": 2}),
    ],
    ids=str,
)
def test_rates_per_group_and_step_follow_the_formula(
    toy: Toy, trains: tuple[str, ...], changes: dict[str, Any]
) -> None:
    seen: list[list[tuple[float, float]]] = []

    def note(optimizer: Optimizer, arguments: object, options: object) -> None:
        seen.append([(group["lr"], group["weight_decay"]) for group in optimizer.param_groups])

    hook = register_optimizer_step_pre_hook(note)
    try:
        folder = run(toy, trains, warmup_ratio=0.25, seed=9, capacity=64, rows_per_step=1, **changes)
    finally:
        hook.remove()
    steps = len(seen)
    warm = math.ceil(steps * 0.25)
    assert 1 < warm < steps
    decays = (changes.get("weight_decay", 0.0), 0.0) if changes.get("weight_decay") else (0.0,)
    for step, groups in enumerate(seen):
        share = (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2
        expected = [(RATES[module] * share, decay) for module in trains for decay in decays]
        assert groups == [pytest.approx(pair, rel=1e-12) for pair in expected]
    assert read_record(folder).settings["stage"]["lr"] == {module: RATES[module] for module in trains}
