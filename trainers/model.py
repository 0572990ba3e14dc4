"""The model: transformers' ``LlavaForConditionalGeneration``, built small from random weights or read from a folder.

A checkpoint folder holds transformers' own layout (``config.json``, ``model.safetensors``, ``tokenizer.json``,
``preprocessor_config.json``), so it opens in transformers and everything built on it. Only safetensors are
read: a pickled weight file can run code.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, Qwen2Config

from registry.errors import Refusal
from registry.store import dump_json
from registry.trial import MODULES, Lora, Module
from trainers.picture import PictureSettings
from trainers.requests import Shape
from trainers.tokens import Tokens

logger = logging.getLogger(__name__)

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")

_PREFIXES: dict[Module, tuple[str, ...]] = {
    "vision": ("model.vision_tower.",),
    "adapter": ("model.multi_modal_projector.",),
    "llm": ("model.language_model.", "lm_head."),
}


@dataclass
class Checkpoint:
    """A model with what it needs to read text and pictures. ``files`` is where tokenizer files are copied from."""

    model: LlavaForConditionalGeneration
    tokens: Tokens
    pictures: PictureSettings
    files: Path
    image_tokens: int
    """Tokens that one picture takes."""
    frozen: list[str] = field(default_factory=list)
    lora: Lora | None = None
    """Low-rank adapters that the language model carries (``trainers.lora``)."""


@dataclass(frozen=True)
class SpecialIds:
    """Token ids that a model's config names."""

    image: int
    pad: int
    end: int


def new_model(shape: Shape, vocabulary: int, special: SpecialIds, seed: int) -> LlavaForConditionalGeneration:
    """A model of random weights that depend on ``shape`` and ``seed`` alone."""
    config = _config(shape, vocabulary, special)
    model = LlavaForConditionalGeneration(config)
    _initialise(model, shape, seed)
    return model


def _config(shape: Shape, vocabulary: int, special: SpecialIds) -> LlavaConfig:
    vision = CLIPVisionConfig(
        image_size=shape.image_size,
        patch_size=shape.patch_size,
        hidden_size=shape.vision_width,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.vision_heads,
        intermediate_size=shape.vision_mlp,
        projection_dim=shape.vision_width,
    )
    text = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.mlp,
        max_position_embeddings=shape.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=False,
        pad_token_id=special.pad,
        bos_token_id=None,
        eos_token_id=special.end,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=special.image,
        image_seq_length=(shape.image_size // shape.patch_size) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
        pad_token_id=special.pad,
    )


def _initialise(model: nn.Module, shape: Shape, seed: int) -> None:
    """Embeddings of std 0.5, matrices 1/sqrt(fan-in), outputs into the residual stream / sqrt(2 x layers)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim < 2 and not name.endswith("class_embedding"):
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
                continue
            std = _std(name, parameter, shape)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)


def _std(name: str, parameter: torch.Tensor, shape: Shape) -> float:
    if "embed_tokens" in name:
        return shape.embedding_std
    if "position_embedding" in name or "class_embedding" in name:
        return 0.5
    std = 1.0 / math.sqrt(parameter[0].numel())
    if name.endswith(("o_proj.weight", "down_proj.weight")):
        return std / math.sqrt(2 * shape.layers)
    if name.endswith(("out_proj.weight", "mlp.fc2.weight")):
        return std / math.sqrt(2 * shape.vision_layers)
    return std


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint in 32-bit floats; raises Refusal for anything that is not a whole LLaVA checkpoint."""
    config = _read_config(folder)
    if not (folder / "tokenizer.json").is_file():
        way = "save it with a fast tokenizer (tokenizer.json)"
        raise Refusal(str(folder), "has no tokenizer.json", way)
    if not list(folder.glob("*.safetensors")):
        raise Refusal(str(folder), "has no .safetensors weights", "convert the weights to safetensors")
    try:
        model, report = LlavaForConditionalGeneration.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise Refusal(str(folder), f"cannot be loaded ({_first_line(error)})", "check that the copy is whole") from None
    absent = sorted(report["missing_keys"])
    if absent:
        raise Refusal(str(folder), f"lacks {len(absent)} weights, first {absent[0]}", "check that the copy is whole")
    model.eval()
    tokens = Tokens.read(folder, image_id=config.image_token_id)
    pictures = PictureSettings.read(folder, config.vision_config.image_size)
    return Checkpoint(model, tokens, pictures, folder, _image_tokens(config))


