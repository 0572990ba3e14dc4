"""SVIT: a picture's number and a list of conversations about it, ``conversations: [{content: [{from, value}]}]``.

Every conversation becomes one sample; the picture stands before its first question.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curator.formats.llava_chat import turn_of
from curator.raw_sample import RawSample, Rejected, Unusable, marked, some_pictures_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {"id": "image_id", "image": "image_id", "conversations": "conversations"}
OPTIONAL: frozenset[str] = frozenset()


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every conversation of every row; its number within the row is added to the row's id."""
    return source.convert(_samples)


def _samples(source_id: str, row: Values) -> list[RawSample | Rejected]:
    conversations = row["conversations"]
    if not isinstance(conversations, list) or not conversations:
        raise Unusable("no conversations", type(conversations).__name__)
    images = some_pictures_of(row["image"])
    made: list[RawSample | Rejected] = []
    for number, conversation in enumerate(conversations):
        try:
            turns = [turn_of(turn) for turn in _content(conversation)]
            made.append(RawSample(f"{source_id}/{number}", images, marked(turns, len(images))))
        except Unusable as error:
            made.append(Rejected(f"{source_id}/{number}", error.reason, error.detail))
    return made


def _content(conversation: Any) -> list[Any]:
    content = conversation.get("content") if isinstance(conversation, dict) else None
    if not isinstance(content, list) or not content:
        raise Unusable("no conversations", type(content).__name__)
    return content
