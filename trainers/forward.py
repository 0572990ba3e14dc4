"""From a packed step to its loss: embed, put the pictures in, decode, and predict where something is learned.

Two ways through the decoder give the same numbers: ``trainers.lean`` for the decoders it knows (no padding, no mask),
and transformers' own forward with a block-diagonal mask for all others.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainers import lean
from trainers.features import Features
from trainers.loader import IGNORED, Step
from trainers.model import Checkpoint


class Network:
    """A checkpoint's model, ready to compute losses of packed steps."""

    def __init__(self, checkpoint: Checkpoint, features: Features, precision: str = "fp32") -> None:
        model: Any = checkpoint.model
        self.checkpoint = checkpoint
        self._features = features
        self.decoder: Any = model.model.language_model
        self.head: Any = model.lm_head
        # The written-out backward pass is for 32-bit floats; mixed precision goes through transformers' forward.
        fits = precision == "fp32" and lean.supports(model.config.text_config)
        self.geometry = lean.Geometry.of(self.decoder) if fits else None

    @property
    def lean(self) -> bool:
        """Whether steps must come with their samples by length (``Corpus.batch``)."""
        return self.geometry is not None

    def words(self, ids: Tensor) -> Tensor:
        """Embeddings of token ids."""
        out: Tensor = self.decoder.embed_tokens(ids)
        return out

    def embed(self, step: Step) -> Tensor:
        """[tokens, width]: word embeddings, with picture features in the pictures' places."""
        ids = torch.from_numpy(step.ids)
        words = self.words(ids)
        if not step.images:
            return words
        places = (ids == self.checkpoint.tokens.image_id).nonzero().flatten()
        return words.index_copy(0, places, self._features.projected(step.images, step.squares).to(words.dtype))

    def logits(self, step: Step, wanted: Tensor) -> Tensor:
        """[wanted, vocabulary] predictions after the tokens whose numbers are ``wanted`` (ascending)."""
        embedded = self.embed(step)
        if self.geometry is not None:
            hidden = lean.decode(self.decoder, self.geometry, embedded, torch.from_numpy(step.lengths), wanted)
        else:
            hidden = self._rows(step, embedded).index_select(0, wanted)
        out: Tensor = self.head(hidden)
        return out

    def loss(self, step: Step) -> Tensor:
        """Mean cross-entropy over the learned tokens of the step, as they are weighted."""
        if step.weights is None:
            return functional.cross_entropy(*self._predicted(step))
        return self.loss_sum(step) / step.mass

    def loss_sum(self, step: Step) -> Tensor:
        """Weighted sum of the cross-entropies of the learned tokens; the loss of parts is their sum over all mass."""
        losses = functional.cross_entropy(*self._predicted(step), reduction="none")
        return (losses if step.weights is None else losses * torch.from_numpy(step.weights)).sum()

    def sample_losses(self, step: Step) -> Tensor:
        """[samples] mean cross-entropy over the learned tokens of each sample; a sample without any is not allowed."""
        losses = functional.cross_entropy(*self._predicted(step), reduction="none").double()
        owner = torch.repeat_interleave(torch.arange(step.samples), torch.from_numpy(step.lengths))
        owner = owner[torch.from_numpy(step.labels) != IGNORED]
        total = torch.zeros(step.samples, dtype=torch.float64).index_add_(0, owner, losses)
        return total / torch.bincount(owner, minlength=step.samples)

    def _predicted(self, step: Step) -> tuple[Tensor, Tensor]:
        """[learned, vocabulary] predictions of the learned tokens, and the tokens."""
        labels = torch.from_numpy(step.labels)
        learned = (labels != IGNORED).nonzero().flatten()
        # The first token of a sample is never learned, so the token before a learned one is of the same sample.
        return self.logits(step, learned - 1).float(), labels[learned]

    def _rows(self, step: Step, embedded: Tensor) -> Tensor:
        """Transformers' forward over packed rows; [tokens, width]."""
        starts = [0, *torch.from_numpy(step.rows).cumsum(0).tolist()]
        sizes = [step.lengths[low:high] for low, high in pairwise(starts)]
        tokens = [int(row.sum()) for row in sizes]
        if len(tokens) == 1 and step.samples == 1:
            out: Tensor = self.decoder(inputs_embeds=embedded[None], use_cache=False).last_hidden_state
            return out[0]
        longest = max(tokens)
        rows = torch.stack(
            [functional.pad(row, (0, 0, 0, longest - len(row))) for row in torch.split(embedded, tokens)]
        )
        positions = torch.split(torch.from_numpy(step.positions), tokens)
        hidden = self.decoder(
            inputs_embeds=rows,
            attention_mask=torch.stack([block_mask(torch.from_numpy(row), longest) for row in sizes])[:, None],
            position_ids=torch.stack([functional.pad(row, (0, longest - len(row))) for row in positions]),
            use_cache=False,
        ).last_hidden_state
        return torch.cat([row[:size] for row, size in zip(hidden, tokens, strict=True)])


def block_mask(lengths: Tensor, size: int) -> Tensor:
    """Floats [size, size], 0 where a token may look (itself and earlier ones of its sample), else the lowest number.

    Padding looks at itself only, so that its softmax stays finite.
    """
    padding = size - int(lengths.sum())
    sample = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    sample = torch.cat((sample, torch.arange(padding) + len(lengths)))
    allowed = (sample[:, None] == sample[None]).tril()
    return torch.zeros(size, size).masked_fill(~allowed, torch.finfo(torch.float32).min)