def _read_config(folder: Path) -> LlavaConfig:
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal(str(path), f"cannot be read ({_first_line(error)})", "give a checkpoint folder") from None
    if not isinstance(raw, dict) or raw.get("model_type") != "llava":
        found = raw.get("model_type") if isinstance(raw, dict) else None
        raise Refusal(str(path), f"is no LLaVA model (model_type {found!r})", "give a checkpoint of model_type 'llava'")
    try:
        return LlavaConfig.from_dict(raw)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refusal(str(path), f"does not add up ({_first_line(error)})", "check that the copy is whole") from None


def _image_tokens(config: LlavaConfig) -> int:
    side = int(config.vision_config.image_size) // int(config.vision_config.patch_size)
    has_class = str(config.vision_config.model_type).startswith("clip")
    return side * side + int(has_class and config.vision_feature_select_strategy == "full")


def save_checkpoint(
    checkpoint: Checkpoint, folder: Path, half: bool = False, weights: dict[str, torch.Tensor] | None = None
) -> None:
    """Write the model and its tokenizer files; equal weights give equal bytes. ``half`` stores 16-bit floats.

    ``weights`` are whole ones, where the model holds its own in parts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = checkpoint.model
    state = model.state_dict() if weights is None else weights
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    model.save_pretrained(folder, state_dict=state, max_shard_size="5GB")
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # the library writes for the owner alone; a data home may be shared
    _tidy_config(folder / "config.json", "float16" if half else "float32")
    for name in (*TOKENIZER_FILES, *PROCESSOR_FILES):
        source = checkpoint.files / name
        if source.is_file() and source.parent != folder:
            shutil.copyfile(source, folder / name)


def _tidy_config(path: Path, dtype: str) -> None:
    """Say the stored number format (transformers writes that of the model in memory)."""
    config = json.loads(path.read_bytes())
    for part in (config, config["text_config"], config["vision_config"]):
        part["dtype"] = dtype
    path.write_bytes(dump_json(config))


def module_of(name: str) -> Module:
    """Which of the three modules a parameter belongs to."""
    for module, prefixes in _PREFIXES.items():
        if name.startswith(prefixes):
            return module
    raise KeyError(name)


def parameters_of(model: nn.Module, module: Module) -> Iterator[tuple[str, nn.Parameter]]:
    """``(name, parameter)`` of one module, in the model's order."""
    for name, parameter in model.named_parameters():
        if module_of(name) == module:
            yield name, parameter


def freeze(checkpoint: Checkpoint, trains: list[Module]) -> dict[str, Any]:
    """Let only ``trains`` learn; the plan (module -> parameters, and how many learn) as it is stored with a trial.

    Of a language model with low-rank adapters only these learn; they are not counted among its parameters.
    """
    plan: dict[str, Any] = {}
    for module in MODULES:
        sizes = {"parameters": 0, "learning": 0}
        for name, parameter in parameters_of(checkpoint.model, module):
            added = is_added(name)
            learns = module in trains and (added or module != "llm" or checkpoint.lora is None)
            parameter.requires_grad_(learns)
            sizes["parameters"] += 0 if added else parameter.numel()
            sizes["learning"] += parameter.numel() if learns else 0
        plan[module] = {**sizes, "trained": module in trains}
    if checkpoint.lora is not None:
        plan["llm"]["lora"] = checkpoint.lora.model_dump(mode="json")
    checkpoint.frozen = [module for module in MODULES if module not in trains]
    logger.info("%s", "; ".join(f"{module}: {_in_words(entry)}" for module, entry in plan.items()))
    return plan


def is_added(name: str) -> bool:
    """Whether a parameter is one of a low-rank adapter."""
    return ".lora_" in name


def _in_words(entry: dict[str, Any]) -> str:
    if not entry["trained"]:
        return f"{entry['parameters']:,} parameters, frozen"
    lora = entry.get("lora")
    how = f" (LoRA of rank {lora['r']})" if lora else ""
    return f"{entry['parameters']:,} parameters, {entry['learning']:,} learn{how}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
