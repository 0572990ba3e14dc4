"""Rows of a conversation in the form of the Hub's chat templates (and of TRL, and of what ``curator publish`` writes).

A message is a role and a content: a text, or a list of parts ``{"type": "text", "text": …}`` and ``{"type": "image"}``.
The pictures lie in a column of their own, in the order of the image parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curator.raw_sample import RawSample, Rejected, Turn, Unusable, marked, pictures_of
from curator.reading import RawFiles, Values
from registry.sample import IMAGE_MARKER, ROLES

VERSION = 1
COLUMNS = {"id": "id", "images": "images", "messages": "messages"}
OPTIONAL = frozenset({"id", "images"})


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every conversation."""

    def sample(source_id: str, row: Values) -> RawSample:
        messages = row["messages"]
        if not isinstance(messages, list) or not messages:
            raise Unusable("no messages", type(messages).__name__)
        images = pictures_of(row.get("images"))
        return RawSample(source_id, images, marked(map(_turn, messages), len(images)))

    return source.convert(sample)


def _turn(message: Any) -> Turn:
    """A message with its image parts as markers."""
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise Unusable("message without a known role", message)
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return message["role"], "".join(map(_text, parts))


def _text(part: Any) -> str:
    """A part as text: an image part as its marker, on a line of its own."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "image":
        return f"\n{IMAGE_MARKER}\n"
    text = part.get("text") if kind == "text" else None
    if not isinstance(text, str):
        raise Unusable("message has a part that is neither text nor image", part)
    return text
