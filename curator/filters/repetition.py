"""How much of a sample's answers is said twice: 10-character windows that occurred before in it.

Windows do not reach across messages, so many short answers ("yes", "no") do not count as repetition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
WINDOW = 10
"""Characters of a window."""
COLUMNS = {
    "repeated_share": Column("share 0..1", "10-character windows of the answers that occurred before", "float32"),
}


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null when its answers are shorter than one window."""
    from curator.kernels.windows import character_windows

    answers = batch.texts.answers
    windows = character_windows(answers.flat, answers.sample, len(batch), WINDOW)
    with np.errstate(invalid="ignore"):
        return {"repeated_share": with_nulls(windows.repeated / windows.all, "float32")}
