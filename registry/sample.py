"""The canonical sample: one Arrow schema, one id, one check. Every format ends here, every mix begins here.

A message's content is a list of parts ``{"type": "image", "text": None}`` or ``{"type": "text", "text": "…"}``,
with as many image parts as the sample has images, in the same order. The keys are those of TRL and of the
Hub's chat templates.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, TypedDict

from registry.identity import canonical_text

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 2
"""Raised whenever the meaning of a column changes; part of the identity of every samples folder."""

IMAGE_MARKER = "<image>"
RATINGS = {
    "relevance": "how far the answers say what the questions ask for",
    "visual_dependency": "how far the questions need the pictures",
    "image_correspondence": "how far the pictures bear out the answers",
    "formatting": "how well the text is put",
}
"""Ratings that publishers ship with their rows (FineVision: 1 to 5, by a model) -> what they rate."""
ROLES = ("system", "user", "assistant")
_MARKER = re.compile(r"\n?<image>\n?")


class Content(TypedDict):
    """One part of a message."""

    type: str
    text: str | None


class Message(TypedDict):
    """One turn."""

    role: str
    content: list[Content]


class SampleImage(TypedDict):
    """A picture of a sample: digest of its file bytes, and its size in pixels."""

    sha256: str
    width: int
    height: int


class Rating(TypedDict):
    """What the publisher's judge thought of a sample; of several turns, of the worst."""

    name: str
    """One of ``RATINGS``."""
    value: float


def arrow_schema() -> pa.Schema:
    """The columns of ``samples/*/part-*.parquet``."""
    import pyarrow as pa

    rating = pa.struct([("name", pa.string()), ("value", pa.float32())])
    image = pa.struct([("sha256", pa.string()), ("width", pa.int32()), ("height", pa.int32())])
    return pa.schema(
        [
            ("id", pa.string()),
            ("dataset", pa.string()),
            ("part", pa.string()),
            ("source_id", pa.string()),
            ("category", pa.string()),
            ("images", pa.list_(image)),
            ("messages", pa.list_(message_type())),
            ("ratings", pa.list_(rating)),
        ]
    )


def message_type() -> pa.DataType:
    """Arrow type of one message."""
    import pyarrow as pa

    part = pa.struct([("type", pa.string()), ("text", pa.string())])
    return pa.struct([("role", pa.string()), ("content", pa.list_(part))])


def make_message(role: str, text: str, images: int = 0) -> Message:
    """A message of ``images`` pictures followed by ``text``."""
    content: list[Content] = [{"type": "image", "text": None} for _ in range(images)]
    if text or not images:
        content.append({"type": "text", "text": text})
    return {"role": role, "content": content}


def conversation(turns: list[tuple[str, str]]) -> list[Message]:
    """Messages from ``(role, text)`` turns whose text marks each picture with ``<image>`` (the LLaVA convention).

    The line end that LLaVA puts beside a marker belongs to the marker, not to the text.
    """
    messages: list[Message] = []
    for role, text in turns:
        content: list[Content] = []
        start = 0
        for match in _MARKER.finditer(text):
            if match.start() > start:
                content.append({"type": "text", "text": text[start : match.start()]})
            content.append({"type": "image", "text": None})
            start = match.end()
        if start < len(text) or not content:
            content.append({"type": "text", "text": text[start:]})
        messages.append({"role": role, "content": content})
    return messages


def sample_id(messages: list[Message], sha256s: list[str]) -> str:
    """32 hex characters from the content alone: equal conversations over equal pictures have equal ids."""
    return hashlib.sha256(canonical_text({"messages": messages, "images": sha256s})).hexdigest()[:32]


def message_text(message: Message) -> str:
    """All text parts of a message, joined."""
    return "".join(part["text"] or "" for part in message["content"] if part["type"] == "text")


def check(messages: list[Message], n_images: int) -> str | None:
    """Why this conversation cannot be a sample, in a few words that can be counted; None if it can.

    Roles alternate user/assistant (after an optional system message), the last is the assistant's and not
    empty, and there are as many image parts as images.
    """
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    if not turns:
        return "no messages"
    for index, message in enumerate(turns):
        if message["role"] != ("user", "assistant")[index % 2]:
            return "roles do not alternate"
        if message["role"] == "assistant" and any(part["type"] == "image" for part in message["content"]):
            return "picture in an answer"
        if message["role"] == "assistant" and not message_text(message).strip():
            return "empty answer"
    if turns[-1]["role"] != "assistant":
        return "last message is not the assistant's"
    found = sum(part["type"] == "image" for message in messages for part in message["content"])
    return None if found == n_images else f"{'more' if found > n_images else 'fewer'} image markers than images"
