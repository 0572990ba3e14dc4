"""Yes / no questions as published: the word that is taken from a reply, or from what a judge made of it."""

from __future__ import annotations

from registry.answers import yes_no
from registry.benchmark import Answer, Judged, JudgeRequest, Question
from registry.errors import Refusal
from registry.table import reply_as_read

UNKNOWN = "Unknown"

_REQUEST = """\
Somebody was asked a question about a picture that is answered with Yes or No. Tell what the reply means. You do not \
see the picture; do not answer the question yourself. Say one word: Yes, No, or Unknown if the reply means neither.

Question: {question}
Reply: {reply}
Meaning:"""


def yes_no_request(question: Question, reply: str) -> JudgeRequest | None:
    """What a judge is asked of a reply that holds neither word, or both."""
    said = reply_as_read(reply)
    if yes_no(said) != UNKNOWN:
        return None
    return JudgeRequest(_REQUEST.format(question=question.text, reply=said), lambda word: yes_no(word) != UNKNOWN)


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
