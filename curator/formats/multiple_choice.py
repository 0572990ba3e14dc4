"""A question, its options, and which of them is right (index from 0, letter, or text).

The prompt is LLaVA's. Option ``answer_style``: ``letter`` (default) answers ``B``, ``text_letter`` answers
``red B``: the option's text, then its letter. A row without a picture becomes a sample of text alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curator.prompts import LETTERS, choice_question, option_index
from curator.raw_sample import RawSample, Rejected, Unusable, marked, optional_text, pictures_of, text_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {
    "id": "id",
    "image": "image",
    "question": "question",
    "choices": "choices",
    "answer": "answer",
    "hint": "hint",
}
OPTIONAL = frozenset({"id", "image", "hint"})


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every row as one multiple-choice question."""
    with_text = source.option("answer_style", "letter", "text_letter") == "text_letter"

    def sample(source_id: str, row: Values) -> RawSample:
        images = pictures_of(row["image"])
        options = options_of(row["choices"])
        question = text_of(row["question"], "question").strip()
        index = option_index(row["answer"], options)
        answer = f"{options[index]} {LETTERS[index]}" if with_text else LETTERS[index]
        prompt = choice_question(question, options, optional_text(row["hint"]))
        return RawSample(source_id, images, marked([("user", prompt), ("assistant", answer)], len(images)))

    return source.convert(sample)


def options_of(choices: Any) -> list[str]:
    """The option texts; raises Unusable unless there are 2 to 26."""
    if not isinstance(choices, list):
        raise Unusable("no choices", type(choices).__name__)
    if not 2 <= len(choices) <= len(LETTERS):
        raise Unusable("number of choices", len(choices))
    return [text_of(choice, "choice").strip() for choice in choices]
