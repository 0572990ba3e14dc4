"""Phrases that a sample's answers say again: 5-word windows that occurred before in it.

Windows do not reach across messages. Beside ``repetition``, which sees any ten characters, this sees phrases only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
WINDOW = 5
"""Words of a window: runs of characters without blanks."""
COLUMNS = {
    "repeated_word_share": Column("share 0..1", "5-word windows of the answers that occurred before", "float32"),
}


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null when its answers are shorter than one window."""
    from curator.kernels.windows import word_windows

    answers = batch.texts.answers
    windows = word_windows(answers.flat, answers.sample, len(batch), WINDOW)
    with np.errstate(invalid="ignore"):
        return {"repeated_word_share": with_nulls(windows.repeated / windows.all, "float32")}
