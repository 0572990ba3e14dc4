r"""Regular expressions of cards, by RE2: whatever a card asks, matching takes time in proportion to the text.

A card may come from anybody, and an engine that backtracks can be kept busy for years by ten characters of pattern.
RE2 has neither references back nor looks around; ``\d``, ``\w``, ``\s`` and ``\b`` are ASCII, and ``$`` is the end
of the text alone. Its dialect: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

from collections.abc import Sequence

PATTERN_VERSION = 1
"""Raised when the same pattern takes other texts."""


def check_pattern(pattern: str) -> None:
    """Raise ValueError for what RE2 does not read."""
    import pyarrow as pa

    try:
        found_in(pattern, [""])
    except pa.ArrowInvalid as error:
        problem = str(error).splitlines()[0].removeprefix("Invalid regular expression: ")
        raise ValueError(f"not a regular expression of RE2 ({problem})") from None


def found_in(pattern: str, texts: Sequence[str]) -> list[bool]:
    """Whether ``pattern`` is found anywhere in each text; a call costs some 30 µs, so give it many texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[bool] = pc.match_substring_regex(pa.array(texts, pa.large_string()), pattern).to_pylist()
    return found
