"""Conversations as bare strings, user and assistant in turn (LIMA's ``conversations: [text, text, …]``)."""

from __future__ import annotations

from collections.abc import Iterator

from curator.raw_sample import RawSample, Rejected, Unusable, text_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {"id": "id", "conversations": "conversations"}
OPTIONAL = frozenset({"id"})


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one conversation; one that ends with a question has no answer and is set aside."""
    return source.convert(_sample)


def _sample(source_id: str, row: Values) -> RawSample:
    said = row["conversations"]
    if not isinstance(said, list) or not said:
        raise Unusable("no conversations", type(said).__name__)
    texts = [text_of(text, "turn") for text in said]
    return RawSample(source_id, [], [(("user", "assistant")[i % 2], text) for i, text in enumerate(texts)])
