"""Our attention of packed samples equals transformers' own with a mask over all pairs, and generation is untouched."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from trainers import packed_attention

LENGTHS = torch.tensor([5, 1, 9, 4])


def model(key_heads: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 50}
    config = LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=key_heads, attn_implementation="sdpa")
    return LlamaForCausalLM(config).eval()


def block_mask(lengths: Tensor) -> Tensor:
    """[1, 1, tokens, tokens] whether a token may look at another."""
    sample = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return (sample[:, None] == sample[None]).tril()[None, None]


@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_outputs_and_gradients_are_those_of_a_dense_mask(key_heads: int) -> None:
    theirs = model(key_heads)
    ours = copy.deepcopy(theirs)
    packed_attention.use(ours.model)
    assert theirs.config._attn_implementation == "sdpa"
    embedded = torch.randn(1, int(LENGTHS.sum()), 32)
    positions = torch.cat([torch.arange(int(length)) for length in LENGTHS])
    found = []
    for decoder, how in (
        (theirs.model, {"attention_mask": block_mask(LENGTHS), "position_ids": positions[None], "use_cache": False}),
        (ours.model, packed_attention.arguments(LENGTHS, positions, 9)),
    ):
        given = embedded.clone().requires_grad_()
        out = decoder(inputs_embeds=given, **how).last_hidden_state
        out.square().sum().backward()
        found.append((out.detach(), given.grad))
    for first, second in zip(*found, strict=True):
        assert torch.allclose(first, second, atol=2e-5)
    # and it is the bounds that part the samples: in other bounds they see one another
    one = packed_attention.arguments(LENGTHS.sum()[None], positions, 19)
    joined = ours.model(inputs_embeds=embedded, **one).last_hidden_state
    assert not torch.allclose(joined, found[0][0], atol=1e-2)


def test_a_model_set_to_it_generates_as_before() -> None:
    theirs = model(2)
    ours = copy.deepcopy(theirs)
    packed_attention.use(ours.model)
    ids = torch.tensor([[0, 0, 5, 6, 7], [1, 2, 3, 4, 5]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    first, second = (
        one.generate(ids, attention_mask=mask, max_new_tokens=5, do_sample=False, pad_token_id=0)
        for one in (theirs, ours)
    )
    assert first.tolist() == second.tolist()


def test_the_gpu_kernel_is_asked_for_halves_on_a_gpu_alone() -> None:
    assert not packed_attention.has_flash(torch.zeros(1, dtype=torch.bfloat16))


def test_the_gpu_kernel_gets_causal_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's kernel does not run here; what it would be called with is checked against its own signature."""
    from torch.nn.attention import varlen

    assert varlen.__all__, "what registers the kernel is loaded"
    query, key = torch.randn(19, 4, 8), torch.randn(19, 2, 8)
    bounds = torch.tensor([0, 5, 6, 15, 19], dtype=torch.int32)
    seen: dict[str, object] = {}
    names = [argument.name for argument in torch.ops.torch_attn._varlen_attn.default._schema.arguments]

    def kernel(*given: object) -> tuple[Tensor, Tensor, Tensor]:
        seen.update(zip(names, given, strict=True))
        return query, query, query

    monkeypatch.setattr(torch.ops.torch_attn, "_varlen_attn", kernel)
    out = packed_attention._flash([query, key, key], bounds, 9, 0.25)
    assert out.shape == query.shape
    assert (seen["is_causal"], seen["scale"], seen["enable_gqa"], seen["max_q"]) == (True, 0.25, True, 9)
    assert seen["cu_seq_q"] is bounds
