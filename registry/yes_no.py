"""Yes / no questions as published: the word that is taken from a reply, or from what a judge made of it."""

from __future__ import annotations

from registry.answers import yes_no
from registry.benchmark import Answer, Judged, Question
from registry.errors import Refusal
from registry.table import reply_as_read

UNKNOWN = "Unknown"


def yes_no_answer(benchmark: str, question: Question, reply: str, judged: Judged) -> Answer:
    """What a reply was taken for; a judge is heard where it holds neither word, or both."""
    if question.answer not in ("Yes", "No"):
        where = f"benchmark {benchmark}, index {question.index}"
        raise Refusal(where, f"answer {question.answer!r} is neither Yes nor No", "give the benchmark's own table")
    extracted = yes_no(reply_as_read(reply))
    asked = extracted == UNKNOWN and question.index in judged
    if asked:
        extracted = yes_no(judged[question.index])
    return Answer(question.index, question.group, extracted, extracted == question.answer, judged=asked)
