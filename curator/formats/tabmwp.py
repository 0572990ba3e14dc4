"""TabMWP in its original columns: a table's picture, a question with choices or a free answer, and its unit.

Option ``answer``: ``short`` (default) gives the letter of the choice or the bare answer, ``solution`` gives
the published step-by-step solution before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from curator.prompts import LETTERS, SHORT_ANSWER, choice_question, option_index
from curator.raw_sample import RawSample, Rejected, marked, optional_text, some_pictures_of, text_of
from curator.reading import RawFiles, Values

VERSION = 1
COLUMNS = {
    "id": "pid",
    "image": "image",
    "question": "question",
    "choices": "choices",
    "answer": "answer",
    "unit": "unit",
    "solution": "solution",
}
OPTIONAL = frozenset({"id"})


def rows(source: RawFiles) -> Iterator[RawSample | Rejected]:
    """Every problem as one question over its table's picture."""
    explain = source.option("answer", "short", "solution") == "solution"

    def sample(source_id: str, row: Values) -> RawSample:
        images = some_pictures_of(row["image"])
        question, answer = _exchange(row)
        if explain:
            question = question.rpartition("\n")[0]
            answer = f"{text_of(row['solution'], 'solution').strip()}\nAnswer: {answer}"
        return RawSample(source_id, images, marked([("user", question), ("assistant", answer)], len(images)))

    return source.convert(sample)


def _exchange(row: Values) -> tuple[str, str]:
    """Question with its request on the last line, and the short answer."""
    question = text_of(row["question"], "question").strip()
    unit = optional_text(row["unit"])
    if unit:
        question = f"{question} (Unit: {unit})"
    answer = text_of(row["answer"], "answer").strip()
    if not row["choices"]:
        return f"{question}\n{SHORT_ANSWER}", answer
    options = [text_of(choice, "choice").strip() for choice in row["choices"]]
    return choice_question(question, options), LETTERS[option_index(answer, options)]
