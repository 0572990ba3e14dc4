"""Causal attention within samples that lie one after another in a [tokens, width] matrix, forward and backward.

Samples of about the same length form a group; a group is cut out into [samples, heads, longest, head size] by one
row-wise look-up, so that no mask over a packed row exists and hardly any padding is computed. The rotary turn is one
complex product: the two numbers that turn together are neighbours, because the caller has put the weights' rows in
that order (``interleave``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

GROUP_COST = 3000
"""What one more group costs, in score places (samples x longest²): about 0.1 ms against 40 ns a place, one thread."""


def split_groups(lengths: Sequence[int]) -> list[int]:
    """Bounds ``[0, …, len(lengths)]`` of groups of ascending ``lengths`` at the least total cost."""
    best = [0.0]
    came_from = [0]
    for end in range(1, len(lengths) + 1):
        places = lengths[end - 1] ** 2
        if end < len(lengths) and lengths[end] == lengths[end - 1]:
            # Equal lengths are never parted; the entry is made at the last of them.
            best.append(float("inf"))
            came_from.append(0)
            continue
        cost, start = min((best[start] + GROUP_COST + (end - start) * places, start) for start in range(end))
        best.append(cost)
        came_from.append(start)
    bounds = [len(lengths)]
    while bounds[-1]:
        bounds.append(came_from[bounds[-1]])
    return bounds[::-1]


@dataclass(frozen=True)
class Group:
    """Samples of about the same length, contiguous tokens ``first:last``."""

    first: int
    last: int
    samples: int
    longest: int
    tokens: Tensor
    """[samples, longest] number of the token within the group; padding repeats token 0."""
    places: Tensor
    """[tokens] where each token stands in ``tokens``, flattened."""
    real: Tensor | None
    """[samples, 1, longest, 1] 1.0 where a token is, 0.0 where padding; None when there is no padding."""

    def rows_in(self, parts: int, heads: int) -> Tensor:
        """Row numbers that turn [tokens, parts * heads] rows into [parts, samples, heads, longest] rows."""
        slots = torch.arange(parts * heads).view(parts, 1, heads, 1)
        return (self.tokens[None, :, None, :] * (parts * heads) + slots).flatten()

    def rows_out(self, parts: int, heads: int) -> Tensor:
        """Row numbers for the way back: [tokens, parts * heads] rows out of [parts, samples, heads, longest] rows."""
        sample, inside = self.places // self.longest, self.places % self.longest
        slots = torch.arange(parts)[:, None] * (self.samples * heads) + torch.arange(heads)[None, :]
        row = (slots[None] + (sample * heads)[:, None, None]) * self.longest + inside[:, None, None]
        return row.flatten()


def make_groups(lengths: Tensor) -> list[Group]:
    """Groups of contiguous samples whose ``lengths`` ascend, int64 [samples]."""
    sizes: list[int] = lengths.tolist()
    found = []
    first = 0
    for low, high in pairwise(split_groups(sizes)):
        part = lengths[low:high]
        longest, total = sizes[high - 1], int(part.sum())
        starts = (torch.cumsum(part, 0) - part)[:, None]
        inside = torch.arange(longest)[None]
        real = inside < part[:, None]
        padded = not bool(real.all())
        found.append(
            Group(
                first=first,
                last=first + total,
                samples=high - low,
                longest=longest,
                tokens=torch.where(real, starts + inside, 0),
                places=real.flatten().nonzero().flatten(),
                real=real[:, None, :, None].float() if padded else None,
            )
        )
        first += total
    return found


def interleave(heads: int, size: int) -> Tensor:
    """Row order that puts the numbers a rotary turn mixes (i and i + size/2 of a head) beside each other."""
    pairs = torch.arange(size).view(2, size // 2).T.reshape(-1)
    return (torch.arange(heads)[:, None] * size + pairs[None]).flatten()


@dataclass(frozen=True)
class Plan:
    """What attention needs to know of a step, the same for every layer and computed once."""

    heads: int
    size: int
    groups: tuple[GroupPlan, ...]

    @classmethod
    def of(cls, lengths: Tensor, heads: int, size: int, frequencies: Tensor) -> Plan:
        """``frequencies`` [size / 2]: the decoder's rotary angles a position."""
        groups = make_groups(lengths)
        return cls(heads, size, tuple(GroupPlan.of(group, heads, size, frequencies) for group in groups))


