"""TextVQA, validation split: 5,000 questions about text in pictures, each answered by ten people.

Table ``TextVQA_VAL.tsv``: index, image, question, answer (a list of ten, as text). Score: the VQA score, as the
published scorer counts it (short_answers.py); a reply that four or more people gave is wholly right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry import short_answers
from registry.benchmark import LLAVA, NOBODY, Index, Judged, PublishedTable, Question, Result
from registry.multiple_choice import Identity

NAME = "textvqa_val"
TITLE = "TextVQA validation (VQA score)"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = True
TABLE = PublishedTable("TextVQA_VAL", "b233b31f551bbf4056f2f955da3a92cd")


def questions(table: Path) -> Iterator[Question]:
    """The prompts; each is a group of its own."""
    return short_answers.read_open_questions(table)


def prompt(question: Question, style: str = LLAVA) -> str:  # noqa: ARG001  one for all
    """The question and the request for a short answer."""
    return short_answers.prompt(question)


def judge_request(question: Question, reply: str, rules: str) -> None:
    """Nobody is asked: the rule reads every reply."""


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Mean VQA score x 100."""
    identity = Identity(NAME, VERSION)
    return short_answers.score(identity, questions, replies, rules, judged, short_answers.vqa_score)
