"""The decoder's arithmetic on samples without padding: Llama and Qwen2 layers, exactly, with less of it.

Transformers' own forward works on rows of equal length: packed rows need a dense mask, and what is masked is computed.
Here all tokens of a step lie in one [tokens, width] matrix, and attention alone cuts it into samples. Also exact: the
last layer's output projection and MLP are computed only where a prediction is asked for, norm weights are folded
into the matrix that follows them, and the backward pass is written out, so that little is stored and nothing is copied.

The weights are those of the transformers modules; tests compare logits and gradients with transformers' forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainers.attention import Kept, Plan, attend, attend_back, interleave

SUPPORTED = ("qwen2", "llama")
"""Decoder kinds (``model_type``) whose layers this module computes."""


def supports(config: Any) -> bool:
    """Whether a text config is computed here; others go through transformers' own forward."""
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type in SUPPORTED
        and rope.get("rope_type", "default") == "default"
        and config.hidden_act == "silu"
        and config.num_attention_heads == config.num_key_value_heads
        and not getattr(config, "attention_bias", False)
        and not getattr(config, "mlp_bias", False)
        and all(kind == "full_attention" for kind in getattr(config, "layer_types", None) or [])
    )


@dataclass(frozen=True)
class Layer:
    """The weights of one decoder layer, as they are or as they enter the products."""

    qkv: Tensor
    qkv_bias: Tensor | None
    out: Tensor
    gate: Tensor
    up: Tensor
    down: Tensor


@dataclass(frozen=True)
class Geometry:
    """What the arithmetic must know of a decoder."""

    heads: int
    size: int
    eps: float
    order: Tensor
    """Row order of the joined q, k, v weights (see ``attention.interleave``)."""
    back: Tensor
    """The inverse of ``order``."""
    bias: bool
    frequencies: Tensor

    @classmethod
    def of(cls, decoder: Any) -> Geometry:
        """Of a transformers decoder that ``supports`` its kind."""
        attention = decoder.layers[0].self_attn
        size = int(attention.head_dim)
        heads = attention.q_proj.weight.shape[0] // size
        turned = interleave(heads, size)
        width = heads * size
        order = torch.cat((turned, width + turned, 2 * width + torch.arange(width)))
        return cls(
            heads,
            size,
            float(decoder.norm.variance_epsilon),
            order,
            torch.argsort(order),
            attention.q_proj.bias is not None,
            decoder.rotary_emb.inv_freq.float(),
        )


PER_LAYER = 12


def weights_of(decoder: Any) -> list[Tensor]:
    """Parameters in the order in which ``_Decoder`` takes them: twelve a layer (biases may be empty), then the norm."""
    found: list[Tensor] = []
    for layer in decoder.layers:
        a, m = layer.self_attn, layer.mlp
        empty = layer.input_layernorm.weight.new_empty(0)
        biases = [p.bias if p.bias is not None else empty for p in (a.q_proj, a.k_proj, a.v_proj)]
        found += [layer.input_layernorm.weight, a.q_proj.weight, a.k_proj.weight, a.v_proj.weight, *biases]
        found += [a.o_proj.weight, layer.post_attention_layernorm.weight]
        found += [m.gate_proj.weight, m.up_proj.weight, m.down_proj.weight]
    return [*found, decoder.norm.weight]


def layers_of(weights: list[Tensor], geometry: Geometry) -> Iterator[Layer]:
    """Each layer's weights with its norms folded in."""
    for start in range(0, len(weights) - 1, PER_LAYER):
        norm, q, k, v, q_bias, k_bias, v_bias, out, norm2, gate, up, down = weights[start : start + PER_LAYER]
        yield Layer(
            torch.cat((q, k, v)).index_select(0, geometry.order).mul_(norm),
            torch.cat((q_bias, k_bias, v_bias)).index_select(0, geometry.order) if geometry.bias else None,
            out,
            gate * norm2,
            up * norm2,
            down,
        )


