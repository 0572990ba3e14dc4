"""Floating-point operations that training needs, counted from a model's shapes, and what a device can do at most.

A matrix of N weights costs 2 N for each token that goes through it, 2 N more on the way back where something before it
learns, and 2 N more where it learns itself: 6 N where all learns, 4 N through a frozen decoder to an adapter that
learns, 2 N in a frozen tower. Attention costs 4 d for each pair of tokens of which one may look at the other (half a
square in the decoder, a whole one in the tower) and layer, and twice that on the way back. Counted is what is needed,
for tokens that are no padding: layers of the tower that nobody reads, predictions where nothing is learned, and what
is computed again to save memory are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from trainers.balance import Work
from trainers.packing import Indices

TERA = 1e12
PEAKS = {
    "GB200": 2500,
    "B200": 2250,
    "GH200": 989.4,
    "H200": 989.4,
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989.4,
    "H800": 989.4,
    "A100": 312,
    "A800": 312,
    "L40S": 362,
    "L40": 181,
    "L4": 121,
    "RTX 6000 Ada": 364.2,
    "RTX 4090": 165.2,
    "RTX A6000": 154.8,
    "A40": 149.7,
    "A30": 165,
    "A10": 125,
    "RTX 3090": 71.2,
    "MI325X": 1307.4,
    "MI300X": 1307.4,
    "MI250X": 191.5,
}
"""TFLOP/s of dense bf16 with 32-bit sums, from the makers' data sheets (MI250X: one of its two halves). The first
name that is part of a device's own is meant."""


def peak(device: str) -> float | None:
    """Operations a second that a device of this name can do at most; None where it is not known."""
    return next((TERA * value for name, value in PEAKS.items() if re.search(rf"\b{name}\b", device)), None)


@dataclass(frozen=True)
class Flops:
    """Operations forward and back of the parts of a step."""

    token: float
    """The decoder's matrices, for a token."""
    pair: float
    """The decoder's attention, for a token and one that it looks at."""
    learned: float
    """The prediction of a learned token."""
    picture: float
    """Tower and adapter, for a picture."""

    @classmethod
    def of(cls, model: Any) -> Flops:
        """Of a LLaVA whose parameters say whether they learn; its weights may be on torch's ``meta`` device."""
        parts = _Parts.of(model)
        text = model.config.text_config
        width = text.num_attention_heads * (
            getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        )
        before = parts.learns["vision"] or parts.learns["adapter"] or parts.learns["llm"]
        head = text.vocab_size * text.hidden_size
        head_learns = any(p.requires_grad for name, p in model.named_parameters() if "lm_head" in name)
        return cls(
            token=parts.matrices("llm", before),
            pair=4.0 * width * text.num_hidden_layers * (3 if before else 1),
            learned=float(head * (2 + 2 * head_learns + 2 * before)),
            picture=_picture(model, parts),
        )

    def of_step(self, lengths: Indices, pictures: int, learned: int) -> float:
        """Of samples of these lengths that have so many pictures and learned tokens together."""
        return self.decoder(lengths, learned) + self.picture * pictures

    def decoder(self, lengths: Indices, learned: int) -> float:
        """The part of the decoder and its predictions."""
        sizes = lengths.astype(np.float64)
        pairs = float((sizes * (sizes + 1)).sum() / 2)
        return self.token * float(sizes.sum()) + self.pair * pairs + self.learned * learned

    @property
    def work(self) -> Work:
        """What rows cost, for dealing them to ranks."""
        return Work(self.token, self.pair / 2, self.picture)


@dataclass(frozen=True)
class _Parts:
    """The matrices of each module that tokens go through, and which modules learn."""

    named: dict[str, list[tuple[str, nn.Parameter]]]
    learns: dict[str, bool]

    @classmethod
    def of(cls, model: Any) -> _Parts:
        named: dict[str, list[tuple[str, nn.Parameter]]] = {"vision": [], "adapter": [], "llm": []}
        learns = dict.fromkeys(named, False)
        for name, parameter in model.named_parameters():
            module = "vision" if "vision_tower" in name else "adapter" if "multi_modal_projector" in name else "llm"
            learns[module] |= parameter.requires_grad
            if parameter.ndim >= 2 and "embed" not in name and "lm_head" not in name:
                named[module].append((name, parameter))
        return cls(named, learns)

    def matrices(self, module: str, before: bool, layers: int | None = None) -> float:
        """Operations for one token in the matrices of a module, or of its first ``layers`` layers."""
        total = 0.0
        for name, parameter in self.named[module]:
            layer = re.search(r"encoder\.layers\.(\d+)\.", name)
            if layers is None or (layer is not None and int(layer.group(1)) < layers):
                total += parameter.numel() * (2 + 2 * parameter.requires_grad + 2 * before)
        return total


def _picture(model: Any, parts: _Parts) -> float:
    """Tower, up to the layer that is read, and adapter."""
    config: Any = model.config
    vision = config.vision_config
    layer = config.vision_feature_layer
    deepest = max(number % (vision.num_hidden_layers + 1) for number in ([layer] if isinstance(layer, int) else layer))
    patches = (vision.image_size // vision.patch_size) ** 2
    tokens = patches + ("class_embedding" in " ".join(name for name, _ in model.named_parameters()))
    learns = parts.learns["vision"]
    conv = 3 * vision.patch_size**2 * vision.hidden_size
    tower = patches * conv * (2 + 2 * learns) + tokens * parts.matrices("vision", learns, deepest)
    tower += 4.0 * vision.hidden_size * tokens**2 * deepest * (3 if learns else 1)
    shown = patches + (config.vision_feature_select_strategy == "full") * (tokens - patches)
    adapter = 0.0
    for name, parameter in parts.named["adapter"]:
        before = learns or ("linear_2" in name and parts.learns["adapter"])
        adapter += parameter.numel() * (2 + 2 * parameter.requires_grad + 2 * before)
    return float(tower + shown * adapter)
