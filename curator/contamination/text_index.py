"""Which texts of a benchmark a sample holds: an index of their shingles, and how much of each text is found.

A shingle that many texts share (the frame that all questions of a task are put in) says little: it weighs one part in
as many as there are texts that have it. How much of a text is found is the weight of its shingles that occur in the
sample, by the weight of all: 1 when the whole text is in the sample, whatever stands around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from curator.batch import Texts
from curator.duplicates.words import Hashes, Worded, mix, words_of
from registry.compiled import (
    INT64S,
    OUT_INT64S,
    OUT_UINT64S,
    UINT64S,
    compiled,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FLOATS = types.Array(types.float64, 1, "C", readonly=True)
OUT_FLOATS = types.Array(types.float64, 1, "C")

SHINGLE_WORDS = 5
_PLACE = np.uint64(0xC2B2AE3D27D4EB4F)


class Found(NamedTuple):
    """Texts that samples hold, sample by sample."""

    sample: Ints
    text: Ints
    overlap: Floats
    """Share of the text's weight, 0..1."""


@dataclass(frozen=True)
class TextIndex:
    """The shingles of some texts."""

    texts: list[str]
    words: int = SHINGLE_WORDS
    """Words of a shingle; a shorter text is one shingle."""

    @cached_property
    def lengths(self) -> Ints:
        """Words of each text."""
        return np.diff(self._worded.starts) - 1

    def find(self, texts: Texts, samples: int, least: float) -> Found:
        """The texts of which a batch of so many samples holds at least this share.

        The messages of a sample are read one after the other, each begun by a word that says who speaks.
        """
        worded = words_of(texts, samples)
        size = len(self.texts)
        overlap, stamp, touched = np.zeros(size), np.full(size, -1, np.int64), np.empty(size, np.int64)
        seen = np.full(len(self._shingles), -1, np.int64)
        room = 1024
        while True:
            out_sample, out_text, out_overlap = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
            count = _scan(
                worded.words, worded.starts, self._sizes, self._shingles, self._slots, self._begin, self._postings,
                self._weight, self._whole, least, overlap, stamp, touched, seen, out_sample, out_text, out_overlap,
            )  # fmt: skip
            if count <= room:
                return Found(out_sample[:count], out_text[:count], out_overlap[:count])
            room, stamp[:], seen[:] = count, -1, -1

    @cached_property
    def _worded(self) -> Worded:
        import pyarrow as pa

        n = len(self.texts)
        every = np.arange(n)
        return words_of(Texts(pa.array(self.texts, pa.string()), every, np.zeros(n, np.bool_), every), n)

    @cached_property
    def _owned(self) -> tuple[Hashes, Ints]:
        """Each distinct ``(shingle, text)``, sorted."""
        worded = self._worded
        room = len(worded.words) + len(self.texts)
        shingles, owners = np.empty(room, np.uint64), np.empty(room, np.int64)
        count = _shingles_of_texts(worded.words, worded.starts, self.words, shingles, owners)
        pairs = np.unique(np.column_stack([shingles[:count], owners[:count].astype(np.uint64)]), axis=0)
        return pairs[:, 0], pairs[:, 1].astype(np.int64)

    @cached_property
    def _distinct(self) -> tuple[Hashes, Ints]:
        """Each distinct shingle, and where its texts begin in ``_postings``."""
        shingles, begin = np.unique(self._owned[0], return_index=True)
        return shingles, np.append(begin, len(self._owned[0])).astype(np.int64)

    @property
    def _shingles(self) -> Hashes:
        return self._distinct[0]

    @property
    def _begin(self) -> Ints:
        return self._distinct[1]

    @property
    def _postings(self) -> Ints:
        return self._owned[1]

    @cached_property
    def _weight(self) -> Floats:
        return 1.0 / np.diff(self._begin).astype(np.float64)

    @cached_property
    def _whole(self) -> Floats:
        """The weight of each text's shingles together."""
        weights = np.repeat(self._weight, np.diff(self._begin))
        return np.bincount(self._postings, weights=weights, minlength=len(self.texts)).astype(np.float64)

    @cached_property
    def _sizes(self) -> Ints:
        """The numbers of words that shingles have: the usual one, and those of texts that are shorter."""
        return np.unique(np.minimum(self.lengths, self.words)).astype(np.int64)

    @cached_property
    def _slots(self) -> Ints:
        """Hash table: slot -> number of the shingle, -1 where free; a power of two, a quarter full at most."""
        slots = np.full(1 << max(4, (4 * len(self._shingles)).bit_length()), -1, np.int64)
        _fill(self._shingles, slots)
        return slots


