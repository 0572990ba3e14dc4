"""DocVQA, validation split: 5,349 questions about scanned pages, scored by likeness to the nearest answer.

Table ``DocVQA_VAL.tsv``: index, image, question, answer (a list, as text). Score: ANLS as the published scorer counts
it (short_answers.py). An item is the likeness to the nearest answer, 0 below a half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry import short_answers
from registry.benchmark import LLAVA, NOBODY, Index, Judged, PublishedTable, Question, Result
from registry.multiple_choice import Identity

NAME = "docvqa_val"
TITLE = "DocVQA validation (ANLS)"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = True
TABLE = PublishedTable("DocVQA_VAL", "d5ee77e1926ff10690d469c56b73eabf")


def questions(table: Path) -> Iterator[Question]:
    """The prompts; each is a group of its own."""
    return short_answers.read_open_questions(table)


def prompt(question: Question, style: str = LLAVA) -> str:  # noqa: ARG001  one for all
    """The question and the request for a short answer."""
    return short_answers.prompt(question)


def judge_request(question: Question, reply: str, rules: str) -> None:
    """Nobody is asked: the rule reads every reply."""


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Mean likeness x 100."""
    identity = Identity(NAME, VERSION)
    return short_answers.score(identity, questions, replies, rules, judged, short_answers.anls)
