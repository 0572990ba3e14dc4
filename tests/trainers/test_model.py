"""Checkpoints: random weights that depend on the seed, folders that open in plain transformers, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from registry.errors import Refusal
from tests.trainers.conftest import Toy
from tests.trainers.toy import SMALL, files_of
from trainers.model import SpecialIds, freeze, load_checkpoint, module_of, new_model, parameters_of, save_checkpoint
from trainers.requests import Shape

IDS = SpecialIds(image=2, pad=0, end=1)


def test_random_weights_depend_on_the_seed_alone() -> None:
    first, second, other = (new_model(SMALL, 40, IDS, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_initialisation_is_scaled_as_planned() -> None:
    weights = new_model(Shape(), 300, IDS, 0).state_dict()
    expected = {
        "model.language_model.embed_tokens.weight": 0.5,
        "model.language_model.layers.0.self_attn.q_proj.weight": 96**-0.5,
        "model.language_model.layers.1.self_attn.o_proj.weight": 96**-0.5 / 8**0.5,
        "model.language_model.layers.1.mlp.down_proj.weight": 288**-0.5 / 8**0.5,
        "model.vision_tower.encoder.layers.0.mlp.fc2.weight": 128**-0.5 / 6**0.5,
        "lm_head.weight": 96**-0.5,
    }
    for name, std in expected.items():
        assert weights[name].std().item() == pytest.approx(std, rel=0.05), name
    assert weights["model.language_model.norm.weight"].unique().tolist() == [1.0]
    assert weights["model.vision_tower.pre_layrnorm.bias"].unique().tolist() == [0.0]
    assert sum(value.numel() for value in weights.values()) == pytest.approx(660_000, rel=0.05)


def test_every_parameter_belongs_to_one_module(toy: Toy) -> None:
    model = toy.checkpoint().model
    counted = {module: len(list(parameters_of(model, module))) for module in ("vision", "adapter", "llm")}
    assert sum(counted.values()) == len(list(model.parameters()))
    assert counted["adapter"] == 4
    with pytest.raises(KeyError):
        module_of("something.else")


def test_freezing_says_what_learns(toy: Toy) -> None:
    checkpoint = toy.checkpoint()
    plan = freeze(checkpoint, ["adapter"])
    assert [module for module, entry in plan.items() if entry["trained"]] == ["adapter"]
    learning = [name for name, parameter in checkpoint.model.named_parameters() if parameter.requires_grad]
    assert {module_of(name) for name in learning} == {"adapter"}
    assert plan["adapter"]["parameters"] == sum(p.numel() for _, p in parameters_of(checkpoint.model, "adapter"))


def test_a_saved_checkpoint_opens_in_plain_transformers_with_equal_logits(toy: Toy, tmp_path: Path) -> None:
    checkpoint = toy.checkpoint()
    save_checkpoint(checkpoint, tmp_path / "out")
    plain = LlavaForConditionalGeneration.from_pretrained(tmp_path / "out")
    ids = torch.tensor([[5, 2, 2, 2, 2, 9, 11]])
    pixels = torch.randn(1, 3, 12, 12)
    with torch.no_grad():
        ours = checkpoint.model(input_ids=ids, pixel_values=pixels).logits
        theirs = plain(input_ids=ids, pixel_values=pixels).logits
    assert torch.equal(ours, theirs)
    assert plain.dtype == torch.float32


def test_equal_weights_are_saved_as_equal_bytes(toy: Toy, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_checkpoint(toy.checkpoint(), tmp_path / name)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_half_precision_is_stored_and_read_back_as_full(toy: Toy, tmp_path: Path) -> None:
    save_checkpoint(toy.checkpoint(), tmp_path / "half", half=True)
    save_checkpoint(toy.checkpoint(), tmp_path / "full")
    assert json.loads((tmp_path / "half" / "config.json").read_bytes())["dtype"] == "float16"
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    assert load_checkpoint(tmp_path / "half").model.dtype == torch.float32


def _without(name: str) -> object:
    return lambda folder: (folder / name).unlink()


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def _other_kind(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "gpt2"}')


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_without("config.json"), "cannot be read"),
        (_without("tokenizer.json"), "has no tokenizer.json"),
        (_without("model.safetensors"), "has no .safetensors"),
        (_pickled, "has no .safetensors"),
        (_truncated, "cannot be loaded"),
        (_other_kind, "is no LLaVA model"),
    ],
)
def test_a_damaged_checkpoint_is_refused(toy: Toy, tmp_path: Path, damage: object, says: str) -> None:
    shutil.copytree(toy.base, tmp_path / "base")
    assert callable(damage)
    damage(tmp_path / "base")
    with pytest.raises(Refusal, match=says):
        load_checkpoint(tmp_path / "base")


def test_missing_weights_are_refused_not_made_up(toy: Toy, tmp_path: Path) -> None:
    checkpoint = toy.checkpoint()
    save_checkpoint(checkpoint, tmp_path / "base")
    config = json.loads((tmp_path / "base" / "config.json").read_bytes())
    config["text_config"]["num_hidden_layers"] = 3
    config["text_config"].pop("layer_types", None)
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    with pytest.raises(Refusal, match="lacks 12 weights"):
        load_checkpoint(tmp_path / "base")
