"""A decoder that reads: keys and values are kept, there is no way back, and nothing is computed that nobody asks for.

Tokens lie one after another in a [tokens, width] matrix; attention alone lays them out as [stems, leaves, longest].
A stem is read once for all its leaves, and of its last layer only keys and values are needed. Of a leaf's last
layer only its last token is computed further. The weights are those of the transformers modules, which are called as
they are: nothing is copied, so memory holds one model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainers.lean import SUPPORTED, unit

ROTARY = ("default", "linear", "llama3")
"""Kinds of position encoding whose turns depend on the position alone."""


def reads(config: Any) -> bool:
    """Whether decoders of this text config are read here; others go through transformers' own forward."""
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type in SUPPORTED
        and rope.get("rope_type", "default") in ROTARY
        and all(kind == "full_attention" for kind in getattr(config, "layer_types", None) or [])
    )


@dataclass(frozen=True)
class Layout:
    """Where packed tokens stand in a rectangle [rows, longest], padding on the right."""

    rows: int
    longest: int
    places: Tensor
    """[tokens] numbers within the flattened rectangle."""
    positions: Tensor
    """[tokens] positions in their prompts."""

    @classmethod
    def of(cls, lengths: Tensor, starts: Tensor) -> Layout:
        """Of rows with so many tokens, whose first token has position ``starts``."""
        longest = int(lengths.max())
        inside = torch.arange(longest)[None]
        real = inside < lengths[:, None]
        return cls(len(lengths), longest, real.flatten().nonzero().flatten(), (starts[:, None] + inside)[real])

    def lay(self, tokens: Tensor) -> Tensor:
        """[tokens, heads, size] -> [rows, heads, longest, size]."""
        heads, size = tokens.shape[1:]
        if len(self.places) < self.rows * self.longest:
            empty = tokens.new_zeros(self.rows * self.longest, heads, size)
            tokens = empty.index_copy_(0, self.places, tokens)
        return tokens.view(self.rows, self.longest, heads, size).transpose(1, 2)

    def take(self, laid: Tensor) -> Tensor:
        """The way back: [rows, heads, longest, size] -> [tokens, heads * size]."""
        flat = laid.transpose(1, 2).reshape(self.rows * self.longest, -1)
        return flat if len(self.places) == len(flat) else flat.index_select(0, self.places)


@dataclass
class Memory:
    """Keys and values of every layer, [rows, heads, places, size] each."""

    keys: list[Tensor]
    values: list[Tensor]

    def rows(self, numbers: Tensor) -> Memory:
        """Of these rows only."""
        return Memory(
            [kept.index_select(0, numbers) for kept in self.keys],
            [kept.index_select(0, numbers) for kept in self.values],
        )

    def widened(self, places: int) -> Memory:
        """With so many more places."""
        return Memory(
            [functional.pad(kept, (0, 0, 0, places)) for kept in self.keys],
            [functional.pad(kept, (0, 0, 0, places)) for kept in self.values],
        )


