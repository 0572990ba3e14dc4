"""Which answers a page shows: of those that count as wrong, and of those nobody could read, a few by their index."""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from curator.output import visible
from curator.report.pictures import Picture, embed
from registry.answer_rows import read_answers
from registry.benchmark import Question, load_benchmark
from registry.errors import Refusal
from registry.identity import order_key
from registry.yes_no import UNKNOWN

WRONG_SHOWN = 24
UNREAD_SHOWN = 8
MAX_CHARACTERS = 700
"""Of a text on the page."""


@dataclass
class Wrong:
    """What is wrong, counted, and the rows that are shown."""

    questions: int = 0
    wrong: int = 0
    unread: int = 0
    judged: int = 0
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    """Category -> group -> questions."""
    shown: list[dict[str, Any]] = field(default_factory=list)
    shown_unread: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Shown:
    """One answer, ready for the page."""

    index: str
    category: str
    question: str
    answer: str
    reply: str
    taken_for: str
    picture: Picture | None
    unreadable: bool
    """Whether it has a picture that cannot be read."""


def gather(answers: Path | BinaryIO) -> Wrong:
    """Count the answers and choose those that are shown; one row in memory at a time."""
    found, wrong, unread = Wrong(), _Few(WRONG_SHOWN), _Few(UNREAD_SHOWN)
    for row in read_answers(answers):
        inside = found.groups.setdefault(row["category"] or "", {})
        inside[row["group"]] = inside.get(row["group"], 0) + 1
        found.questions += 1
        found.judged += bool(row["judged"])
        if row["hit"] is not False:
            continue
        if row["extracted"] in ("", UNKNOWN):
            found.unread += 1
            unread.add(row)
        else:
            found.wrong += 1
            wrong.add(row)
    found.shown, found.shown_unread = wrong.rows(), unread.rows()
    return found


class _Few:
    """The rows whose indexes come first in an order that has nothing to do with what they hold."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: list[tuple[int, str, dict[str, Any]]] = []  # a heap, the last in order on top

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row if it is among the first so far."""
        entry = (-order_key("shown answer", row["index"]), row["index"], row)
        if len(self._kept) < self._count:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def rows(self) -> list[dict[str, Any]]:
        """The rows that were kept, in their order."""
        return [row for _, _, row in sorted(self._kept, key=lambda entry: (-entry[0], entry[1]))]


def with_pictures(benchmark: str, table: Path, wrong: Wrong) -> tuple[list[Shown], list[Shown]]:
    """The chosen answers with the pictures of the benchmark's table, made small."""
    wanted = {row["index"] for row in (*wrong.shown, *wrong.shown_unread)}
    pictures: dict[str, Picture | None] = {}
    """Of questions that have one; None where it cannot be read."""
    if wanted:
        for question in load_benchmark(benchmark).questions(table):
            if str(question.index) in wanted and question.image_key:
                pictures[str(question.index)] = _picture(question)
    return [_shown(row, pictures) for row in wrong.shown], [_shown(row, pictures) for row in wrong.shown_unread]


def _picture(question: Question) -> Picture | None:
    """None where it cannot be shown: the text still tells."""
    try:
        return embed(base64.b64decode(question.image_base64 or "", validate=False))
    except (Refusal, binascii.Error, ValueError):
        return None


def _shown(row: Mapping[str, Any], pictures: Mapping[str, Picture | None]) -> Shown:
    texts = {name: _cut(visible(str(row[name] or ""))) for name in ("question", "answer", "reply", "extracted")}
    return Shown(
        index=visible(row["index"]),
        category=visible(row["category"] or ""),
        question=texts["question"],
        answer=texts["answer"],
        reply=texts["reply"],
        taken_for=texts["extracted"],
        picture=pictures.get(row["index"]),
        unreadable=row["index"] in pictures and pictures[row["index"]] is None,
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + " …"
