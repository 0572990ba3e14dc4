"""ChartQA, test split: 2,500 questions about charts, half written by people (test_human), half made (test_augmented).

Table ``ChartQA_TEST.tsv``: index, image, question, answer, split. Score: relaxed accuracy over both halves, as the
published scorer counts it (short_answers.py; rule set 2024-05 allows 5 % of the reply, later ones 5 % of the answer).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry import short_answers
from registry.benchmark import LLAVA, NOBODY, Index, Judged, PublishedTable, Question, Result
from registry.multiple_choice import Identity

NAME = "chartqa_test"
TITLE = "ChartQA test (relaxed accuracy)"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = True
TABLE = PublishedTable("ChartQA_TEST", "c902e0aa9be5582a7aad6dcf52734b42")


def questions(table: Path) -> Iterator[Question]:
    """The prompts; each is a group of its own."""
    return short_answers.read_open_questions(table)


def prompt(question: Question, style: str = LLAVA) -> str:  # noqa: ARG001  one for all
    """The question and the request for a short answer."""
    return short_answers.prompt(question)


def judge_request(question: Question, reply: str, rules: str) -> None:
    """Nobody is asked: the rule reads every reply."""


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Relaxed accuracy x 100, overall and for each half."""
    identity = Identity(NAME, VERSION)
    return short_answers.score(identity, questions, replies, rules, judged, short_answers.relaxed_accuracy)
