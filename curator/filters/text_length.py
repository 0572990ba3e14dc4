"""How long a conversation is: characters and words of all its text, of its answers, and its number of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, least, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
NEEDS_PICTURES = False
COLUMNS = {
    "chars": Column("characters", "Unicode characters of all messages"),
    "words": Column("words", "runs of characters without blanks, of all messages"),
    "answer_words": Column("words", "of the answers alone"),
    "shortest_answer_words": Column("words", "of the shortest answer"),
    "longest_answer_words": Column("words", "of the longest answer"),
    "turns": Column("questions", "user messages"),
}


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null for shortest and longest answer when there is none."""
    from curator.kernels.counts import lengths

    texts, n = batch.texts, len(batch)
    characters, words = lengths(texts.flat)
    said = texts.answer
    # An answer may be cut into several text parts; its words are those of all of them.
    of_message = np.bincount(texts.message[said], weights=words[said])
    answers, first = np.unique(texts.message[said], return_index=True)
    sample, answer_words = texts.sample[said][first], of_message[answers]
    values = {
        "chars": np.bincount(texts.sample, weights=characters, minlength=n),
        "words": np.bincount(texts.sample, weights=words, minlength=n),
        "answer_words": np.bincount(texts.sample[said], weights=words[said], minlength=n),
        "shortest_answer_words": least(sample, answer_words, n),
        "longest_answer_words": -least(sample, -answer_words, n),
        "turns": batch.turns().astype(np.float64),
    }
    return {name: with_nulls(value, "int32") for name, value in values.items()}
