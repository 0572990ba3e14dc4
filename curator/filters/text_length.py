"""How long a conversation is: characters and words of all its text, and its number of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curator.batch import Batch, Column, Texts

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
COLUMNS = {
    "chars": Column("characters", "Unicode characters of all messages"),
    "words": Column("words", "runs of characters without blanks, of all messages"),
    "answer_words": Column("words", "of the answers alone"),
    "turns": Column("questions", "user messages"),
}


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample, never null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts, n = batch.texts, len(batch)
    chars = np.bincount(texts.sample, weights=np.asarray(pc.utf8_length(texts.texts)), minlength=n)
    values = {
        "chars": chars,
        "words": _words(texts, n),
        "answer_words": _words(texts.answers(), n),
        "turns": batch.turns(),
    }
    return {name: pa.array(value.astype(np.int32)) for name, value in values.items()}


def _words(texts: Texts, n_samples: int) -> npt.NDArray[np.float64]:
    import pyarrow.compute as pc

    counts = np.asarray(pc.count_substring_regex(texts.texts, pattern=r"\S+"))
    return np.bincount(texts.sample, weights=counts, minlength=n_samples).astype(np.float64)
