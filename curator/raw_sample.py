"""What a format makes of one published row: pictures and turns, or a reason why it cannot be used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.sample import IMAGE_MARKER, RATINGS, Rating

Picture = bytes | memoryview | str
"""File bytes (or a view of them), or a path relative to the published folder."""

Turn = tuple[str, str]
"""``(role, text)``; pictures are marked ``<image>`` in the text."""

MAX_RATING = 1e9
MAX_DETAIL = 200
"""Characters of a detail that are kept in ``rejected.parquet``."""


@dataclass(slots=True)
class RawSample:
    """One row as pictures and turns, before its pictures are read and its roles checked."""

    source_id: str
    images: list[Picture]
    turns: list[Turn]
    file: str = ""
    """Name of the published file that held the row."""
    place: str = ""
    """That file and the row's line (``rows.jsonl:3``) or number (``rows.parquet#2``) in it."""
    ratings: list[Rating] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    """Columns that the card's parts are told apart by -> their values as text."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot become a sample. ``reason`` is short and can be counted, ``detail`` is for people."""

    source_id: str
    reason: str
    detail: str = ""
    place: str = ""
    """Published file, and line or number in it, as in ``RawSample``."""


class Unusable(Exception):
    """Raised while one row is converted: the row is set aside with this reason, the run goes on."""

    def __init__(self, reason: str, detail: object = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = plain(str(detail)[:MAX_DETAIL])


def plain(text: str) -> str:
    """``text`` with lone surrogates as escapes: JSON may hold them, UTF-8 files may not."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def text_of(value: Any, role: str) -> str:
    """``value`` as text; raises Unusable when it is missing, empty, or neither text nor a number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise Unusable(f"no {role}" if value is None else f"{role} is not text", type(value).__name__)
    if not value.strip():
        raise Unusable(f"empty {role}")
    return value


def optional_text(value: Any) -> str:
    """Text of an optional column: empty when it is missing or not text."""
    return value.strip() if isinstance(value, str) else ""


def ratings_of(row: Mapping[str, Any]) -> list[Rating]:
    """The ratings among the values of a row; one that is missing or null is none."""
    found: list[Rating] = []
    for name in RATINGS:
        value = row.get(name)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > MAX_RATING:
            raise Unusable("rating is not a number", f"{name}: {value!r}")
        found.append({"name": name, "value": float(value)})
    return found


def pictures_of(value: Any) -> list[Picture]:
    """The pictures of an image cell: null, path, number, bytes, the Hub's ``{bytes, path}``, or a list of these."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [picture for item in value for picture in pictures_of(item)]
    if isinstance(value, (bytes, memoryview)):
        return [value]
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    if isinstance(value, dict) and ("bytes" in value or "path" in value):
        return pictures_of(value["bytes"] if value.get("bytes") is not None else value.get("path"))
    raise Unusable("image column is not a picture", type(value).__name__)


def some_pictures_of(value: Any) -> list[Picture]:
    """The pictures of a cell that must have one; raises Unusable when it has none."""
    pictures = pictures_of(value)
    if not pictures:
        raise Unusable("no image")
    return pictures


def with_markers(text: str, n_images: int) -> str:
    """``text`` with a marker line for each picture before it, as LLaVA writes its first question."""
    return f"{IMAGE_MARKER}\n" * n_images + text


def marked(turns: Iterable[Turn], n_images: int) -> list[Turn]:
    """``turns`` with the pictures marked at the start of the first question, where no turn marks them already.

    A marker that is text in a row without markers of its own (a question about HTML, say) cannot be told from
    a real one; such rows are set aside later because the counts differ.
    """
    turns = list(turns)
    if any(IMAGE_MARKER in text for _, text in turns):
        return turns
    first = next((i for i, (role, _) in enumerate(turns) if role == "user"), None)
    if first is not None:
        turns[first] = ("user", with_markers(turns[first][1], n_images))
    return turns