@dataclass(frozen=True)
class GroupPlan:
    """Row numbers and rotary turns of one group."""

    group: Group
    cut: Tensor
    """q, k and v rows of the tokens -> [3, samples, heads, longest]."""
    cut_back: Tensor
    join: Tensor
    """[samples, heads, longest] rows -> head rows of the tokens."""
    join_back: Tensor
    turn: Tensor
    """[2, 1, longest * size / 2] complex; queries (scaled by 1/sqrt(size)), then keys."""
    causal: Tensor
    """[longest, longest] 0 on and below the diagonal, -inf above."""

    @classmethod
    def of(cls, group: Group, heads: int, size: int, frequencies: Tensor) -> GroupPlan:
        """Of a group, for a decoder of this many heads of this size."""
        return cls(
            group,
            group.rows_in(3, heads),
            group.rows_out(3, heads),
            group.rows_out(1, heads),
            group.rows_in(1, heads),
            turns(torch.arange(group.longest), frequencies, size),
            torch.full((group.longest, group.longest), float("-inf")).triu_(1),
        )


def turns(positions: Tensor, frequencies: Tensor, size: int) -> Tensor:
    """[2, 1, positions * size / 2] complex turns of queries (with the softmax scale) and keys."""
    angles = positions[:, None].float() * frequencies
    turn = torch.polar(torch.ones_like(angles), angles).flatten()
    return torch.stack((turn * size**-0.5, turn))[:, None]


@dataclass(frozen=True)
class Kept:
    """What the backward pass of one group needs."""

    query: Tensor
    key: Tensor
    value: Tensor
    weights: Tensor


def attend(qkv: Tensor, plan: Plan) -> tuple[Tensor, list[Kept]]:
    """[tokens, 3 * heads * size] -> [tokens, heads * size], and what ``attend_back`` needs."""
    heads, size = plan.heads, plan.size
    out = qkv.new_empty(len(qkv), heads * size)
    kept = []
    for part in plan.groups:
        group = part.group
        rows = qkv[group.first : group.last].view(-1, size).index_select(0, part.cut)
        parts = rows.view(3, group.samples * heads, group.longest, size)
        _turn(parts[:2], part.turn)
        query, key, value = parts.unbind(0)
        weights = torch.baddbmm(part.causal, query, key.transpose(1, 2)).softmax(-1)
        mixed = torch.bmm(weights, value).view(-1, size)
        torch.index_select(mixed, 0, part.join, out=out[group.first : group.last].view(-1, size))
        kept.append(Kept(query, key, value, weights))
    return out, kept


def attend_back(grad: Tensor, plan: Plan, kept: Sequence[Kept]) -> Tensor:
    """Gradient of ``attend``'s input from that of its output."""
    heads, size = plan.heads, plan.size
    out = grad.new_empty(len(grad), 3 * heads * size)
    for part, had in zip(plan.groups, kept, strict=True):
        group = part.group
        shape = (group.samples * heads, group.longest, size)
        mixed = grad[group.first : group.last].view(-1, size).index_select(0, part.join_back).view(shape)
        if group.real is not None:
            mixed.view(group.samples, heads, group.longest, size).mul_(group.real)
        to_parts = grad.new_empty(3, *shape)
        torch.bmm(had.weights.transpose(1, 2), mixed, out=to_parts[2])
        to_weights = torch.bmm(mixed, had.value.transpose(1, 2))
        to_scores = _softmax_back(to_weights, had.weights)
        torch.bmm(to_scores, had.key, out=to_parts[0])
        torch.bmm(to_scores.transpose(1, 2), had.query, out=to_parts[1])
        _turn(to_parts[:2], part.turn.conj())
        torch.index_select(to_parts.view(-1, size), 0, part.cut_back, out=out[group.first : group.last].view(-1, size))
    return out


def _softmax_back(grad: Tensor, weights: Tensor) -> Tensor:
    """Gradient of a softmax's input from that of its output (``grad`` is written over)."""
    inner = torch.linalg.vecdot(grad, weights)[..., None]
    return grad.sub_(inner).mul_(weights)


def _turn(parts: Tensor, turn: Tensor) -> None:
    """Rotate [2, samples * heads, longest, size] in place."""
    pairs = torch.view_as_complex(parts.view(2, parts.shape[1], -1, 2))
    pairs.mul_(turn)
