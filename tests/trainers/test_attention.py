"""Groups of samples for attention: contiguous, cheapest, and their row numbers undo one another."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
import torch

from trainers.attention import GROUP_COST, Plan, attend, attend_back, interleave, make_groups, split_groups


def cost(lengths: list[int], bounds: list[int]) -> int:
    return sum(GROUP_COST + (high - low) * lengths[high - 1] ** 2 for low, high in pairwise(bounds))


@pytest.mark.parametrize(
    "lengths", [[5], [5, 5, 5], [10, 40, 41, 90], [12, 12, 60, 61, 61, 200], list(range(20, 100, 11))]
)
def test_groups_cost_the_least(lengths: list[int]) -> None:
    inner = range(1, len(lengths))
    choices = [[0, *cut, len(lengths)] for count in range(len(lengths)) for cut in combinations(inner, count)]
    assert cost(lengths, split_groups(lengths)) == min(cost(lengths, bounds) for bounds in choices)


def test_rows_in_and_out_undo_each_other() -> None:
    heads, size = 3, 4
    for group in make_groups(torch.tensor([2, 3, 3, 7, 60, 61])):
        rows = torch.randn((group.last - group.first) * 3 * heads, size)
        cut = rows.index_select(0, group.rows_in(3, heads))
        assert torch.equal(cut.index_select(0, group.rows_out(3, heads)), rows)


def test_attention_equals_a_plain_one_sample_by_sample() -> None:
    heads, size, lengths = 2, 8, [3, 5, 6]
    order = torch.cat([part * heads * size + interleave(heads, size) for part in (0, 1)])
    order = torch.cat((order, 2 * heads * size + torch.arange(heads * size)))
    qkv = torch.randn(sum(lengths), 3 * heads * size, requires_grad=True)
    frequencies = torch.tensor([1.0, 0.5, 0.2, 0.1])
    plan = Plan.of(torch.tensor(lengths), heads, size, frequencies)
    out, kept = attend(qkv.detach().index_select(1, order), plan)
    expected = torch.cat([_plain(part, heads, size, frequencies) for part in torch.split(qkv, lengths)])
    assert torch.allclose(out, expected, atol=1e-6)
    grad = torch.randn_like(out)
    torch.autograd.backward(expected, grad)
    assert qkv.grad is not None
    assert torch.allclose(attend_back(grad, plan, kept), qkv.grad.index_select(1, order), atol=1e-6)


def _plain(qkv: torch.Tensor, heads: int, size: int, frequencies: torch.Tensor) -> torch.Tensor:
    """Causal attention of one sample with rotary positions, as transformers writes it."""
    query, key, value = qkv.view(len(qkv), 3, heads, size).permute(1, 2, 0, 3)
    angles = (torch.arange(len(qkv))[:, None] * frequencies).repeat(1, 2)

    def turn(x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, -1)
        return x * angles.cos() + torch.cat((-second, first), -1) * angles.sin()

    mixed = torch.nn.functional.scaled_dot_product_attention(turn(query), turn(key), value, is_causal=True)
    return mixed.transpose(0, 1).flatten(1)
