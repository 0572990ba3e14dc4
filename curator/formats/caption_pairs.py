"""Rows of a picture and its caption (of several captions the first).

The request is one of the card's ``prompts``, drawn by the row's id.
"""

from __future__ import annotations

from collections.abc import Iterator

from curator.prompts import BRIEF_CAPTION, drawn
from curator.raw_sample import RawSample, Rejected, some_pictures_of, text_of, with_markers
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {"id": "id", "image": "image", "caption": "caption"}
OPTIONAL = frozenset({"id"})


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every pair as a request for a caption and the caption, without the blanks around it."""
    prompts = source.prompts or [BRIEF_CAPTION]

    def sample(source_id: str, row: Values) -> RawSample:
        images = some_pictures_of(row["image"])
        request = drawn(prompts, "caption request", source_id)
        said = row["caption"]
        caption = text_of(said[0] if isinstance(said, list) and said else said, "caption").strip()
        return RawSample(source_id, images, [("user", with_markers(request, len(images))), ("assistant", caption)])

    return source.convert(sample)
