"""Tiny CLIP and SigLIP checkpoints of random weights, in transformers' layout as a hub publishes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipModel

SIDE = 16
LENGTH = 12
"""Tokens of a text, at most."""
_SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 8,
}


def make_dual_encoder(folder: Path, kind: str) -> Path:
    """A whole checkpoint of ``kind`` (clip or siglip); its weights depend on the kind alone."""
    tokenizer = _tokenizer()
    text = {
        **_SIZES, "vocab_size": len(tokenizer), "max_position_embeddings": LENGTH, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2 if kind == "siglip" else len(tokenizer) - 1,
    }  # fmt: skip
    vision = {**_SIZES, "image_size": SIDE, "patch_size": 4}
    torch.manual_seed(7)
    if kind == "clip":
        model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    else:
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    with torch.no_grad():  # transformers starts so small that all pictures would look alike
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape) / parameter[0].numel() ** 0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"shortest_edge": SIDE} if kind == "clip" else {"height": SIDE, "width": SIDE}
    crop = {"do_center_crop": True, "crop_size": {"height": SIDE, "width": SIDE}} if kind == "clip" else {}
    preprocessor = {"do_resize": True, "size": size, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True}
    (folder / "preprocessor_config.json").write_text(json.dumps({**preprocessor, **crop}))
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """Bytes as tokens, an end mark behind each text that CLIP reads its summary at; nothing else can be unknown."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<s>", "<sep>", *sorted(alphabet), "</s>"])}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", len(vocabulary) - 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
