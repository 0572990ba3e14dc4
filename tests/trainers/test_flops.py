"""Counted operations are those that torch counts while it computes; devices have the figures of their data sheets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from trainers.flops import Flops, peak
from trainers.model import parameters_of


def llava(layer: int = -1, **text: int) -> LlavaForConditionalGeneration:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}
    sizes |= {"num_hidden_layers": 3, "vocab_size": 128}
    vision = CLIPVisionConfig(
        image_size=28, patch_size=7, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=LlamaConfig(**(sizes | text)),
        image_token_index=5,
        vision_feature_layer=layer,
        image_seq_length=16,
        attn_implementation="eager",  # torch does not count what its fused attention does on a CPU
    )
    torch.manual_seed(0)
    return LlavaForConditionalGeneration(config)


@pytest.mark.parametrize(
    "trains", [("vision", "adapter", "llm"), ("adapter", "llm"), ("adapter",), ("vision", "adapter"), ("llm",)]
)
def test_they_are_what_torch_counts(trains: tuple[str, ...]) -> None:
    model = llava()
    for module in ("vision", "adapter", "llm"):
        for _, parameter in parameters_of(model, module):
            parameter.requires_grad_(module in trains)
    ids = torch.tensor([[1] + [5] * 16 + list(range(10, 30))])
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(model(input_ids=ids, pixel_values=torch.randn(1, 3, 28, 28)).logits.sum())
    flops, n = Flops.of(model), ids.shape[1]
    # torch counts the whole square of the decoder's attention
    expected = flops.of_step(np.array([n]), 1, n) + flops.pair * (n * n - n * (n + 1) / 2)
    # and is spared the way back into the first layer's input where nothing before it learns
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.06 if trains == ("llm",) else 0.03)


def test_layers_that_nobody_reads_are_not_counted() -> None:
    assert Flops.of(llava(-2)).picture < Flops.of(llava(-1)).picture
    assert Flops.of(llava(-2)).token == Flops.of(llava(-1)).token


def test_llava_7b_has_the_known_figures() -> None:
    with torch.device("meta"):
        vision = CLIPVisionConfig(
            image_size=336,
            patch_size=14,
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
        )
        model = LlavaForConditionalGeneration(
            LlavaConfig(vision_config=vision, text_config=LlamaConfig(vocab_size=32064), vision_feature_layer=-2)
        )
    for _, parameter in parameters_of(model, "vision"):
        parameter.requires_grad_(False)
    flops = Flops.of(model)
    assert flops.token == pytest.approx(6 * 6.476e9, rel=1e-3)  # Llama 7B without embeddings and head
    assert flops.pair == 12 * 4096 * 32
    assert flops.learned == 6 * 32064 * 4096
    assert flops.picture == pytest.approx(
        2 * 23 * 12 * 1024**2 * 577 + 4 * 1024 * 577**2 * 23 + 576 * 6 * 20.98e6, rel=0.02
    )


def test_devices_are_known_by_their_names() -> None:
    assert peak("NVIDIA H200") == peak("NVIDIA H100 80GB HBM3") == 989.4e12
    assert peak("NVIDIA H100 PCIe") == 756e12
    assert peak("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak("NVIDIA L40S") == 362e12
    assert peak("NVIDIA L4") == 121e12
    assert peak("NVIDIA GeForce GTX 1080") is None
