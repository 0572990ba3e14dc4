"""LLaVA's conversation rows: ``id``, ``image``, ``conversations: [{from: human|gpt, value}]``.

The prompt is kept as it is, including where the row puts ``<image>``. ``role``/``content`` keys are read too.

Option ``leading_answer``: ``keep`` (default) leaves a conversation that begins with an answer as it is, so that it is
set aside; ``drop`` leaves that answer out, as LLaVA's own training code does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curator.raw_sample import RawSample, Rejected, Turn, Unusable, pictures_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {"id": "id", "image": "image", "conversations": "conversations"}
OPTIONAL = frozenset({"id", "image"})

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as it was published."""
    drop = source.option("leading_answer", "keep", "drop") == "drop"

    def sample(source_id: str, row: Values) -> RawSample:
        conversations = row["conversations"]
        if not isinstance(conversations, list) or not conversations:
            raise Unusable("no conversations", type(conversations).__name__)
        turns = [turn_of(turn) for turn in conversations]
        if drop and turns[0][0] == "assistant":
            del turns[0]
        return RawSample(source_id, pictures_of(row["image"]), turns)

    return source.convert(sample)


def turn_of(turn: Any) -> Turn:
    """One turn, ``{from, value}`` or ``{role, content}``; raises Unusable when it is neither."""
    if not isinstance(turn, dict):
        raise Unusable("turn is not an object", type(turn).__name__)
    said_by = turn.get("from", turn.get("role"))
    text = turn.get("value", turn.get("content"))
    role = _ROLES.get(said_by.lower()) if isinstance(said_by, str) else None
    if role is None:
        raise Unusable("unknown role", said_by)
    if not isinstance(text, str):
        raise Unusable("turn has no text", type(text).__name__)
    return role, text
