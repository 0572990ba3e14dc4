"""``similarity``: the cosine of a sample's answers and its pictures under a CLIP or SigLIP checkpoint.

Text and pictures are prepared by transformers' own processors of the checkpoint. A picture that several samples of a
window share is encoded once, and so is a text.
"""

from __future__ import annotations

from collections.abc import Sequence

from registry.sample import message_text
from trainers.dual_encoder import DualEncoder
from trainers.measure import Measure, Sample, Tools, Values


def prepare(tools: Tools) -> Measure:
    """Load the checkpoint."""
    encoder = DualEncoder.load(tools.checkpoint)

    def measure(samples: Sequence[Sample]) -> Values:
        said = [_answers(sample) if sample.images else "" for sample in samples]
        asked = [sample if text else None for sample, text in zip(samples, said, strict=True)]
        texts = {text: number for number, text in enumerate(dict.fromkeys(filter(None, said)))}
        shown = dict.fromkeys(image for sample in asked if sample for image in sample.images)
        images = {image: number for number, image in enumerate(shown)}
        words, pictures = encoder.texts(list(texts)), encoder.pictures(list(images), tools.read)
        found = [
            None if sample is None else float((pictures[[images[i] for i in sample.images]] @ words[texts[text]]).min())
            for sample, text in zip(asked, said, strict=True)
        ]
        return {"similarity": found}

    return measure


def _answers(sample: Sample) -> str:
    """What the assistant said, without blanks at the ends."""
    return " ".join(message_text(m).strip() for m in sample.messages if m["role"] == "assistant").strip()
