"""What kind of character a code point is, from a table that is part of the project.

Python's own tables differ with its version, and a measure must not: ``characters.txt`` holds Unicode 14.0 as runs,
one line a run: first code point (hexadecimal) and kind. It is written by ``python -m curator.kernels.characters``.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

KINDS = ("letter", "upper", "mark", "digit", "blank", "punctuation", "symbol", "other")
"""``letter``: one without case, or a small one. ``mark``: accents that follow their letter. ``digit``: any number
character. ``other``: control, format, private and unassigned code points."""
LETTER, UPPER, MARK, DIGIT, BLANK, PUNCTUATION, SYMBOL, OTHER = range(len(KINDS))
"""Kinds from ``PUNCTUATION`` on are *special*: no part of a word, and no blank."""

TABLE = Path(__file__).with_name("characters.txt")
CODE_POINTS = 0x110000
_OF_CATEGORY = {"L": LETTER, "N": DIGIT, "P": PUNCTUATION, "S": SYMBOL, "M": MARK, "Z": BLANK, "C": OTHER}


@cache
def kinds() -> npt.NDArray[np.uint8]:
    """One kind for each code point, shape ``(0x110000,)``."""
    runs = [line.split() for line in TABLE.read_text(encoding="ascii").splitlines()]
    starts = np.array([int(first, 16) for first, _ in runs] + [CODE_POINTS])
    return np.repeat(np.array([KINDS.index(kind) for _, kind in runs], np.uint8), np.diff(starts))


def kind_here(code_point: int) -> int:
    """The kind of a code point by the Unicode tables of this Python."""
    character = chr(code_point)
    if character.isspace():
        return BLANK
    category = unicodedata.category(character)
    return UPPER if category in ("Lu", "Lt") else _OF_CATEGORY[category[0]]


def _write() -> None:
    lines, before = [], None
    for code_point in range(CODE_POINTS):
        kind = kind_here(code_point)
        if kind != before:
            lines.append(f"{code_point:x} {KINDS[kind]}\n")
        before = kind
    TABLE.write_text("".join(lines), encoding="ascii")


if __name__ == "__main__":
    _write()
