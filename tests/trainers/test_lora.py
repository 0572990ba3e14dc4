"""Low-rank adapters: only they learn, plain peft reads what is saved, and merging gives the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from registry.checkpoint import CHECKPOINT
from registry.errors import Refusal
from registry.store import read_record
from registry.trial import Lora, Stage
from tests.trainers.conftest import Toy
from tests.trainers.toy import files_of, ignore, stage, train_request
from trainers.loop import make_optimizer
from trainers.lora import LORA, add_lora, merge_lora
from trainers.model import is_added, load_checkpoint, module_of
from trainers.prepare import prepare
from trainers.train import train
from trainers.workshop import Workshop

SETTINGS = Lora(r=4, alpha=8, dropout=0.1)


def lora_stage(**changes: Any) -> Stage:
    return stage(**{"lr": {"adapter": 2e-3, "llm": 2e-2}, "lora": SETTINGS, **changes})


def run(toy: Toy, name: str, **changes: Any) -> Path:
    settings = {"lr": {"adapter": 2e-3, "llm": 2e-2}, "lora": SETTINGS.model_dump(), **changes}
    return train(Workshop(), train_request(toy.home, toy.base, toy.mix, name, **settings), ignore)[0]


def logits(model: torch.nn.Module) -> torch.Tensor:
    ids = torch.tensor([[5, 2, 2, 2, 2, 9, 11, 3]])
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids, pixel_values=torch.ones(1, 3, 12, 12)).logits
    return found


def test_only_the_adapters_of_the_language_model_and_the_projector_learn(toy: Toy) -> None:
    checkpoint, plan = prepare(load_checkpoint(toy.base), lora_stage(), 0)
    learning = {name for name, parameter in checkpoint.model.named_parameters() if parameter.requires_grad}
    assert {module_of(name) for name in learning} == {"adapter", "llm"}
    assert {name for name in learning if module_of(name) == "llm"} == {
        name for name, _ in checkpoint.model.named_parameters() if is_added(name)
    }
    assert not any("lm_head" in name or "vision" in name for name in learning)
    # rank x (in + out) of seven linear layers: four of attention, three of the MLP
    assert plan["llm"]["learning"] == 2 * 4 * (4 * (32 + 32) + 3 * (32 + 64))
    assert plan["llm"]["parameters"] == sum(
        p.numel() for n, p in load_checkpoint(toy.base).model.named_parameters() if module_of(n) == "llm"
    )
    assert plan["llm"]["lora"] == SETTINGS.model_dump()
    optimizer, _ = make_optimizer(checkpoint.model, lora_stage())
    assert {len(group["params"]): group["peak"] for group in optimizer.param_groups} == {4: 2e-3, 28: 2e-2}


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft looks at it
def test_peft_reads_what_is_saved_and_agrees_with_the_merged_model(toy: Toy) -> None:
    from peft import PeftModel

    folder = run(toy, "lora", epochs=2)
    merged = LlavaForConditionalGeneration.from_pretrained(folder / CHECKPOINT)
    base = LlavaForConditionalGeneration.from_pretrained(toy.base, dtype=torch.float32)
    before = logits(base)
    adapted = PeftModel.from_pretrained(base, folder / LORA)
    assert torch.allclose(logits(adapted), logits(merged), atol=1e-4)
    assert not torch.allclose(logits(merged), before, atol=1e-2)
    assert json.loads((folder / LORA / "adapter_config.json").read_bytes())["r"] == 4
    assert {path.name for path in (folder / LORA).iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    read_record(folder).check_rows()


def test_a_lora_trial_is_reproducible_and_needs_no_lora_to_go_on_from(toy: Toy) -> None:
    first = run(toy, "again", seed=3)
    found = files_of(first)
    (first / "record.json").unlink()
    assert files_of(run(toy, "again", seed=3)) == found
    after = train_request(toy.home, toy.base, toy.mix, "after", init=read_record(first).digest)
    assert train(Workshop(), after, ignore)[0].is_dir()


def test_a_lora_trial_leaves_the_model_in_memory_to_others(toy: Toy) -> None:
    workshop = Workshop()
    before = logits(workshop.checkpoint(toy.base).model)
    changes = {"lr": {"adapter": 2e-3, "llm": 2e-2}, "lora": SETTINGS.model_dump()}
    train(workshop, train_request(toy.home, toy.base, toy.mix, "shared", **changes), ignore)
    again = workshop.checkpoint(toy.base)
    assert again.lora is None
    assert torch.equal(logits(again.model), before)


def test_merging_changes_no_prediction(toy: Toy) -> None:
    checkpoint = load_checkpoint(toy.base)
    names = set(checkpoint.model.state_dict())
    add_lora(checkpoint, Lora(r=2, alpha=4), seed=1)
    with torch.no_grad():
        for name, parameter in checkpoint.model.named_parameters():
            if is_added(name):
                parameter.normal_(std=0.1)
    carried = logits(checkpoint.model)
    merge_lora(checkpoint)
    assert torch.allclose(logits(checkpoint.model), carried, atol=1e-4)
    assert set(checkpoint.model.state_dict()) == names


def test_without_peft_the_way_out_is_named(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(Refusal, match="needs peft") as refusal:
        prepare(load_checkpoint(toy.base), lora_stage(), 0)
    assert "pip install" in refusal.value.way_out


def test_lora_without_the_language_model_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="add llm to trains"):
        lora_stage(trains=["adapter"], lr={"adapter": 1e-3})
