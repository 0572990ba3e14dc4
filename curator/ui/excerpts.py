"""Samples as pages show them: the beginning of one among many, or some turns of one, however long it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curator.ui.pictures import CRISP
from curator.ui.rendering import segment
from curator.ui.shelves import SampleFile, Shelf

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ["id", "dataset", "part", "category", "source_id", "images", "messages"]
FEW_CHARACTERS = 280
MANY_CHARACTERS = 20_000
"""Characters of a message that are shown of one sample among many, and alone."""
FEW_PICTURES = 3
MANY_PICTURES = 40
"""Pictures that are shown beside a sample, and in the turns of a page."""
TURNS = 50
"""Turns on a page of one sample."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture of a sample: its digest and its published size."""

    sha256: str
    width: int
    height: int

    @property
    def crisp(self) -> bool:
        """Whether it is so small that it is enlarged without smoothing."""
        return max(self.width, self.height) <= CRISP

    @property
    def description(self) -> str:
        """For those who do not see it."""
        return f"picture of the sample, {self.width:,} by {self.height:,} pixels"


@dataclass(frozen=True)
class Turn:
    """A message, cut if it is long."""

    number: int
    """From 1."""
    role: str
    pieces: list[str | Thumbnail]
    """Texts and pictures in their order."""
    hidden: int
    """Characters that are not shown."""


@dataclass(frozen=True)
class Excerpt:
    """A sample with some of its turns."""

    address: str
    row: dict[str, Any]
    """Its columns but pictures and messages."""
    turns: list[Turn]
    of_turns: int
    of_pictures: int


def excerpts(shelf: Shelf, numbers: Sequence[int]) -> list[Excerpt]:
    """The beginnings of these samples, in this order."""
    rows = shelf.rows_at(numbers, COLUMNS)
    return [_excerpt(*rows[number]) for number in numbers]


def _excerpt(file: SampleFile, row: int, table: pa.Table) -> Excerpt:
    return excerpt(file, row, table, 0, 2, FEW_CHARACTERS, FEW_PICTURES)


def excerpt(
    file: SampleFile, row: int, table: pa.Table, start: int, turns: int, characters: int, pictures: int
) -> Excerpt:
    """Some turns of a sample: a conversation of ten thousand is never turned into objects as a whole."""
    messages, images = table.column("messages")[0].values, table.column("images")[0].values
    shown = messages[start : start + turns].to_pylist()
    first = _pictures_before(messages, start)
    thumbnails = iter([Thumbnail(**image) for image in images[first : first + pictures].to_pylist()])
    facts = table.drop_columns(["messages", "images"]).to_pylist()[0]
    address = f"/samples/{segment(file.folder)}/{segment(file.path.name)}/{row}"
    made = [_turn(number, message, thumbnails, characters) for number, message in enumerate(shown, start + 1)]
    return Excerpt(address, facts, made, len(messages), len(images))


def _pictures_before(messages: pa.Array, start: int) -> int:
    """Pictures in the messages before this one."""
    import pyarrow.compute as pc

    kinds = pc.struct_field(pc.list_flatten(pc.struct_field(messages[:start], "content")), "type")
    return int(pc.sum(pc.equal(kinds, "image")).as_py() or 0)


def _turn(number: int, message: dict[str, Any], thumbnails: Any, characters: int) -> Turn:
    pieces: list[str | Thumbnail] = []
    hidden, room = 0, characters
    for part in message["content"]:
        if part["type"] == "image":
            picture = next(thumbnails, None)
            pieces += [picture] if picture is not None else []
            continue
        text = part["text"] or ""
        pieces.append(text[:room])
        hidden += len(text) - len(text[:room])
        room -= len(text[:room])
    return Turn(number, message["role"], pieces, hidden)
