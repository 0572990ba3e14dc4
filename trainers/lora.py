"""Low-rank adapters by peft: put into a model, saved in peft's own format, and merged into plain weights.

They go on every linear layer of the language model but the head, as LLaVA-1.5's LoRA recipe does. The saved folder
also holds the vision adapter where it was trained, so that base + folder is the whole model in plain peft.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from registry.errors import Refusal
from registry.store import dump_json
from registry.trial import Lora
from trainers.model import Checkpoint, is_added, parameters_of

LORA = "lora"
"""Folder of a trial with what was added to its base, in peft's format."""

_NAME = "default"  # peft's own name of an adapter that is given none
_ROOT = "base_model.model."


def add_lora(checkpoint: Checkpoint, lora: Lora, seed: int) -> None:
    """Put adapters into the model; their weights, and what dropout draws from now on, depend on ``seed`` alone."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        what, way = "needs peft, which is not here", "pip install 'vlm-curator[lora]'"
        raise Refusal("stage setting 'lora'", what, way) from None
    targets = sorted({name.rpartition(".")[2] for name, _ in _linear(checkpoint.model)})
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # declared as an integer, used as a factor
        lora_dropout=lora.dropout,
        bias="none",
        target_modules=rf"model\.language_model\..*\.({'|'.join(targets)})",
    )
    torch.manual_seed(seed)
    inject_adapter_in_model(config, checkpoint.model, adapter_name=_NAME)
    for layer in _layers(checkpoint.model).values():
        layer.lora_dropout.train()  # the model itself stays as loaded: nothing else of it draws
    checkpoint.lora = lora


def save_lora(checkpoint: Checkpoint, folder: Path, base: str) -> None:
    """Write the adapters as peft reads them; ``base`` is the digest of the trial or base they stand on."""
    from peft import LoraConfig

    layers = _layers(checkpoint.model)
    config: LoraConfig = checkpoint.model.peft_config[_NAME]
    tensors = {
        f"{_ROOT}{name.replace(f'.{_NAME}.', '.')}": _plain(parameter)
        for name, parameter in checkpoint.model.named_parameters()
        if is_added(name)
    }
    adapter = dict(parameters_of(checkpoint.model, "adapter"))
    trained = any(parameter.requires_grad for parameter in adapter.values())
    if trained:
        tensors |= {f"{_ROOT}{name}": _plain(parameter) for name, parameter in adapter.items()}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_model.safetensors").chmod(0o644)  # the library writes for the owner alone
    settings: dict[str, Any] = {**config.to_dict(), "peft_type": "LORA", "task_type": None, "inference_mode": True}  # type: ignore[no-untyped-call]  # peft's own
    settings |= {"base_model_name_or_path": f"sha256:{base}", "target_modules": sorted(layers)}
    settings |= {"modules_to_save": ["multi_modal_projector"] if trained else None}
    (folder / "adapter_config.json").write_bytes(dump_json(json.loads(json.dumps(settings, default=list))))


def merge_lora(checkpoint: Checkpoint) -> None:
    """Add what the adapters learned to the weights they stand beside, and take them out: a plain model again."""
    for name, layer in _layers(checkpoint.model).items():
        layer.merge(safe_merge=True)
        owner, _, attribute = name.rpartition(".")
        setattr(checkpoint.model.get_submodule(owner), attribute, layer.get_base_layer())
    del checkpoint.model.peft_config
    checkpoint.lora = None


def _linear(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The language model's linear layers, its head left out."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("model.language_model.")
    ]


def _layers(model: nn.Module) -> dict[str, Any]:
    """Name -> layer that carries an adapter."""
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def _plain(parameter: nn.Parameter) -> Tensor:
    return parameter.detach().cpu().contiguous()
