"""The samples of mixes in tokens, each made once: those of small mixes in memory, those of large ones on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from registry.mix import MixReader
from trainers.chat import Template
from trainers.packing import Indices
from trainers.token_store import Tokeniser
from trainers.tokens import Encoded, Tokens

if TYPE_CHECKING:
    import pyarrow as pa

HELD = 50_000
"""Samples of a mix that is held in memory; a larger one is tokenised into the data home."""
CHUNK = 2048
"""Samples tokenised at a time."""


@dataclass(frozen=True)
class Tokenised:
    """The samples of a mix in tokens, and their figures, all by position in the mix."""

    samples: Sequence[Encoded]
    lengths: Indices
    learned: Indices
    """Learned tokens of each sample."""
    pictures: Indices


@dataclass
class TokenCache:
    """Tokenised samples of this process by sample id. One cache belongs to one tokenizer and picture size."""

    tokens: Tokens
    image_tokens: int
    _known: dict[tuple[str, str], Encoded] = field(default_factory=dict)

    def tokenised(self, reader: MixReader, rows: pa.Table, form: Template) -> Tokenised:
        """All samples of a mix, whose rows these are."""
        if rows.num_rows > HELD:
            store = Tokeniser(self.tokens, form, self.image_tokens).store(reader, rows)
            return Tokenised(store, store.lengths, store.learned, store.pictures)
        found = self._encode(reader, rows, form)
        figures = [(len(sample), int(sample.learned.sum()), sample.pictures) for sample in found]
        return Tokenised(found, *np.array(figures, np.int64).reshape(-1, 3).T)

    def _encode(self, reader: MixReader, rows: pa.Table, form: Template) -> list[Encoded]:
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
