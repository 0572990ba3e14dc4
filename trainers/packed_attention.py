"""Causal attention of transformers' decoders over samples that lie one after another: no mask, no padding.

Registered with transformers as one more attention; a decoder that is set to it gets the samples' bounds in the
arguments that its flash attention has (``cu_seq_lens_q``, ``max_length_q``). On a GPU in half precision it is torch's
own flash kernel for samples of any lengths, everywhere else torch's attention sample by sample: both compute the
blocks of the samples and nothing between them. Without bounds (generation) it is transformers' ordinary attention.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "packed"
HALVES = (torch.float16, torch.bfloat16)
FLASH_CAPABILITY = (8, 0)
"""NVIDIA's Ampere: the first with the kernel."""


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **settings: Any
) -> tuple[Tensor, None]:
    """Transformers' interface: [1, heads, tokens, size] to [1, tokens, heads, size]."""
    bounds = settings.get("cu_seq_lens_q")
    if bounds is None:
        out, _ = sdpa_attention_forward(module, query, key, value, mask, **settings)
        return out, None
    parts = [part[0].transpose(0, 1) for part in (query, key, value)]
    if has_flash(query):
        return _flash(parts, bounds, int(settings["max_length_q"]), settings.get("scaling"))[None], None
    return _one_by_one(parts, bounds, settings.get("scaling"))[None], None


def has_flash(query: Tensor) -> bool:
    """Whether torch's kernel for samples of any lengths takes this."""
    return (
        query.is_cuda
        and query.dtype in HALVES
        and torch.version.hip is None
        and torch.cuda.get_device_capability(query.device) >= FLASH_CAPABILITY
    )


def _flash(parts: list[Tensor], bounds: Tensor, longest: int, scale: float | None) -> Tensor:
    """[tokens, heads, size]."""
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (part.contiguous() for part in parts)
    shared = query.shape[1] != key.shape[1]
    out = varlen_attn(
        query, key, value, bounds, bounds, longest, longest, scale=scale, window_size=(-1, 0), enable_gqa=shared
    )
    assert isinstance(out, Tensor), "no log-sum-exp was asked for"
    return out


def _one_by_one(parts: list[Tensor], bounds: Tensor, scale: float | None) -> Tensor:
    """[tokens, heads, size]."""
    query, key, value = (part.transpose(0, 1)[None] for part in parts)
    shared = query.shape[1] != key.shape[1]
    found = [
        functional.scaled_dot_product_attention(
            query[:, :, low:high],
            key[:, :, low:high],
            value[:, :, low:high],
            is_causal=True,
            scale=scale,
            enable_gqa=shared,
        )
        for low, high in pairwise(bounds.tolist())
    ]
    return torch.cat(found, dim=2)[0].transpose(0, 1)


def use(decoder: Any) -> None:
    """Set a transformers decoder to this attention."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    decoder.config._attn_implementation = NAME  # noqa: SLF001  the name under which transformers itself sets it


def arguments(lengths: Tensor, positions: Tensor, longest: int) -> dict[str, Any]:
    """What a decoder set to this attention is called with, beside the embeddings [1, tokens, width].

    ``lengths`` int64 [samples]; ``longest`` is an upper bound of them that need not be met.
    """
    bounds = functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    return {
        # Four dimensions: taken as it is, so that transformers builds no mask of tokens x tokens.
        "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=lengths.device),
        "position_ids": positions[None],
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": longest,
        "max_length_k": longest,
        "use_cache": False,
    }
