"""The reader's numbers are those of transformers, for each kind of decoder that it says it reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModel, LlamaConfig, Qwen2Config

from trainers.reading import Layout, Reader, reads

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SIZES, num_key_value_heads=4),
        LlamaConfig(**SIZES, num_key_value_heads=2, rope_parameters=LLAMA3, attention_bias=True),
        Qwen2Config(**SIZES, num_key_value_heads=1, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
    ],
    ids=["llama", "llama 3", "qwen2"],
)
def test_hidden_states_are_those_of_transformers(config: Any) -> None:
    torch.manual_seed(0)
    decoder = AutoModel.from_config(config).eval()
    assert reads(config)
    stems = [[1, 2, 3, 4, 5, 6, 7], [9, 8, 7]]
    leaves = [[11, 12], [13], [14, 15, 16, 17], [18]]
    more = [21, 22, 23, 24]
    words = decoder.embed_tokens
    with torch.no_grad():
        reader = Reader(decoder)
        lengths = torch.tensor([len(stem) for stem in stems])
        layout = Layout.of(lengths, torch.zeros(2, dtype=torch.long))
        unseen = torch.zeros(2, 7).masked_fill_(torch.arange(7)[None] >= lengths[:, None], float("-inf"))
        shared = reader.read_stems(words(torch.tensor([t for stem in stems for t in stem])), layout)
        sizes, starts = torch.tensor([len(leaf) for leaf in leaves]), lengths.repeat_interleave(2)
        flat = words(torch.tensor([t for leaf in leaves for t in leaf]))
        first, own = reader.read_leaves(flat, Layout.of(sizes, starts), shared, unseen)
        then = reader.read_on(words(torch.tensor(more)), starts + sizes, (own.widened(2), sizes), shared, unseen)
        for number, leaf in enumerate(leaves):
            whole = torch.tensor([[*stems[number // 2], *leaf, more[number]]])
            expected = decoder(input_ids=whole).last_hidden_state[0]
            assert torch.allclose(first[number], expected[-2], atol=2e-6)
            assert torch.allclose(then[number], expected[-1], atol=2e-6)


def test_decoders_that_turn_otherwise_are_left_to_transformers() -> None:
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert not reads(LlamaConfig(**SIZES, rope_parameters=dynamic))
    sliding = Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=4, max_window_layers=0)
    assert not reads(sliding)
