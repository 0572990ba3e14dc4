"""One picture with parallel lists of questions and short answers (OCR-VQA, KVQA): one conversation a picture.

LLaVA's request for a word or phrase stands after the first question, as in its own mix.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curator.prompts import SHORT_ANSWER, with_request
from curator.raw_sample import RawSample, Rejected, Turn, Unusable, marked, pictures_of, text_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {"id": "id", "image": "image", "questions": "questions", "answers": "answers"}
OPTIONAL = frozenset({"id"})


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one conversation of as many turns as it has questions."""
    return source.convert(_sample)


def _sample(source_id: str, row: Values) -> RawSample:
    images = pictures_of(row["image"])
    questions, answers = _texts(row["questions"], "questions"), _texts(row["answers"], "answers")
    if len(questions) != len(answers):
        raise Unusable("questions and answers differ in number", f"{len(questions)} and {len(answers)}")
    turns: list[Turn] = []
    for question, answer in zip(questions, answers, strict=True):
        turns += [("user", with_request(question, SHORT_ANSWER) if not turns else question), ("assistant", answer)]
    return RawSample(source_id, images, marked(turns, len(images)))


def _texts(value: Any, role: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise Unusable(f"no {role}", type(value).__name__)
    return [text_of(item, role).strip() for item in value]
