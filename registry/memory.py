"""What a training needs in memory on each GPU, from the sizes of its checkpoint: arithmetic alone, no torch.

Weights are 32-bit and so are their gradients and AdamW's two moments (mixed precision computes in copies of 16 bits).
That part is exact; what layers keep for the way back is counted from their matrices, and libraries take a little more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.errors import Refusal
from registry.trial import Runtime, Stage

GIB = 1 << 30
LIBRARIES = 1.5 * GIB
"""CUDA, its kernels and the buffers of NCCL, for a process."""
LOSS_PLACES = 1 << 26
"""Predictions of which the loss is computed at a time (``trainers.cross_entropy``), and their gradients."""
HEADER_BYTES = 8
LARGEST_HEADER = 1 << 27


@dataclass(frozen=True)
class Sizes:
    """Parameters and widths of a LLaVA model."""

    vision: int
    adapter: int
    layers_total: int
    """Parameters of all decoder layers."""
    rest: int
    """Parameters of embeddings, head and last norm."""
    layers: int
    width: int
    key_width: int
    mlp: int
    vocabulary: int
    vision_layers: int
    vision_width: int
    vision_mlp: int

    @property
    def llm(self) -> int:
        """Parameters of the language model."""
        return self.layers_total + self.rest


def sizes_of(folder: Path) -> Sizes:
    """Of a checkpoint folder, from ``config.json`` and the headers of its weights; Refusal when they cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        counts = {"vision": 0, "adapter": 0, "layers": 0, "rest": 0}
        for path in sorted(folder.glob("*.safetensors")):
            for name, count in _tensors(path):
                counts[_part(name)] += count
        text, vision = config["text_config"], config["vision_config"]
        heads = int(text["num_attention_heads"])
        head = int(text.get("head_dim") or int(text["hidden_size"]) // heads)
        return Sizes(
            vision=counts["vision"],
            adapter=counts["adapter"],
            layers_total=counts["layers"],
            rest=counts["rest"],
            layers=int(text["num_hidden_layers"]),
            width=int(text["hidden_size"]),
            key_width=head * int(text.get("num_key_value_heads") or heads),
            mlp=int(text["intermediate_size"]),
            vocabulary=int(text["vocab_size"]),
            vision_layers=int(vision["num_hidden_layers"]),
            vision_width=int(vision["hidden_size"]),
            vision_mlp=int(vision["intermediate_size"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"its sizes cannot be read ({type(error).__name__}: {error})"
        raise Refusal(f"checkpoint {folder}", what, "give a LLaVA checkpoint in transformers' layout") from None


def _tensors(path: Path) -> list[tuple[str, int]]:
    """(name, numbers) of every tensor of a safetensors file."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(HEADER_BYTES), "little")
        if size > LARGEST_HEADER:
            raise ValueError(f"{path.name} has a header of {size} bytes")
        header: dict[str, Any] = json.loads(file.read(size))
    found = []
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for side in entry["shape"]:
                count *= int(side)
            found.append((name, count))
    return found


def _part(name: str) -> str:
    if "vision_tower" in name:
        return "vision"
    if "multi_modal_projector" in name:
        return "adapter"
    return "layers" if ".layers." in name else "rest"


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU."""

    weights: float
    gradients: float
    moments: float
    gathered: float
    """Copies of weights in the type that is computed in: those in use with FSDP, all that learn without."""
    activations: float
    loss: float

    @property
    def total(self) -> float:
        """With what the libraries take."""
        parts = (self.weights, self.gradients, self.moments, self.gathered, self.activations, self.loss)
        return sum(parts) + LIBRARIES


def memory_of(sizes: Sizes, stage: Stage, runtime: Runtime) -> Memory:
    """Of a stage of training, on each GPU."""
    sharded = runtime.parallel.startswith("fsdp")
    shared = runtime.tensor_size
    groups = runtime.processes * runtime.nodes // shared
    split = groups if sharded else 1
    trains_vision, trains_llm = "vision" in stage.trains, "llm" in stage.trains
    layers = sizes.layers_total / shared
    tower = sizes.vision / (split if trains_vision else 1)  # a frozen tower is whole everywhere
    whole = (sizes.rest + (sizes.adapter if "adapter" in stage.trains else 0)) if trains_llm else sizes.adapter
    held = (layers + sizes.rest + sizes.adapter) / split + tower
    learns = (layers * trains_llm + whole) / split + tower * trains_vision
    half = 2 if stage.precision == "bf16" else 4
    if sharded:
        # The largest layer and the next one, which is fetched meanwhile; what is outside layers for all of a step,
        # with its gradients on their way out.
        gathered = 2 * half * layers / sizes.layers + half * (sizes.rest + sizes.adapter) + 4 * whole
    else:
        gathered = half * learns if half == 2 else 0.0
    rows = runtime.micro_rows or -(-stage.rows_per_step // groups)
    tokens = rows * stage.capacity
    loss = min(LOSS_PLACES, tokens * sizes.vocabulary) * (4 + 4 + 2 * half)
    loss += 4 * sizes.vocabulary * sizes.width * trains_llm
    kept = _kept(sizes, tokens, half, runtime) if trains_llm or "adapter" in stage.trains or trains_vision else 0.0
    if trains_vision:
        kept += _kept_by_tower(sizes, tokens, half, runtime.recompute)
    return Memory(4 * held, 4 * learns, 8 * learns, gathered, kept, loss)


def _kept(sizes: Sizes, tokens: int, half: int, runtime: Runtime) -> float:
    """What the decoder keeps for the way back: inputs of layers and one whole layer at a time, or every whole layer."""
    shared = runtime.tensor_size
    # Two norms and their inputs; the attention's inputs and output; gate, up, their product and one factor of it.
    layer = 2 * (half + 4) * sizes.width + half * 2 * (sizes.width + sizes.key_width) / shared
    layer += half * sizes.width + half * 4 * sizes.mlp / shared
    layers = sizes.layers * half * sizes.width + layer if runtime.recompute else sizes.layers * layer
    return tokens * (layers + 2 * half * sizes.width)


def _kept_by_tower(sizes: Sizes, tokens: int, half: int, recompute: bool) -> float:
    """The same of a tower that learns, where all tokens are those of pictures."""
    layer = half * (7 * sizes.vision_width + 2 * sizes.vision_mlp)
    each = sizes.vision_layers * half * sizes.vision_width + layer if recompute else sizes.vision_layers * layer
    return tokens * each


def in_gib(memory: Memory) -> dict[str, float]:
    """Part -> GiB, for people."""
    parts = {**vars(memory), "libraries": LIBRARIES, "total": memory.total}
    return {name: round(value / GIB, 2) for name, value in parts.items()}
