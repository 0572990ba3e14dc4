"""Words and neighbouring words of a sample as numbers of buckets: what samples of one category have in common.

What is asked and what is answered have buckets of their own. A gram counts once in a sample, however often it is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from curator.batch import Batch, Ints, Texts

if TYPE_CHECKING:
    from curator.duplicates.words import Hashes

VERSION = 1
"""Raised whenever the same sample gets other buckets."""
BUCKETS = 1 << 15
_SIDE = np.uint64(14)
"""Bits of the buckets of one side: requests have the lower half, answers the upper one."""
_NEXT = np.uint64(0x9E3779B97F4A7C15)
MOST_WORDS = 400
"""Words of the requests, and of the answers, that are looked at: a long answer is not more of its kind."""


class Grams(NamedTuple):
    """The grams of a batch of samples, flat, in the order of the samples; every sample has at least one."""

    sample: Ints
    bucket: Ints


def grams(batch: Batch) -> Grams:
    """The buckets of each sample, rising and each once."""
    texts = batch.texts
    asked = np.flatnonzero(~texts.answer)
    requests = Texts(texts.texts.take(asked), texts.sample[asked], texts.answer[asked], texts.message[asked])
    sides = [_side(requests, 0, len(batch)), _side(texts.answers, 1, len(batch))]
    keys = np.unique(np.concatenate(sides))
    return Grams(keys // BUCKETS, keys % BUCKETS)


def _side(texts: Texts, side: int, n_samples: int) -> Ints:
    """``sample * BUCKETS + bucket`` of the words and pairs of words on one side, repeats included."""
    from curator.duplicates.words import stirred, words_of  # compiled: half a second that resolving a recipe saves

    worded = words_of(texts, n_samples)
    owner = np.repeat(np.arange(n_samples), np.diff(worded.starts))
    early = np.arange(len(owner)) - worded.starts[owner] < MOST_WORDS
    words, owner = worded.words[early], owner[early]
    pairs = stirred(words[:-1] * _NEXT + words[1:])[owner[:-1] == owner[1:]]
    first = owner[:-1][owner[:-1] == owner[1:]]
    return np.concatenate([_keys(owner, stirred(words), side), _keys(first, pairs, side)])


def _keys(owner: Ints, hashes: Hashes, side: int) -> npt.NDArray[np.int64]:
    bucket = (hashes >> (np.uint64(64) - _SIDE)).astype(np.int64) + side * (BUCKETS // 2)
    keys: npt.NDArray[np.int64] = owner.astype(np.int64) * BUCKETS + bucket
    return keys