class Reader:
    """A transformers decoder (``reads`` its config)."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        config = decoder.config
        self.size = int(decoder.layers[0].self_attn.head_dim)
        self.heads: int = config.num_attention_heads
        self.kept_heads: int = config.num_key_value_heads
        self._eps = float(decoder.norm.variance_epsilon)

    @property
    def token_bytes(self) -> int:
        """Memory of one token's keys and values."""
        return len(self._decoder.layers) * 2 * self.kept_heads * self.size * 4

    def read_stems(self, x: Tensor, layout: Layout) -> Memory:
        """Read the common beginnings: embedded tokens [tokens, width], one row of the layout a stem."""
        memory = Memory([], [])
        turn = self._turn(x, layout.positions)
        for number, layer in enumerate(self._decoder.layers):
            normed = self._unit(x, layer.input_layernorm)
            keys, values = self._remember(layer.self_attn, normed, turn, layout)
            memory.keys.append(keys)
            memory.values.append(values)
            if number + 1 < len(self._decoder.layers):
                query = layout.lay(self._query(layer.self_attn, normed, turn))
                grouped = self.heads != self.kept_heads
                mixed = functional.scaled_dot_product_attention(query, keys, values, is_causal=True, enable_gqa=grouped)
                x = self._after(layer, x, layout.take(mixed))
        return memory

    def read_leaves(self, x: Tensor, layout: Layout, stems: Memory, unseen: Tensor) -> tuple[Tensor, Memory]:
        """Read what follows the stems; hidden states [rows, width] after each row's last token, and what is kept.

        ``unseen`` [stems, stem places] is -inf where a stem has no token.
        """
        memory = Memory([], [])
        turn = self._turn(x, layout.positions)
        lengths = torch.bincount(layout.places // layout.longest, minlength=layout.rows)
        last = torch.cumsum(lengths, 0) - 1
        causal = torch.full((layout.longest, layout.longest), float("-inf")).triu_(1).expand(layout.rows, -1, -1)
        for number, layer in enumerate(self._decoder.layers):
            normed = self._unit(x, layer.input_layernorm)
            keys, values = self._remember(layer.self_attn, normed, turn, layout)
            memory.keys.append(keys)
            memory.values.append(values)
            asked, mask = layout, causal
            if number + 1 == len(self._decoder.layers):
                x, normed, turn = x[last], normed[last], (turn[0][last], turn[1][last])
                asked, mask = _one_each(layout.rows), causal[0][lengths - 1][:, None]
            query = asked.lay(self._query(layer.self_attn, normed, turn))
            mixed = self._attend(query, (stems.keys[number], stems.values[number], unseen), (keys, values, mask))
            x = self._after(layer, x, asked.take(mixed))
        return self._unit(x, self._decoder.norm), memory

    def read_on(
        self, x: Tensor, positions: Tensor, own: tuple[Memory, Tensor], stems: Memory, unseen: Tensor
    ) -> Tensor:
        """Read one more token a row; hidden states [rows, width].

        ``own`` is what is kept of each row's leaf, with room for this token, and its length [rows].
        """
        memory, lengths = own
        turn, layout = self._turn(x, positions), _one_each(len(x))
        rows, places = torch.arange(len(x)), int(lengths.max()) + 1
        mask = torch.zeros(len(x), 1, places).masked_fill_(
            torch.arange(places)[None, None] > lengths[:, None, None], float("-inf")
        )
        for number, layer in enumerate(self._decoder.layers):
            normed = self._unit(x, layer.input_layernorm)
            key, value = self._remember(layer.self_attn, normed, turn, layout)
            keys, values = memory.keys[number], memory.values[number]
            keys[rows, :, lengths] = key[:, :, 0]
            values[rows, :, lengths] = value[:, :, 0]
            query = layout.lay(self._query(layer.self_attn, normed, turn))
            kept = (keys[:, :, :places], values[:, :, :places], mask)
            x = self._after(
                layer, x, layout.take(self._attend(query, (stems.keys[number], stems.values[number], unseen), kept))
            )
        return self._unit(x, self._decoder.norm)

    def _attend(self, query: Tensor, stem: tuple[Tensor, Tensor, Tensor], own: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """[rows, heads, asked, size]: each row's queries see its stem and what is its own; rows are stem after stem."""
        rows, _, asked, size = query.shape
        stems, shared, places, _ = stem[0].shape
        leaves, each = rows // stems, self.heads // shared
        # All queries that see the same stem's head stand in one matrix, so that no stem is copied for its leaves.
        query = query.view(stems, leaves, shared, each, asked, size).transpose(1, 2)
        to_stem = query.reshape(stems, shared, -1, size) @ stem[0].transpose(2, 3)
        to_stem = to_stem.add_(stem[2][:, None, None]).view(stems, shared, leaves, each, asked, places)
        keys, values = (kept.view(stems, leaves, shared, 1, -1, size).transpose(1, 2) for kept in own[:2])
        to_own = query @ keys.transpose(-1, -2) + own[2].view(stems, 1, leaves, 1, asked, -1)
        weights = torch.cat((to_stem, to_own), -1).mul_(size**-0.5).softmax(-1)
        from_stem = weights[..., :places].reshape(stems, shared, -1, places) @ stem[1]
        mixed = from_stem.view(query.shape) + weights[..., places:] @ values
        return mixed.transpose(1, 2).reshape(rows, self.heads, asked, size)

    def _remember(
        self, attention: Any, normed: Tensor, turn: tuple[Tensor, Tensor], layout: Layout
    ) -> tuple[Tensor, Tensor]:
        shape = (len(normed), self.kept_heads, self.size)
        key = _turned(attention.k_proj(normed).view(shape), turn)
        return layout.lay(key), layout.lay(attention.v_proj(normed).view(shape))

    def _query(self, attention: Any, normed: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        return _turned(attention.q_proj(normed).view(len(normed), self.heads, self.size), turn)

    def _after(self, layer: Any, x: Tensor, mixed: Tensor) -> Tensor:
        """The residual stream after attention's output and the MLP."""
        x = x + layer.self_attn.o_proj(mixed)
        out: Tensor = x + layer.mlp(self._unit(x, layer.post_attention_layernorm))
        return out

    def _unit(self, x: Tensor, norm: Any) -> Tensor:
        scaled: Tensor = unit(x, self._eps)[0] * norm.weight
        return scaled

    def _turn(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines [tokens, 1, size] of the positions."""
        cosine, sine = self._decoder.rotary_emb(x, positions[None])
        half = self.size // 2
        return cosine[0][:, None], torch.cat((-sine[0][:, :half], sine[0][:, half:]), -1)[:, None]


def _turned(heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    one, other = heads.chunk(2, -1)
    return torch.addcmul(heads * turn[0], torch.cat((other, one), -1), turn[1])


def _one_each(rows: int) -> Layout:
    """A token a row."""
    numbers = torch.arange(rows)
    return Layout(rows, 1, numbers, numbers)
