"""Boxes in answers, ``[x1, y1, x2, y2]`` in shares of the picture: those that leave it or have swapped corners."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch, Column, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NEEDS_PICTURES = False
COLUMNS = {
    "boxes": Column("boxes", "boxes in the answers"),
    "boxes_outside": Column("boxes", "those with a number outside 0..1 (pixels, for example)"),
    "boxes_swapped": Column("boxes", "those whose second corner is left of the first, or above it"),
}

_NUMBER = r"-?\d+(?:\.\d+)?"
_BOX = re.compile(rf"[\[(]\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*[\])]")


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null where no answer holds a box."""
    import pyarrow.compute as pc

    answers, n = batch.texts.answers, len(batch)
    found, outside, swapped = (np.zeros(n) for _ in range(3))
    holding = np.flatnonzero(np.asarray(pc.match_substring_regex(answers.texts, _BOX.pattern)))
    for answer in holding:
        sample = int(answers.sample[answer])
        for numbers in _BOX.findall(answers.texts[answer].as_py()):
            left, top, right, bottom = map(float, numbers)
            found[sample] += 1
            outside[sample] += not all(0 <= value <= 1 for value in (left, top, right, bottom))
            swapped[sample] += right < left or bottom < top
    none = found == 0
    columns = {"boxes": found, "boxes_outside": outside, "boxes_swapped": swapped}
    return {name: with_nulls(values, "int32", none) for name, values in columns.items()}
