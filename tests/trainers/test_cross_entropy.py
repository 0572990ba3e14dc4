"""Computed in chunks, the loss and its gradients are those of the whole matrix of predictions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from trainers.cross_entropy import summed_cross_entropy


@pytest.mark.parametrize("chunk", [0, 1, 7, 64])
@pytest.mark.parametrize("learns", [(True, True), (True, False), (False, True)])
def test_chunks_add_up(chunk: int, learns: tuple[bool, bool]) -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(20, 8), torch.randn(31, 8)
    labels, weights = torch.randint(31, (20,)), torch.rand(20)
    found = []
    for ours in (True, False):
        given = [value.clone().requires_grad_(learn) for value, learn in zip((hidden, head), learns, strict=True)]
        if ours:
            loss = summed_cross_entropy(given[0], given[1], labels, weights, chunk)
        else:
            loss = (functional.cross_entropy(given[0] @ given[1].T, labels, reduction="none") * weights).sum()
        torch.autograd.backward(loss * 3)
        found.append([loss.detach(), *(value.grad for value in given if value.grad is not None)])
    assert len(found[0]) == 1 + sum(learns)
    for first, second in zip(*found, strict=True):
        assert torch.allclose(first, second, rtol=1e-5, atol=1e-5)


def test_no_token_is_no_loss_and_no_gradient() -> None:
    hidden, head = torch.randn(0, 8, requires_grad=True), torch.randn(31, 8, requires_grad=True)
    loss = summed_cross_entropy(hidden, head, torch.zeros(0, dtype=torch.long), torch.zeros(0))
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0
    assert head.grad is not None
    assert not head.grad.any()


def test_halves_under_autocast_have_gradients_of_the_weights_own_type() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(20, 8).bfloat16().requires_grad_()
    head = torch.randn(31, 8, requires_grad=True)
    labels = torch.randint(31, (20,))
    with torch.autocast("cpu", torch.bfloat16):
        loss = summed_cross_entropy(hidden, head, labels, torch.ones(20))
    torch.autograd.backward(loss)
    assert head.grad is not None
    assert hidden.grad is not None
    assert (loss.dtype, head.grad.dtype, hidden.grad.dtype) == (torch.float32, torch.float32, torch.bfloat16)
    exact = functional.cross_entropy(hidden.detach().float() @ head.detach().T, labels, reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(exact), rel=2e-2)


def test_memory_is_that_of_a_chunk() -> None:
    """The largest tensor that is made has chunk x vocabulary places, not tokens x vocabulary."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch gives it no types
        seen = 0

        def __torch_dispatch__(self, function, types, given=(), named=None):  # type: ignore[no-untyped-def]  # nor these
            out = function(*given, **(named or {}))
            for found in out if isinstance(out, tuple | list) else [out]:
                if isinstance(found, torch.Tensor):
                    self.seen = max(self.seen, found.numel())
            return out

    hidden, head = torch.randn(512, 4, requires_grad=True), torch.randn(1000, 4, requires_grad=True)
    with Largest() as largest:  # type: ignore[no-untyped-call]  # as above
        loss = summed_cross_entropy(hidden, head, torch.zeros(512, dtype=torch.long), torch.ones(512), 16)
        torch.autograd.backward(loss)
    assert largest.seen == 16 * 1000
