"""Alpaca's text rows: ``instruction``, ``input`` (may be empty), ``output``. The input follows after a blank line."""

from __future__ import annotations

from collections.abc import Iterator

from curator.raw_sample import RawSample, Rejected, optional_text, text_of
from curator.reading import RawFiles, Values

VERSION = 2
COLUMNS = {"id": "id", "instruction": "instruction", "input": "input", "output": "output"}
OPTIONAL = frozenset({"id", "input"})


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one exchange without a picture."""
    return source.convert(_sample)


def _sample(source_id: str, row: Values) -> RawSample:
    request = text_of(row["instruction"], "instruction").strip()
    given = optional_text(row["input"])
    if given:
        request = f"{request}\n\n{given}"
    return RawSample(source_id, [], [("user", request), ("assistant", text_of(row["output"], "output").strip())])
