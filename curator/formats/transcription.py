"""A picture of text and what it says (SynthDoG): ``ground_truth`` holds JSON, ``{gt_parse: {text_sequence}}``.

The request is one of the card's ``prompts``, drawn by the row's id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from curator.prompts import drawn
from curator.raw_sample import RawSample, Rejected, Unusable, some_pictures_of, text_of, with_markers
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {"id": "id", "image": "image", "ground_truth": "ground_truth"}
OPTIONAL = frozenset({"id"})
READ_ALL = "Read all the text in the image."
"""Used where a card gives no prompts."""


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as a request to read the text, and the text."""
    prompts = source.prompts or [READ_ALL]

    def sample(source_id: str, row: Values) -> RawSample:
        images = some_pictures_of(row["image"])
        request = drawn(prompts, "reading request", source_id)
        turns = [("user", with_markers(request, len(images))), ("assistant", text_sequence(row["ground_truth"]))]
        return RawSample(source_id, images, turns)

    return source.convert(sample)


def text_sequence(ground_truth: Any) -> str:
    """The text in a ground truth; raises Unusable when it is not in the shape above."""
    try:
        parsed = json.loads(text_of(ground_truth, "ground truth"))
    except (ValueError, RecursionError):
        raise Unusable("ground truth is not JSON", ground_truth) from None
    parse = parsed.get("gt_parse") if isinstance(parsed, dict) else None
    return text_of(parse.get("text_sequence") if isinstance(parse, dict) else None, "text").strip()
