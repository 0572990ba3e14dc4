"""The packaged scales against the published figures: LLaVA-1.5's recipe and the paper's changes to it."""

from __future__ import annotations

import re

import pytest

from registry.assembly import Assembly
from registry.scale import Scale, load_scale, scale_names
from registry.trial import Lora, Stage

PAPER = [name for name in scale_names() if name.startswith("paper-")]
MODELS = {
    "paper-7b": ("lmsys/vicuna-7b-v1.5", "vicuna_v1"),
    "paper-13b": ("lmsys/vicuna-13b-v1.5", "vicuna_v1"),
    "paper-qwen-7b": ("Qwen/Qwen1.5-7B-Chat", "chatml_qwen1.5"),
    "paper-qwen-14b": ("Qwen/Qwen1.5-14B-Chat", "chatml_qwen1.5"),
    "paper-yi-6b": ("01-ai/Yi-6B-Chat", "chatml_yi"),
    "paper-yi-34b": ("NousResearch/Nous-Hermes-2-Yi-34B", "chatml_yi"),
}
BATCH = {"pretrain": 256, "sft": 128}
TOKENS = {"pretrain": 600, "sft": 835}
"""Of a sample: 576 of the picture and a caption; the mean that the packing figures were measured with."""


def stages(name: str) -> tuple[Scale, Stage, Stage]:
    scale = load_scale(name)
    assert scale.pretrain is not None
    return scale, scale.pretrain, scale.sft


def test_every_model_of_the_paper_has_its_scale() -> None:
    plain = {name for name in PAPER if not name.endswith(("-improved", "-lora"))}
    assert plain == MODELS.keys()
    assert {name.removesuffix("-improved") for name in PAPER if name.endswith("-improved")} == MODELS.keys()


@pytest.mark.parametrize("name", PAPER)
def test_what_all_of_them_share_is_llavas(name: str) -> None:
    scale, pretrain, sft = stages(name)
    llm, template = MODELS[re.sub("-(improved|lora)$", "", name)]
    assert isinstance(scale.base, Assembly)
    assert scale.base.vision.startswith("openai/clip-vit-large-patch14-336@")
    assert scale.base.llm.partition("@")[0] == llm
    assert (scale.base.adapter, scale.base.vision_feature_layer, scale.base.select) == ("mlp2x_gelu", -2, "patch")
    assert (pretrain.template, sft.template) == ("plain", template)
    assert (pretrain.fit, sft.fit) == ("crop", "pad")
    for stage in (pretrain, sft):
        assert (stage.epochs, stage.warmup_ratio, stage.weight_decay) == (1, 0.03, 0.0)
        assert (stage.betas, stage.clip_norm, stage.precision) == ((0.9, 0.999), 1.0, "bf16")
        assert stage.capacity == 4096
        per_row = stage.capacity / TOKENS[stage.name]
        assert stage.rows_per_step * per_row == pytest.approx(BATCH[stage.name], rel=0.1)
        assert stage.rows_per_step % 8 == 0


@pytest.mark.parametrize("name", PAPER)
def test_what_learns_and_how_fast(name: str) -> None:
    _, pretrain, sft = stages(name)
    if name.endswith("-improved"):
        assert pretrain.lr == {"vision": 2e-5, "adapter": 2e-4}
    else:
        assert pretrain.lr == {"adapter": 1e-3}
    if name.endswith("-lora"):
        assert sft.lora == Lora(r=128, alpha=256, dropout=0.05)
        assert sft.lr == {"llm": 2e-4, "adapter": 2e-5}
    else:
        assert sft.lora is None
        assert sft.lr == {"llm": 2e-5, "adapter": 2e-5}


@pytest.mark.parametrize("name", [*PAPER, "small"])
def test_parts_are_named_at_a_commit(name: str) -> None:
    base = load_scale(name).base
    assert isinstance(base, Assembly)
    for part in (base.vision, base.llm):
        if "Hermes" not in part:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", part)
