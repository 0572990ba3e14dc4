"""What the query of an address asks for, as values: nothing that is typed there can break a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

LONGEST = 2000
"""Characters of a field that are looked at."""


class Asked:
    """The fields of an address."""

    def __init__(self, fields: QueryParams) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """A text; empty where there is none."""
        return self._fields.get(name, "")[:LONGEST].strip()

    def number(self, name: str, most: int) -> int | None:
        """A whole number from 0 to ``most``; None for anything else."""
        text = self.text(name)
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            return None
        return min(int(text), most)

    def choice(self, name: str, *allowed: str) -> str:
        """One of these words; the first where it is none of them."""
        text = self.text(name)
        return text if text in allowed else allowed[0]

    def texts(self, name: str) -> list[str]:
        """A field that may be there several times."""
        return [text[:LONGEST].strip() for text in self._fields.getlist(name)]


def decimal(text: str) -> float | None:
    """A finite number; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
