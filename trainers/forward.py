"""From a packed step to its loss: embed, put the pictures in, decode, and predict where something is learned.

Two ways through the decoder give the same numbers: ``trainers.lean`` for the decoders it knows, on the CPU in one
process, and transformers' own modules for all others: on a GPU, in parts over many processes, in mixed precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from trainers import lean, packed_attention
from trainers.cross_entropy import summed_cross_entropy
from trainers.features import Features
from trainers.loader import IGNORED, Step
from trainers.model import Checkpoint

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Way:
    """How a model is computed. Only speed, memory and the last digits depend on it."""

    precision: str = "fp32"
    device: torch.device = CPU
    whole: bool = True
    """False when the modules must be called as they are: their weights are in parts, or hooks hang on them."""
    capacity: int = 0
    """Tokens that every row is filled up to, so that all steps have one shape (for torch.compile); 0 = not filled."""


class Network:
    """A checkpoint's model, ready to compute losses of packed steps."""

    def __init__(self, checkpoint: Checkpoint, features: Features, way: Way | str = "fp32") -> None:
        model: Any = checkpoint.model
        self.checkpoint = checkpoint
        self.way = Way(way) if isinstance(way, str) else way
        self.features = features
        self.decoder: Any = model.model.language_model
        self.head: Any = model.lm_head
        # The written-out backward pass is for 32-bit floats and plain layers on the CPU; all else goes through
        # transformers' modules.
        exact = self.way.precision == "fp32" and self.way.device.type == "cpu" and self.way.whole
        fits = exact and checkpoint.lora is None and lean.supports(model.config.text_config)
        self.geometry = lean.Geometry.of(self.decoder) if fits else None
        if not fits:
            packed_attention.use(self.decoder)

    @property
    def lean(self) -> bool:
        """Whether steps must come with their samples by length (``Corpus.batch``)."""
        return self.geometry is not None

    def words(self, ids: Tensor) -> Tensor:
        """Embeddings of token ids."""
        out: Tensor = self.decoder.embed_tokens(ids)
        return out

    def embed(self, step: Step, pictured: bool = False) -> Tensor:
        """[tokens, width] of a step; ``pictured``: go through tower and adapter even where it has no picture."""
        words = self.embed_ids(self._here(step.ids), step.images, step.squares)
        if step.images or not pictured:
            return words
        return words + 0 * self.features.blank().sum().to(words.dtype)

    def embed_ids(
        self, ids: Tensor, images: Sequence[str], squares: Tensor | None = None, *, alone: bool = False
    ) -> Tensor:
        """[tokens, width]: word embeddings, with picture features in the pictures' places (``Features.projected``)."""
        words = self.words(ids)
        if self.way.precision == "bf16" and not self.lean:
            words = words.bfloat16()  # and so all that is added to them, layer by layer
        if not images:
            return words
        places = (ids == self.checkpoint.tokens.image_id).nonzero().flatten()
        return words.index_copy(0, places, self.features.projected(images, squares, alone=alone).to(words.dtype))

    def logits(self, step: Step, wanted: Tensor) -> Tensor:
        """[wanted, vocabulary] predictions after the tokens whose numbers are ``wanted`` (ascending)."""
        out: Tensor = self.head(self._hidden(step, wanted))
        return out

    def loss(self, step: Step) -> Tensor:
        """Mean cross-entropy over the learned tokens of the step, as they are weighted."""
        return self.share_of_loss(step, step.mass)

    def share_of_loss(self, step: Step, mass: float, pictured: bool = False) -> Tensor:
        """Weighted sum of the cross-entropies of the step's learned tokens over ``mass``, that of all its parts."""
        wanted, labels = self._learned(step)
        if self.lean and step.weights is None:
            return functional.cross_entropy(self.logits(step, wanted).float(), labels, reduction="sum") / mass
        weights = torch.ones(len(labels)) if step.weights is None else torch.from_numpy(step.weights)
        hidden = self._hidden(step, wanted, pictured)
        return summed_cross_entropy(hidden, self.head.weight, labels, weights.to(labels.device)) / mass

    def sample_losses(self, step: Step) -> Tensor:
        """[samples] mean cross-entropy over the learned tokens of each sample; a sample without any is not allowed."""
        wanted, labels = self._learned(step)
        losses = functional.cross_entropy(self.logits(step, wanted).float(), labels, reduction="none").double()
        owner = torch.repeat_interleave(torch.arange(step.samples), torch.from_numpy(step.lengths))
        owner = owner[torch.from_numpy(step.labels) != IGNORED].to(losses.device)
        total = torch.zeros(step.samples, dtype=torch.float64, device=losses.device).index_add_(0, owner, losses)
        return total / torch.bincount(owner, minlength=step.samples)

    def _learned(self, step: Step) -> tuple[Tensor, Tensor]:
        """Which tokens' predictions are learned, and what they should be."""
        learned = np.flatnonzero(step.labels != IGNORED)
        # The first token of a sample is never learned, so the token before a learned one is of the same sample.
        return self._here(learned - 1), self._here(step.labels[learned])

    def _hidden(self, step: Step, wanted: Tensor, pictured: bool = False) -> Tensor:
        """[wanted, width] what the decoder makes of these tokens."""
        embedded = self.embed(step, pictured)
        if self.geometry is not None:
            return lean.decode(self.decoder, self.geometry, embedded, torch.from_numpy(step.lengths), wanted)
        return self._decode(step, embedded).index_select(0, wanted)

    def _decode(self, step: Step, embedded: Tensor) -> Tensor:
        """Transformers' forward over all samples in one row; [tokens, width], perhaps with filling at the end."""
        lengths, positions = step.lengths, step.positions
        filling = max(0, self.way.capacity * len(step.rows) - len(embedded))
        if filling:  # one more sample, in which nothing is learned
            embedded = functional.pad(embedded, (0, 0, 0, filling))
            lengths, positions = np.append(lengths, filling), np.append(positions, np.arange(filling))
        longest = max(int(lengths.max()), self.way.capacity)
        how = packed_attention.arguments(self._here(lengths), self._here(positions), longest)
        out: Tensor = self.decoder(inputs_embeds=embedded[None], **how).last_hidden_state
        return out[0]

    def _here(self, numbers: npt.NDArray[np.int64]) -> Tensor:
        """On the device of the model, without waiting for it."""
        found = torch.from_numpy(numbers)
        return found if self.way.device.type == "cpu" else found.pin_memory().to(self.way.device, non_blocking=True)
