"""Cross-entropy of many tokens over a large vocabulary without a matrix of tokens x vocabulary.

Predictions are made for some tokens at a time. Their gradients are known as soon as their losses are, so both are
computed together and only the gradients of the inputs are kept: memory is that of one chunk, whatever the step holds.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK_PLACES = 1 << 26
"""Predictions (tokens x vocabulary) computed at a time: 256 MiB of 32-bit floats."""


class _Summed(torch.autograd.Function):
    """Sum of weight x cross-entropy over tokens."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, labels: Tensor, weights: Tensor, chunk: int) -> Tensor:
        """``hidden`` [tokens, width] and ``head`` [vocabulary, width] of one type; the rest [tokens]."""
        wants_hidden, wants_head = ctx.needs_input_grad[:2]
        to_hidden = torch.empty_like(hidden) if wants_hidden else None
        to_head = torch.zeros_like(head, dtype=torch.float32) if wants_head else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for low in range(0, len(hidden), chunk):
            part = slice(low, low + chunk)
            logits = (hidden[part] @ head.T).float()
            total += (functional.cross_entropy(logits, labels[part], reduction="none") * weights[part]).sum()
            if to_hidden is None and to_head is None:
                continue
            wrong = logits.softmax(-1)
            wrong[torch.arange(len(wrong), device=wrong.device), labels[part]] -= 1
            wrong = (wrong * weights[part, None]).to(hidden.dtype)
            if to_hidden is not None:
                torch.mm(wrong, head, out=to_hidden[part])
            if to_head is not None:
                to_head += (wrong.T @ hidden[part]).float()
        ctx.save_for_backward(to_hidden, None if to_head is None else to_head.to(head.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what forward found."""
        to_hidden, to_head = ctx.saved_tensors
        given = [None if found is None else found * scale.to(found.dtype) for found in (to_hidden, to_head)]
        return (*given, None, None, None)


def summed_cross_entropy(hidden: Tensor, head: Tensor, labels: Tensor, weights: Tensor, chunk: int = 0) -> Tensor:
    """Sum over tokens of weight x cross-entropy of ``hidden @ head.T``, in 32-bit floats.

    ``chunk`` tokens at a time; 0 = as many as keep to ``CHUNK_PLACES``.
    """
    kind = torch.get_autocast_dtype(hidden.device.type) if torch.is_autocast_enabled(hidden.device.type) else None
    with torch.autocast(hidden.device.type, enabled=False):
        chunk = chunk or max(1, CHUNK_PLACES // len(head))
        kind = kind or head.dtype
        # torch gives it no types
        out: Tensor = _Summed.apply(hidden.to(kind), head.to(kind), labels, weights, chunk)  # type: ignore[no-untyped-call]
    return out
