"""From a mix to the packed steps of a training run.

Samples come in an order that depends on the seed and on each sample alone (common random numbers): a mix with one more
part has the same order with that part's samples put in between. Every sample is tokenised once per process, however
many trials and epochs see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from registry.errors import Refusal
from registry.identity import order_key
from registry.mix import MixReader
from registry.trial import Stage
from trainers.chat import Template, template
from trainers.packing import Indices, pack
from trainers.tokens import Encoded, Tokens

if TYPE_CHECKING:
    import pyarrow as pa

IGNORED = -100
"""Label of a token that is not learned (the convention of torch and transformers)."""

CHUNK = 2048
"""Samples tokenised at a time."""

Longs = npt.NDArray[np.int64]


@dataclass
class TokenCache:
    """Tokenised samples of this process by sample id. One cache belongs to one tokenizer and picture size."""

    tokens: Tokens
    image_tokens: int
    _known: dict[tuple[str, str], Encoded] = field(default_factory=dict)

    def encode(self, reader: MixReader, rows: pa.Table, form: Template) -> list[Encoded]:
        """The rows' samples in tokens; only those not seen before are read and tokenised."""
        ids = rows.column("id").to_pylist()
        absent: dict[str, int] = {}
        for number, sample in enumerate(ids):
            if (form.name, sample) not in self._known:
                absent.setdefault(sample, number)
        numbers = list(absent.values())
        for start in range(0, len(numbers), CHUNK):
            chosen = numbers[start : start + CHUNK]
            rendered = [form.render(messages) for messages in reader.messages(rows.take(chosen))]
            for number, encoded in zip(chosen, self.tokens.encode(rendered, self.image_tokens), strict=True):
                self._known[form.name, ids[number]] = encoded
        return [self._known[form.name, sample] for sample in ids]


NEARBY = 256
"""Samples that wait while rows are packed: few, so that two mixes that differ little are seen in nearly one order."""


@dataclass(frozen=True)
class Step:
    """What one optimiser step sees: the real tokens of its rows one after another, without padding.

    Samples are contiguous and never attend to one another; ``lengths`` says where each ends.
    """

    ids: Longs
    """[tokens]"""
    labels: Longs
    """[tokens] the token itself where it is learned, else -100."""
    positions: Longs
    """[tokens] 0, 1, 2 … within each sample."""
    lengths: Longs
    """[samples] tokens of each sample; they add up to the number of tokens."""
    rows: Longs
    """[rows] samples in each packed row."""
    images: tuple[str, ...]
    """sha256 of each picture, in the order of their places in ``ids``."""

    @property
    def samples(self) -> int:
        """Samples in the step."""
        return len(self.lengths)

    @property
    def learned(self) -> int:
        """Tokens whose prediction is trained."""
        return int((self.labels != IGNORED).sum())


@dataclass(frozen=True)
class Corpus:
    """A mix in tokens, in the order of one seed, and what had to be left out."""

    samples: list[Encoded]
    images: list[tuple[str, ...]]
    too_long: int
    stage: Stage
    order: list[tuple[str, int]]
    """(id, copy) of each sample."""
    seed: int
    unsupervised: int = 0
    """Samples that were left out because nothing of them is learned."""

    @property
    def rejected(self) -> dict[str, int]:
        """Reason -> samples that were left out."""
        found = {"longer than a packed row": self.too_long, "nothing to learn": self.unsupervised}
        return {reason: count for reason, count in found.items() if count}

    def steps(self) -> list[list[Indices]]:
        """The packed rows (arrays of sample numbers) of every optimiser step of every epoch."""
        found: list[list[Indices]] = []
        for epoch in range(self.stage.epochs):
            order = self._epoch_order(epoch)
            lengths = [len(self.samples[number]) for number in order]
            rows = [order[row] for row in pack(lengths, self.stage.capacity, NEARBY)]
            per_step = self.stage.rows_per_step
            found += [rows[start : start + per_step] for start in range(0, len(rows), per_step)]
        return found

    def _epoch_order(self, epoch: int) -> Indices:
        if epoch == 0:
            return np.arange(len(self.samples))
        keys = [order_key(self.seed, "order", sample, copy, epoch) for sample, copy in self.order]
        return np.argsort(np.array(keys, dtype=np.uint64), kind="stable")

    def batch(self, rows: Sequence[Indices], by_length: bool = False) -> Step:
        """The tokens of one step: row after row, or (``by_length``) as one row with the shortest samples first."""
        numbers = np.concatenate(rows)
        if by_length:
            sizes = [len(self.samples[number]) for number in numbers]
            numbers = numbers[np.argsort(sizes, kind="stable")]
            rows = [numbers]
        return make_step(
            [self.samples[number] for number in numbers],
            [self.images[number] for number in numbers],
            [len(row) for row in rows],
        )


