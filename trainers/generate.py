"""Greedy replies, many prompts at a time, with the picture treatment and templates of training.

What prompts have in common is read once (``trainers.sharing``), each further token costs one token of work, and of a
prompt only the last position is predicted. What a prompt is answered does not depend on its company: where two tokens
are so close that the order of a sum decides between them, the prompt is answered alone, as transformers would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from trainers.forward import Network
from trainers.packing import by_length
from trainers.reading import Layout, Reader, reads
from trainers.sharing import Bundle, Prompt, bundles

BATCH = 64
"""Prompts at a time, at most."""
BATCH_TOKENS = 4096
"""Tokens read at a time, at most (a longer prompt goes alone)."""
KEPT_BYTES = 1 << 30
"""Memory for keys and values, at most (a longer prompt goes alone)."""
CLOSE = 1e-4
"""Two predictions that differ by less than this share of the largest one may change places with the company."""
ROOM = 32
"""Places for generated tokens that are made at a time."""

Reply = tuple[int, list[int]]
"""Number of the prompt and its tokens."""


def replies(network: Network, prompts: Sequence[Prompt], stop: int, max_new_tokens: int) -> list[list[int]]:
    """Greedy tokens for each prompt, without the ``stop`` token that ends them."""
    found: list[list[int]] = [[] for _ in prompts]
    for batch in reply_batches(network, prompts, stop, max_new_tokens):
        for number, reply in batch:
            found[number] = reply
    return found


def reply_batches(network: Network, prompts: Sequence[Prompt], stop: int, max_new_tokens: int) -> Iterator[list[Reply]]:
    """The same, as batches are finished; every prompt comes once."""
    if not reads(network.decoder.config):
        for number, prompt in enumerate(prompts):
            yield [(number, _alone(network, prompt, stop, max_new_tokens))]
        return
    reader = Reader(network.decoder)
    for part in _batches(bundles(prompts, network.checkpoint.tokens.image_id), prompts, reader):
        with torch.no_grad():
            numbers = [number for bundle in part for number in bundle.numbers]
            found, doubtful = _Batch(network, reader, part, prompts).run(stop, max_new_tokens)
            for place in doubtful:
                found[place] = _alone(network, prompts[numbers[place]], stop, max_new_tokens)
        yield list(zip(numbers, found, strict=True))


def _batches(found: Sequence[Bundle], prompts: Sequence[Prompt], reader: Reader) -> Iterator[list[Bundle]]:
    """Bundles of equally many leaves and about the same length, bounded in prompts, tokens and memory."""
    tokens = min(BATCH_TOKENS, KEPT_BYTES // reader.token_bytes)
    for leaves in sorted({len(bundle.numbers) for bundle in found}):
        equal = [bundle for bundle in found if len(bundle.numbers) == leaves]
        sizes = [
            bundle.stem + sum(len(prompts[number].tokens) - bundle.stem for number in bundle.numbers)
            for bundle in equal
        ]
        for numbers in by_length(sizes, max(1, BATCH // leaves), tokens):
            yield [equal[number] for number in numbers]


class _Batch:
    """Bundles of equally many prompts, and the keys and values of what they have read so far."""

    def __init__(self, network: Network, reader: Reader, found: Sequence[Bundle], prompts: Sequence[Prompt]) -> None:
        self._network = network
        self._reader = reader
        self._leaves = len(found[0].numbers)
        self._prompts = [prompts[number] for bundle in found for number in bundle.numbers]
        self._stems = torch.tensor([bundle.stem for bundle in found])
        self._starts = self._stems.repeat_interleave(self._leaves)
        self._lengths = torch.tensor([len(prompt.tokens) for prompt in self._prompts]) - self._starts
        self._doubtful: set[int] = set()

    def run(self, stop: int, most: int) -> tuple[list[list[int]], set[int]]:
        """Tokens of every prompt's reply, and the places of those that must be asked again, alone."""
        found: list[list[int]] = [[] for _ in self._prompts]
        rows = list(range(len(found)))
        going = dict.fromkeys(rows, True)
        hidden = self._read()
        for count in range(most):
            chosen = self._choose(hidden, rows)
            for place, token in zip(rows, chosen, strict=True):
                going[place] &= token != stop and place not in self._doubtful
                if going[place]:
                    found[place].append(token)
                    going[place] = not self._prompts[place].choices
            if count + 1 == most or not any(going[place] for place in rows):
                break
            rows, chosen = self._drop_ended(rows, chosen, going)
            hidden = self._read_on(torch.tensor(chosen))
        return found, self._doubtful

    def _read(self) -> Tensor:
        """Read stems and leaves; hidden states [prompts, width] after their last tokens."""
        parts = list(zip(self._prompts, self._starts.tolist(), strict=True))
        heads = parts[:: self._leaves]
        stem_layout = Layout.of(self._stems, torch.zeros_like(self._stems))
        self._unseen = torch.zeros(len(self._stems), stem_layout.longest).masked_fill_(
            torch.arange(stem_layout.longest)[None] >= self._stems[:, None], float("-inf")
        )
        self._shared = self._reader.read_stems(self._embed([(p, 0, stem) for p, stem in heads]), stem_layout)
        leaves = self._embed([(prompt, stem, len(prompt.tokens)) for prompt, stem in parts])
        layout = Layout.of(self._lengths, self._starts)
        hidden, self._own = self._reader.read_leaves(leaves, layout, self._shared, self._unseen)
        return hidden

    def _embed(self, parts: Sequence[tuple[Prompt, int, int]]) -> Tensor:
        """[tokens, width] of pieces of prompts, which hold pictures whole or not at all."""
        each = self._network.checkpoint.image_tokens
        ids: list[Tensor] = []
        images: list[str] = []
        for prompt, start, end in parts:
            places = prompt.tokens.ids == self._network.checkpoint.tokens.image_id
            first, last = (int(places[:bound].sum()) // each for bound in (start, end))
            ids.append(torch.from_numpy(prompt.tokens.ids[start:end]).long())
            images += prompt.images[first:last]
        return self._network.embed_ids(torch.cat(ids), images)

    def _choose(self, hidden: Tensor, rows: Sequence[int]) -> list[int]:
        """The next token of each row; rows in which two are too close to tell are noted."""
        logits = self._network.head(hidden)
        for row, place in enumerate(rows):
            if self._prompts[place].choices:
                allowed = torch.full_like(logits[row], float("-inf"))
                allowed[list(self._prompts[place].choices)] = 0.0
                logits[row] += allowed
        (first, second), chosen = logits.topk(2).values.unbind(-1), logits.argmax(-1)
        close = first - second <= CLOSE * torch.maximum(first.abs(), second.abs())
        self._doubtful |= {rows[row] for row in close.nonzero().flatten().tolist()}
        found: list[int] = chosen.tolist()
        return found

    def _drop_ended(self, rows: list[int], chosen: list[int], going: dict[int, bool]) -> tuple[list[int], list[int]]:
        """Leave out the stems whose prompts have all ended, once that is half of them: it copies the others."""
        alive = [
            stem
            for stem in range(len(rows) // self._leaves)
            if any(going[place] for place in rows[stem * self._leaves : (stem + 1) * self._leaves])
        ]
        if 2 * len(alive) * self._leaves > len(rows):
            return rows, chosen
        kept = torch.tensor([stem * self._leaves + leaf for stem in alive for leaf in range(self._leaves)])
        stems = torch.tensor(alive)
        self._shared, self._unseen = self._shared.rows(stems), self._unseen[stems]
        self._own, self._lengths, self._starts = self._own.rows(kept), self._lengths[kept], self._starts[kept]
        return [rows[row] for row in kept.tolist()], [chosen[row] for row in kept.tolist()]

    def _read_on(self, tokens: Tensor) -> Tensor:
        """Read one more token [rows] each; hidden states [rows, width]."""
        if int(self._lengths.max()) == self._own.keys[0].shape[2]:
            self._own = self._own.widened(ROOM)
        positions = self._starts + self._lengths
        own = self._own, self._lengths
        hidden = self._reader.read_on(self._network.words(tokens), positions, own, self._shared, self._unseen)
        self._lengths = self._lengths + 1
        return hidden


def _alone(network: Network, prompt: Prompt, stop: int, max_new_tokens: int) -> list[int]:
    """One prompt through transformers' own forward, nothing shared and nothing remembered from others."""
    with torch.no_grad():
        ids = torch.from_numpy(prompt.tokens.ids).long()
        embedded = network.embed_ids(ids, prompt.images, alone=True)[None]
        out: list[int] = []
        cache = None
        for _ in range(max_new_tokens):
            result = network.decoder(inputs_embeds=embedded, past_key_values=cache, use_cache=True)
            cache = result.past_key_values
            logits = network.head(result.last_hidden_state[0, -1:])[0]
            if prompt.choices:
                return [prompt.choices[int(logits[list(prompt.choices)].argmax())]]
            token = int(logits.argmax())
            if token == stop:
                break
            out.append(token)
            embedded = network.words(torch.tensor([[token]]))
        return out