def unit(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """``x`` scaled to a root mean square of one, and the scale of each token [tokens, 1]."""
    scale = torch.linalg.vecdot(x, x).div_(x.shape[-1]).add_(eps).rsqrt_()[:, None]
    return x * scale, scale


def _unit_back(grad: Tensor, had: Tensor, scale: Tensor, into: Tensor) -> None:
    """Add the gradient of ``unit``'s input to ``into``."""
    inner = torch.linalg.vecdot(grad, had).div_(had.shape[-1])[:, None]
    into.addcmul_(grad, scale).addcmul_(had, inner.mul_(scale), value=-1)


@dataclass
class Past:
    """What one layer keeps for its backward pass."""

    layer: Layer
    unit1: Tensor
    scale1: Tensor
    kept: list[Kept]
    mixed: Tensor
    unit2: Tensor
    scale2: Tensor
    gate: Tensor
    silu: Tensor
    up: Tensor
    inner: Tensor


def forward_layer(x: Tensor, layer: Layer, plan: Plan, eps: float, wanted: Tensor | None) -> tuple[Tensor, Past]:
    """One layer; with ``wanted`` what follows attention is computed, and returned, for those tokens only."""
    unit1, scale1 = unit(x, eps)
    mixed, kept = attend(functional.linear(unit1, layer.qkv, layer.qkv_bias), plan)
    if wanted is not None:
        mixed, x = mixed.index_select(0, wanted), x.index_select(0, wanted)
    x = torch.addmm(x, mixed, layer.out.T)
    unit2, scale2 = unit(x, eps)
    gate, up = functional.linear(unit2, layer.gate), functional.linear(unit2, layer.up)
    silu = functional.silu(gate)
    inner = silu * up
    past = Past(layer, unit1, scale1, kept, mixed, unit2, scale2, gate, silu, up, inner)
    return torch.addmm(x, inner, layer.down.T), past


def _backward_layer(
    grad: Tensor, past: Past, plan: Plan, weights: list[Tensor], geometry: Geometry, wanted: Tensor | None, learns: bool
) -> tuple[Tensor, list[Tensor | None]]:
    """Gradients of a layer's input (``grad`` is written over) and of its twelve parameters."""
    layer = past.layer
    to_inner = grad @ layer.down
    to_up = to_inner * past.silu
    to_gate = torch.ops.aten.silu_backward(to_inner.mul_(past.up), past.gate)
    to_unit2 = torch.addmm(to_up @ layer.up, to_gate, layer.gate)
    to_down = grad.T @ past.inner if learns else None
    _unit_back(to_unit2, past.unit2, past.scale2, grad)
    to_mixed = grad @ layer.out
    to_out = grad.T @ past.mixed if learns else None
    if wanted is not None:
        tokens = len(past.unit1)
        to_mixed = to_mixed.new_zeros(tokens, to_mixed.shape[1]).index_copy_(0, wanted, to_mixed)
        grad = grad.new_zeros(tokens, grad.shape[1]).index_copy_(0, wanted, grad)
    to_qkv = attend_back(to_mixed, plan, past.kept)
    _unit_back(to_qkv @ layer.qkv, past.unit1, past.scale1, grad)
    if not learns:
        return grad, [None] * PER_LAYER
    attention = _attention_grads(to_qkv, past.unit1, weights, geometry)
    return grad, [*attention, to_out, *_mlp_grads(to_gate, to_up, past.unit2, weights), to_down]


def _attention_grads(to_qkv: Tensor, had: Tensor, weights: list[Tensor], geometry: Geometry) -> list[Tensor | None]:
    """Of the first norm, the three projections and their biases."""
    norm, q, k, v = weights[:4]
    folded = (to_qkv.T @ had).index_select(0, geometry.back)
    to_norm = torch.linalg.vecdot(folded, torch.cat((q, k, v)), dim=0)
    to_weights = folded.mul_(norm).chunk(3)
    biases: list[Tensor | None] = [None] * 3
    if geometry.bias:
        biases = list(to_qkv.sum(0).index_select(0, geometry.back).chunk(3))
    return [to_norm, *to_weights, *biases]


def _mlp_grads(to_gate: Tensor, to_up: Tensor, had: Tensor, weights: list[Tensor]) -> list[Tensor | None]:
    """Of the second norm, gate and up."""
    norm, gate, up = weights[8:11]
    gate_folded, up_folded = to_gate.T @ had, to_up.T @ had
    to_norm = torch.linalg.vecdot(gate_folded, gate, dim=0).add_(torch.linalg.vecdot(up_folded, up, dim=0))
    return [to_norm, gate_folded.mul_(norm), up_folded.mul_(norm)]


class _Decoder(torch.autograd.Function):
    """All layers and the final norm as one step of autograd."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, wanted: Tensor, plan: Plan, geometry: Geometry, *weights: Tensor) -> Tensor:
        ctx.past = []
        layers = list(layers_of(list(weights), geometry))
        for number, layer in enumerate(layers):
            last = number + 1 == len(layers)
            x, past = forward_layer(x, layer, plan, geometry.eps, wanted if last else None)
            ctx.past.append(past)
        final, scale = unit(x, geometry.eps)
        ctx.save_for_backward(wanted, final, scale, *weights)
        ctx.plan, ctx.geometry = plan, geometry
        return final * weights[-1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        wanted, final, scale, *weights = ctx.saved_tensors
        learns = any(ctx.needs_input_grad[4:])
        found: list[Tensor | None] = [(grads[0] * final).sum(0) if learns else None]
        grad = torch.zeros_like(grads[0])
        _unit_back(grads[0] * weights[-1], final, scale, grad)
        layers = len(ctx.past)
        for number in reversed(range(layers)):
            last = number + 1 == layers
            own = weights[number * PER_LAYER : (number + 1) * PER_LAYER]
            grad, of_layer = _backward_layer(
                grad, ctx.past.pop(), ctx.plan, own, ctx.geometry, wanted if last else None, learns
            )
            found = [*of_layer, *found]
        return grad, None, None, None, *found


def decode(decoder: Any, geometry: Geometry, x: Tensor, lengths: Tensor, wanted: Tensor) -> Tensor:
    """Final hidden states [wanted, width] of embedded tokens [tokens, width], only where ``wanted`` (indices) says.

    ``lengths`` int64 [samples] must ascend; tokens of a sample are contiguous, its positions count from 0.
    """
    plan = Plan.of(lengths, geometry.heads, geometry.size, geometry.frequencies)
    apply: Any = _Decoder.apply
    out: Tensor = apply(x, wanted, plan, geometry, *weights_of(decoder))
    return out
