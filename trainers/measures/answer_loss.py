"""``answer_loss``: the mean loss of a sample's answers, and how many tokens it is a mean of."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.losses import Reader
from trainers.measure import Measure, Sample, Tools, Values


def prepare(tools: Tools) -> Measure:
    """Load the checkpoint."""
    reader = Reader.open(tools)

    def measure(samples: Sequence[Sample]) -> Values:
        told = reader.tell(samples)
        tokens = [one.learned if one is not None else None for one in told]
        return {"answer_loss": reader.losses(told), "answer_tokens": tokens}

    return measure
