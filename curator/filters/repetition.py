"""How much of a sample's answers is said twice: the share of 10-character windows that occurred before in it.

Windows do not reach across messages, so many short answers ("yes", "no") do not count as repetition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curator.batch import Batch, Column, Texts, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
WINDOW = 10
"""Characters of a window."""
COLUMNS = {
    "repeated_share": Column("share 0..1", "10-character windows of the answers that occurred before", "float32"),
}

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the rolling hash: odd, so it is invertible modulo 2**64."""
_SAMPLE_BITS = 20
"""High bits of a sort key that hold the sample; the other 44 hold the hash."""


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null when its answers are shorter than one window."""
    assert len(batch) < 1 << _SAMPLE_BITS
    answers = batch.texts.answers()
    keys = _window_keys(answers)
    keys.sort()
    shift = np.uint64(64 - _SAMPLE_BITS)
    windows = np.bincount((keys >> shift).astype(np.int64), minlength=len(batch))
    seen_before = keys[1:][keys[1:] == keys[:-1]]
    repeated = np.bincount((seen_before >> shift).astype(np.int64), minlength=len(batch))
    with np.errstate(invalid="ignore"):
        return {"repeated_share": with_nulls(repeated / windows, "float32")}


def _window_keys(answers: Texts) -> npt.NDArray[np.uint64]:
    """For every window: its sample in the high bits, the hash of its characters in the low ones."""
    import pyarrow.compute as pc

    lengths = np.asarray(pc.utf8_length(answers.texts)).astype(np.int64)
    characters = np.frombuffer("".join(answers.texts.to_pylist()).encode("utf-32-le"), dtype=np.uint32)
    ends = np.cumsum(lengths)
    n_windows = np.maximum(lengths - WINDOW + 1, 0)
    total = int(n_windows.sum())
    if total == 0:
        return np.empty(0, np.uint64)
    starts = np.repeat(ends - lengths - (np.cumsum(n_windows) - n_windows), n_windows) + np.arange(total)
    hashed = np.zeros(len(characters) - WINDOW + 1, np.uint64)
    for offset in range(WINDOW):  # Horner's rule on all windows at once; uint64 wraps, which is meant
        hashed *= _FACTOR
        hashed += characters[offset : offset + len(hashed)]
    hashed = (hashed ^ (hashed >> np.uint64(29))) * _FACTOR
    samples = np.repeat(answers.sample, n_windows).astype(np.uint64) << np.uint64(64 - _SAMPLE_BITS)
    return samples | (hashed[starts] >> np.uint64(_SAMPLE_BITS))
