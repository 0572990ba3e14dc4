"""How much each learned token counts in the loss: all alike, by sample, or between the two.

A sample with ``n`` learned tokens gives each of them ``n ** -power``, so that it counts ``n ** (1 - power)`` as a
whole. The loss of a step is the weighted sum over its tokens divided by what all its samples count, whatever row,
part or rank a sample is in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from registry.trial import Weighting

Floats = npt.NDArray[np.float32]
Longs = npt.NDArray[np.int64]

POWERS: dict[Weighting, float] = {"token": 0.0, "sample": 1.0, "root": 0.5}


def token_weights(learned: Longs, weighting: Weighting) -> Floats | None:
    """A weight for each learned token, in their order; None where all count one.

    Args:
        learned: learned tokens of each sample.
        weighting: which samples count more.
    """
    if weighting == "token":
        return None
    counts = np.maximum(learned, 1).astype(np.float64)
    weights: Floats = np.repeat(counts ** -POWERS[weighting], learned).astype(np.float32)
    return weights


def mass(learned: Longs, weighting: Weighting) -> float:
    """What samples with so many learned tokens count together: what the weighted sum of losses is divided by."""
    counts = learned[learned > 0].astype(np.float64)
    return float((counts ** (1.0 - POWERS[weighting])).sum())
