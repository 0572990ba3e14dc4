"""``picture_gain``: the loss of a sample's answers without its pictures less that with them."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.losses import Reader, without_pictures
from trainers.measure import Measure, Sample, Tools, Values


def prepare(tools: Tools) -> Measure:
    """Load the checkpoint."""
    reader = Reader.open(tools)

    def measure(samples: Sequence[Sample]) -> Values:
        seen = [told if told is not None and told.images else None for told in reader.tell(samples)]
        blind = [
            told if shown is not None else None
            for told, shown in zip(reader.tell([without_pictures(sample) for sample in samples]), seen, strict=True)
        ]
        losses, alone = reader.losses(seen), reader.losses(blind)
        gains = [_less(without, with_them) for without, with_them in zip(alone, losses, strict=True)]
        return {"picture_gain": gains, "loss_without_picture": alone}

    return measure


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
