"""Names and shapes of stored weights, from the headers of safetensors files: no torch, and no weight is read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from registry.errors import Refusal
from registry.trial import Lora, Module

HEADER_BYTES = 100_000_000
"""The longest header that is read: the format's own limit."""

Shapes = dict[str, tuple[int, ...]]


def stored_shapes(folder: Path) -> Shapes:
    """Shape of every tensor in a folder's safetensors files."""
    found: Shapes = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header: dict[str, Any] = json.loads(file.read(size) if size <= HEADER_BYTES else b"")
            entries = {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
            found |= {name: tuple(int(side) for side in shape) for name, shape in entries.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise Refusal(str(path), "is no whole safetensors file", "fetch or copy it again") from None
    return found


def count(shapes: Shapes) -> int:
    """Parameters of all tensors."""
    return sum(math.prod(shape) for shape in shapes.values())


def of_vision(shapes: Shapes) -> Shapes:
    """What of a CLIP or SigLIP checkpoint is the vision encoder that LLaVA reads."""
    other = ("text_model.", "text_projection", "visual_projection", "logit_")
    inner = {name.removeprefix("vision_model."): shape for name, shape in shapes.items() if not name.startswith(other)}
    return {name: shape for name, shape in inner.items() if not name.startswith("head.") and _is_weight(name)}


def of_module(shapes: Shapes, module: Module) -> Shapes:
    """What of a LLaVA checkpoint is one of its modules, in the older layout of names or the newer one."""
    return {name: shape for name, shape in shapes.items() if _module(name) == module and _is_weight(name)}


def adapter_shapes(vision: int, llm: int) -> Shapes:
    """The two linear layers between an encoder and a language model of these widths."""
    return {"1.weight": (llm, vision), "1.bias": (llm,), "2.weight": (llm, llm), "2.bias": (llm,)}


def added_by(lora: Lora, llm: Shapes) -> int:
    """Parameters that low-rank adapters add to a language model's linear layers."""
    linear = [shape for name, shape in llm.items() if ".layers." in name and len(shape) == 2]
    return sum(lora.r * sum(shape) for shape in linear)


def _module(name: str) -> Module:
    if "vision_tower." in name:
        return "vision"
    return "adapter" if "multi_modal_projector." in name else "llm"


def _is_weight(name: str) -> bool:
    return not name.endswith(("position_ids", "rotary_emb.inv_freq"))
