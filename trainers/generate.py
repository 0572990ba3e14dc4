"""Greedy replies, many prompts at a time, with the picture treatment and templates of training.

Prompts of similar length go through the decoder together and keep their keys and values, so each further token costs
one token of work; prompts that have ended leave the batch. What a prompt is answered does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainers.attention import Plan, turns
from trainers.forward import Network
from trainers.lean import Geometry, Layer, forward_layer, inference_layers, unit
from trainers.loader import make_step
from trainers.packing import by_length
from trainers.tokens import Encoded

BATCH = 64
"""Prompts at a time, at most."""
BATCH_TOKENS = 16_384
"""Prompt tokens at a time, at most (a longer prompt goes alone)."""


@dataclass(frozen=True)
class Prompt:
    """What a reply is asked for: tokens with every picture expanded, and the pictures' sha256."""

    tokens: Encoded
    images: tuple[str, ...]


def replies(network: Network, prompts: Sequence[Prompt], stop: int, max_new_tokens: int) -> list[list[int]]:
    """Greedy tokens for each prompt, without the ``stop`` token that ends them."""
    found: list[list[int]] = [[] for _ in prompts]
    with torch.no_grad():
        if network.geometry is None:
            return [_by_transformers(network, prompt, stop, max_new_tokens) for prompt in prompts]
        layers = inference_layers(network.decoder, network.geometry)
        for numbers in by_length([len(prompt.tokens) for prompt in prompts], BATCH, BATCH_TOKENS):
            batch = _Batch(network, network.geometry, layers, [prompts[number] for number in numbers], max_new_tokens)
            for number, reply in zip(numbers, batch.run(stop), strict=True):
                found[number] = reply
    return found


class _Batch:
    """Prompts in ascending length, and the keys and values of what they have read so far."""

    def __init__(
        self, network: Network, geometry: Geometry, layers: list[Layer], prompts: Sequence[Prompt], max_new_tokens: int
    ) -> None:
        self._network = network
        self._geometry = geometry
        self._layers = layers
        self._prompts = prompts
        self._room = max_new_tokens
        self._lengths = torch.tensor([len(prompt.tokens) for prompt in prompts])
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    def run(self, stop: int) -> list[list[int]]:
        """Tokens of every prompt's reply."""
        found: list[list[int]] = [[] for _ in self._prompts]
        active = list(range(len(self._prompts)))
        hidden = self._read()
        for count in range(self._room):
            chosen = self._network.head(hidden).argmax(-1).tolist()
            going = [place for place, token in enumerate(chosen) if token != stop]
            for place in going:
                found[active[place]].append(chosen[place])
            if not going or count + 1 == self._room:
                break
            if len(going) < len(active):
                self._keep(torch.tensor(going))
                active = [active[place] for place in going]
            hidden = self._advance(torch.tensor([chosen[place] for place in going]))
        return found

    def _read(self) -> Tensor:
        """Read the prompts; hidden states [prompts, width] after their last tokens."""
        geometry, lengths = self._geometry, self._lengths
        step = make_step([p.tokens for p in self._prompts], [p.images for p in self._prompts], [len(self._prompts)])
        x = self._network.embed(step)
        plan = Plan.of(lengths, geometry.heads, geometry.size, geometry.frequencies, bounds=[0, len(lengths)])
        last = torch.cumsum(lengths, 0) - 1
        for number, layer in enumerate(self._layers):
            wanted = last if number + 1 == len(self._layers) else None
            x, past = forward_layer(x, layer, plan, geometry.eps, wanted)
            (kept,) = past.kept
            self._keys.append(self._with_room(kept.key))
            self._values.append(self._with_room(kept.value))
        return self._finish(x)

    def _with_room(self, kept: Tensor) -> Tensor:
        """[prompts, heads, longest + room, size]."""
        heads, size = self._geometry.heads, self._geometry.size
        return functional.pad(kept.view(-1, heads, kept.shape[1], size), (0, 0, 0, self._room))

    def _keep(self, places: Tensor) -> None:
        """Drop all prompts but these."""
        self._lengths = self._lengths.index_select(0, places)
        self._keys = [kept.index_select(0, places) for kept in self._keys]
        self._values = [kept.index_select(0, places) for kept in self._values]

    def _advance(self, tokens: Tensor) -> Tensor:
        """Read one more token [prompts] each; hidden states [prompts, width]."""
        geometry = self._geometry
        x = self._network.words(tokens)
        turn = turns(self._lengths, geometry.frequencies, geometry.size).view(2, len(tokens), 1, -1)
        unread = torch.arange(self._keys[0].shape[2])[None] > self._lengths[:, None]
        hidden_places = torch.zeros(unread.shape).masked_fill_(unread, float("-inf"))[:, None, None]
        for number, layer in enumerate(self._layers):
            x = self._advance_layer(number, layer, x, turn, hidden_places)
        self._lengths = self._lengths + 1
        return self._finish(x)

    def _advance_layer(self, number: int, layer: Layer, x: Tensor, turn: Tensor, unread: Tensor) -> Tensor:
        geometry = self._geometry
        size, rows = geometry.size, torch.arange(len(x))
        normed, _ = unit(x, geometry.eps)
        parts = (
            functional.linear(normed, layer.qkv, layer.qkv_bias).view(len(x), 3, geometry.heads, size).transpose(0, 1)
        )
        turned = torch.view_as_complex(parts[:2].reshape(2, len(x), geometry.heads, -1, 2)) * turn
        query, key = torch.view_as_real(turned).flatten(-2).unbind(0)
        keys, values = self._keys[number], self._values[number]
        keys[rows, :, self._lengths] = key
        values[rows, :, self._lengths] = parts[2]
        weights = (query[:, :, None] @ keys.transpose(2, 3) + unread).softmax(-1)
        x = torch.addmm(x, (weights @ values).flatten(1), layer.out.T)
        normed, _ = unit(x, geometry.eps)
        inner = functional.silu(functional.linear(normed, layer.gate)) * functional.linear(normed, layer.up)
        return torch.addmm(x, inner, layer.down.T)

    def _finish(self, x: Tensor) -> Tensor:
        weight: Tensor = self._network.decoder.norm.weight
        return unit(x, self._geometry.eps)[0] * weight


def _by_transformers(network: Network, prompt: Prompt, stop: int, max_new_tokens: int) -> list[int]:
    """One prompt through transformers' own generation, for decoders that ``trainers.lean`` does not know."""
    step = make_step([prompt.tokens], [prompt.images], [1])
    embedded = network.embed(step)[None]
    out: list[int] = []
    cache = None
    for _ in range(max_new_tokens):
        result = network.decoder(inputs_embeds=embedded, past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        token = int(network.head(result.last_hidden_state[0, -1:]).argmax(-1))
        if token == stop:
            break
        out.append(token)
        embedded = network.words(torch.tensor([[token]]))
    return out
