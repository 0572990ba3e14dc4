"""VisDial's file: tables of questions and answers, and dialogs that point into them, all in one JSON object.

Card: ``source.rows_at: data.dialogs``. A dialog becomes one conversation of ten turns; LLaVA's request for a word or
phrase stands after the first question, because the answers are very short. The questions have no question mark and
get none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curator.prompts import SHORT_ANSWER
from curator.raw_sample import RawSample, Rejected, Turn, Unusable, marked, pictures_of, text_of
from curator.reading import RawFiles, Values, read_rows

VERSION = 1
COLUMNS = {"id": "image_id", "image": "image_id", "dialog": "dialog"}
OPTIONAL: frozenset[str] = frozenset()


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every dialog of every file, with the tables of its own file."""
    for path in source.files:
        questions, answers = (list(read_rows(path, rows_at=f"data.{name}")) for name in ("questions", "answers"))

        def sample(source_id: str, row: Values, asked: list[Any] = questions, said: list[Any] = answers) -> RawSample:
            images = pictures_of(row["image"])
            if not isinstance(row["dialog"], list) or not row["dialog"]:
                raise Unusable("no dialog", type(row["dialog"]).__name__)
            turns: list[Turn] = []
            for turn in row["dialog"]:
                question, answer = _looked_up(turn, "question", asked), _looked_up(turn, "answer", said)
                turns += [("user", question if turns else f"{question}\n{SHORT_ANSWER}"), ("assistant", answer)]
            return RawSample(source_id, images, marked(turns, len(images)))

        yield from source.of(path).convert(sample)


def _looked_up(turn: Any, role: str, table: list[Any]) -> str:
    index = turn.get(role) if isinstance(turn, dict) else None
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(table):
        raise Unusable(f"{role} points nowhere", index)
    return text_of(table[index], role).strip()
