"""The loss of each sample's answers under a checkpoint: what training would start from, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from registry.sample import Message
from trainers.chat import Template, template
from trainers.features import Features, PictureCache
from trainers.forward import Network
from trainers.loader import make_step
from trainers.measure import Sample, Tools
from trainers.model import freeze
from trainers.packing import by_length
from trainers.tokens import Encoded

BATCH = 64
"""Samples at a time, at most."""
BATCH_TOKENS = 4_096
"""Tokens at a time, at most (a longer sample goes alone): each learned one costs a row of the vocabulary's size."""


@dataclass(frozen=True)
class Told:
    """A sample as a model reads it: tokens with every picture expanded, and the pictures' sha256."""

    tokens: Encoded
    images: tuple[str, ...]

    @property
    def learned(self) -> int:
        """Tokens of the answers."""
        return int(self.tokens.learned.sum())


@dataclass
class Reader:
    """A checkpoint that reads samples and says how surprising their answers are."""

    network: Network
    form: Template
    longest: int
    """Tokens that the decoder was made for; what is beyond them is not read."""
    cache: PictureCache = field(repr=False)

    @classmethod
    def open(cls, tools: Tools) -> Reader:
        """Load the checkpoint; Refusal when it is no LLaVA, or the template does not fit it."""
        assert tools.template is not None, "who asks for losses says how the model is asked"
        form = template(tools.template)
        checkpoint = tools.workshop.checkpoint(tools.checkpoint)
        freeze(checkpoint, [])
        if form.asks:
            checkpoint.tokens.single(form.stop)
        cache = PictureCache()
        network = Network(checkpoint, Features(checkpoint, tools.read, cache))
        longest = int(checkpoint.model.config.text_config.max_position_embeddings)
        return cls(network, form, longest, cache)

    def tell(self, samples: Sequence[Sample]) -> list[Told | None]:
        """The samples in tokens; None for one that has nothing to learn in what the decoder can read.

        None too where the text has not a place for each picture: a template that leaves some out, or a picture beyond
        the decoder's length.
        """
        checkpoint = self.network.checkpoint
        rendered = [self.form.render(sample.messages) for sample in samples]
        encoded = checkpoint.tokens.encode(rendered, checkpoint.image_tokens)
        return [self._told(tokens, sample.images) for tokens, sample in zip(encoded, samples, strict=True)]

    def losses(self, told: Sequence[Told | None]) -> list[float | None]:
        """Nats per token of the answers; what the pictures' tower makes of a picture is kept until the next call."""
        found: list[float | None] = [None] * len(told)
        there = [(number, one) for number, one in enumerate(told) if one is not None]
        with torch.inference_mode():
            for numbers in by_length([len(one.tokens) for _, one in there], BATCH, BATCH_TOKENS):
                batch = [there[number] for number in numbers]
                step = make_step([one.tokens for _, one in batch], [one.images for _, one in batch], [1] * len(batch))
                for (number, _), loss in zip(batch, self.network.sample_losses(step).tolist(), strict=True):
                    found[number] = loss
        self.cache.forget()
        return found

    def _told(self, tokens: Encoded, images: tuple[str, ...]) -> Told | None:
        image_id = self.network.checkpoint.tokens.image_id
        if tokens.pictures != len(images) or (tokens.ids[self.longest :] == image_id).any():
            return None
        told = Told(Encoded(tokens.ids[: self.longest], tokens.learned[: self.longest], tokens.pictures), images)
        return told if told.learned else None


def without_pictures(sample: Sample) -> Sample:
    """The sample with its pictures and their places taken away."""
    return Sample(sample.id, [_text_alone(message) for message in sample.messages], ())


def _text_alone(message: Message) -> Message:
    return {**message, "content": [part for part in message["content"] if part["type"] != "image"]}
