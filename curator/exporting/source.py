"""The samples of a mix for the forms of an export, in the order in which they lie, and the account of what is told."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curator.export import SHARD_BYTES, SampleTexts, grouped_rows
from registry.images import ImageStore
from registry.mix import MixReader
from registry.sample import IMAGE_MARKER, Message, message_text
from registry.store import Home, fsync

ROWS_AT_ONCE = 1024
IMAGE = "image"
"""Type of a part that stands for a picture."""

Advance = Callable[[int], None]


class Unfit(Exception):
    """A sample that a form cannot express, for a reason in a few words that can be counted."""


@dataclass(frozen=True)
class Sample:
    """One row of a mix with all that belongs to it."""

    position: int
    copy: int
    id: str
    dataset: str
    part: str
    category: str
    source_id: str
    messages: list[Message]
    digests: list[str]
    """sha256 of each picture, in the order of the image parts."""

    def origin(self) -> dict[str, Any]:
        """Where the row comes from, as it stands beside the conversation in every form."""
        names = ("id", "dataset", "part", "category", "source_id", "copy")
        return {name: getattr(self, name) for name in names}

    def marked(self, *, line_ends: bool) -> list[str]:
        """The text of each message with ``<image>`` where a picture stands.

        With `line_ends` each marker is on a line of its own, as LLaVA writes it and reads it back.
        """
        return [_marked(message, line_ends) for message in self.messages]


def parts(message: Message) -> list[dict[str, str]]:
    """The content of a message without empty fields."""
    return [
        {"type": part["type"]} | ({"text": part["text"] or ""} if part["type"] == "text" else {})
        for part in message["content"]
    ]


def refuse_marks(sample: Sample, marks: Iterable[str]) -> None:
    """Raise ``Unfit`` for a text that holds what a reader of the form would take for a picture, sound or film."""
    texts = [message_text(message) for message in sample.messages]
    for mark in marks:
        if any(mark in text for text in texts):
            raise Unfit(f"its text holds {mark}")


def _marked(message: Message, line_ends: bool) -> str:
    text, before = "", ""
    for part in message["content"]:
        between = "\n" if line_ends and before and IMAGE in (before, part["type"]) else ""
        text += between + (IMAGE_MARKER if part["type"] == IMAGE else part["text"] or "")
        before = part["type"]
    return text


@dataclass
class Told:
    """What came of the rows: how many are in the export, what was left out and why, and what a reader should know."""

    rows: int = 0
    pictures: int = 0
    """Of the rows in the export, repetitions counted."""
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    """Remark -> rows it is about."""

    def take(self, sample: Sample, notes: list[str]) -> None:
        """Count a row that is in the export."""
        self.rows += 1
        self.pictures += len(sample.digests)
        self.notes.update(notes)


@dataclass
class Source:
    """A mix that is being exported; close it."""

    home: Home
    reader: MixReader
    work: Path
    """A folder for what is needed on the way; it is removed."""
    shard_bytes: int = SHARD_BYTES
    advance: Advance = lambda _rows: None

    @functools.cached_property
    def images(self) -> ImageStore:
        """The pictures; opened when they are wanted."""
        return ImageStore(self.home)

    def close(self) -> None:
        """Give file descriptors back."""
        if "images" in vars(self):
            self.images.close()

    @contextlib.contextmanager
    def whole(self, target: Path) -> Iterator[Path]:
        """A path to write a file at, which becomes `target` when the block ends: what is at `target` is whole."""
        aside = self.work / "whole"
        yield aside
        fsync(aside)
        aside.replace(target)

    def samples(self) -> Iterator[Sample]:
        """Every row, grouped by dataset as its samples lie: each of their files is read once, from start to end."""
        rows, texts = grouped_rows(self.reader), SampleTexts(self.home)
        for start in range(0, rows.num_rows, ROWS_AT_ONCE):
            part = rows.slice(start, ROWS_AT_ONCE)
            found = texts.of(part).select(["source_id", "messages"])
            for row, said in zip(part.to_pylist(), found.to_pylist(), strict=True):
                names = ("position", "copy", "id", "dataset", "part", "category")
                digests = [image["sha256"] for image in row["images"] or []]
                yield Sample(**{name: row[name] for name in names}, **said, digests=digests)
            self.advance(part.num_rows)
