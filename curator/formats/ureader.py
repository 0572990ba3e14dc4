"""UReader's rows: turns of a conversation, where a picture is a user turn of its own, ``<|image|>``.

Turns of one speaker that follow each other are joined by a line break, and the picture's mark becomes ``<image>``.
"""

from __future__ import annotations

from collections.abc import Iterator

from curator.formats.llava_chat import turn_of
from curator.raw_sample import RawSample, Rejected, Turn, Unusable, marked, pictures_of
from curator.reading import RawFiles, Values
from registry.sample import IMAGE_MARKER

VERSION = 1
COLUMNS = {"id": "id", "image": "image", "conversations": "conversations"}
OPTIONAL = frozenset({"id"})
MARK = "<|image|>"


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one conversation."""
    return source.convert(_sample)


def _sample(source_id: str, row: Values) -> RawSample:
    conversations = row["conversations"]
    if not isinstance(conversations, list) or not conversations:
        raise Unusable("no conversations", type(conversations).__name__)
    turns: list[Turn] = []
    for role, said in map(turn_of, conversations):
        text = said.replace(MARK, IMAGE_MARKER)
        if turns and turns[-1][0] == role:
            turns[-1] = (role, f"{turns[-1][1]}\n{text}")
        else:
            turns.append((role, text))
    images = pictures_of(row["image"])
    return RawSample(source_id, images, marked(turns, len(images)))