def make_step(samples: Sequence[Encoded], images: Sequence[tuple[str, ...]], rows: Sequence[int]) -> Step:
    """Samples one after another; ``rows`` says how many belong to each packed row."""
    ids = np.concatenate([sample.ids for sample in samples]).astype(np.int64)
    learned = np.concatenate([sample.learned for sample in samples])
    lengths = np.array([len(sample) for sample in samples], dtype=np.int64)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Step(
        ids=ids,
        labels=np.where(learned, ids, IGNORED),
        positions=np.arange(len(ids)) - starts,
        lengths=lengths,
        rows=np.array(rows, dtype=np.int64),
        images=tuple(image for found in images for image in found),
    )


def load_corpus(reader: MixReader, stage: Stage, seed: int, cache: TokenCache) -> Corpus:
    """Read, order and tokenise a mix; Refusal when it is not fit to be learned from."""
    rows = reader.rows()
    if not rows.num_rows:
        raise Refusal(f"mix '{reader.info.name}'", "has no samples", "loosen its filters or add a part")
    keys = [
        order_key(seed, "order", sample, copy)
        for sample, copy in zip(rows.column("id").to_pylist(), rows.column("copy").to_pylist(), strict=True)
    ]
    rows = rows.take(np.argsort(np.array(keys, dtype=np.uint64), kind="stable"))
    encoded = cache.encode(reader, rows, template(stage.template))
    order = list(zip(rows.column("id").to_pylist(), rows.column("copy").to_pylist(), strict=True))
    images = [tuple(image["sha256"] for image in found or ()) for found in rows.column("images").to_pylist()]
    _refuse_unfit(encoded, images, order, reader)
    taught = [number for number, sample in enumerate(encoded) if sample.learned.any()]
    silent = len(encoded) - len(taught)
    _refuse_silent(silent, len(encoded), stage, reader)
    fits = [number for number in taught if len(encoded[number]) <= stage.capacity]
    too_long = len(taught) - len(fits)
    _refuse_too_long(too_long, len(encoded), stage, reader)
    return Corpus(
        [encoded[n] for n in fits], [images[n] for n in fits], too_long, stage, [order[n] for n in fits], seed, silent
    )


def _refuse_unfit(
    encoded: list[Encoded], images: list[tuple[str, ...]], order: list[tuple[str, int]], reader: MixReader
) -> None:
    """A sample whose pictures and places differ would train on something else silently."""
    for sample, found, (name, _) in zip(encoded, images, order, strict=True):
        where = f"mix '{reader.info.name}', sample {name}"
        if sample.pictures != len(found):
            what = f"its text has {sample.pictures} picture places but it has {len(found)} pictures"
            raise Refusal(where, what, "filter it out, or use a template that writes every picture")


def _refuse_silent(silent: int, total: int, stage: Stage, reader: MixReader) -> None:
    share = silent / total
    if share > stage.unsupervised_limit or silent == total:
        what = f"{silent} of {total} samples ({share:.1%}) have no token to learn, under template '{stage.template}'"
        limit = f"raise 'unsupervised_limit' (now {stage.unsupervised_limit})"
        raise Refusal(f"mix '{reader.info.name}'", what, f"filter empty answers out of its datasets, or {limit}")


def _refuse_too_long(too_long: int, total: int, stage: Stage, reader: MixReader) -> None:
    share = too_long / total
    if share > stage.too_long_limit or too_long == total:
        what = f"{too_long} of {total} samples ({share:.1%}) are longer than a row of {stage.capacity} tokens"
        limit = f"raise 'too_long_limit' (now {stage.too_long_limit})"
        way = f"raise 'capacity' of stage {stage.name}, filter long samples, or {limit}"
        raise Refusal(f"mix '{reader.info.name}'", what, way)