@compiled(types.uint64, UINT64S, types.int64, types.int64)
def _shingle(words: Hashes, start: int, size: int) -> np.uint64:
    together = np.uint64(size)
    for i in range(start, start + size):
        together = mix((together ^ words[i]) * _PLACE)
    return together


@compiled(types.int64, UINT64S, INT64S, types.int64, OUT_UINT64S, OUT_INT64S)
def _shingles_of_texts(words: Hashes, starts: Ints, size: int, out: Hashes, owners: Ints) -> int:
    """Write ``(shingle, text)`` of every shingle; a text's first word says who speaks and is skipped."""
    done = 0
    for text in range(len(starts) - 1):
        first, last = starts[text] + 1, starts[text + 1]
        here = min(size, last - first)
        if here <= 0:
            continue
        for at in range(first, last - here + 1):
            out[done] = _shingle(words, at, here)
            owners[done] = text
            done += 1
    return done


@compiled(types.void, UINT64S, OUT_INT64S)
def _fill(shingles: Hashes, slots: Ints) -> None:
    last = np.uint64(len(slots) - 1)
    for number in range(len(shingles)):
        slot = shingles[number] & last
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & last
        slots[slot] = number


@compiled(
    types.int64, UINT64S, INT64S, INT64S, UINT64S, INT64S, INT64S, INT64S, FLOATS, FLOATS, types.float64,
    OUT_FLOATS, OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_INT64S, OUT_FLOATS,
)  # fmt: skip
def _scan(  # noqa: C901, PLR0913, PLR0917 - a kernel takes arrays, not objects, and calls are dear in it
    words: Hashes,
    starts: Ints,
    sizes: Ints,
    shingles: Hashes,
    slots: Ints,
    begin: Ints,
    postings: Ints,
    weight: Floats,
    whole: Floats,
    least: float,
    overlap: Floats,
    stamp: Ints,
    touched: Ints,
    seen: Ints,
    out_sample: Ints,
    out_text: Ints,
    out_overlap: Floats,
) -> int:
    """Write what each sample holds, as far as there is room; how much there is."""
    count = 0
    last = np.uint64(len(slots) - 1)
    for sample in range(len(starts) - 1):
        n_touched = 0
        for size in sizes:
            for at in range(starts[sample], starts[sample + 1] - size + 1):
                hashed = _shingle(words, at, size)
                slot = hashed & last
                while slots[slot] >= 0 and shingles[slots[slot]] != hashed:
                    slot = (slot + np.uint64(1)) & last
                number = slots[slot]
                if number < 0 or seen[number] == sample:
                    continue
                seen[number] = sample
                for i in range(begin[number], begin[number + 1]):
                    text = postings[i]
                    if stamp[text] != sample:
                        stamp[text] = sample
                        overlap[text] = 0.0
                        touched[n_touched] = text
                        n_touched += 1
                    overlap[text] += weight[number]
        for i in range(n_touched):
            text = touched[i]
            if overlap[text] >= least * whole[text]:
                if count < len(out_sample):
                    out_sample[count] = sample
                    out_text[count] = text
                    out_overlap[count] = min(1.0, overlap[text] / whole[text])
                count += 1
    return count
