"""AI2D, test split: 3,088 questions about school-book diagrams with four options, plain accuracy.

Table ``AI2D_TEST.tsv``: index, image, question, A .. D, answer, category. The parts that a question asks about are
letters, often drawn into the diagram and often the option texts themselves: option ``A`` may read "B". The published
rules look for a letter of an option first, so a reply of such a text is taken for the option of that letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry import multiple_choice
from registry.benchmark import LLAVA, NOBODY, Index, Judged, JudgeRequest, PublishedTable, Question, Result
from registry.table import read_questions

NAME = "ai2d_test"
TITLE = "AI2D test"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = True
TABLE = PublishedTable("AI2D_TEST", "0f593e0d1c7df9a3d69bf1f947e71975")


def questions(table: Path) -> Iterator[Question]:
    """The prompts; each is a group of its own."""
    return read_questions(table, lambda row: str(row.index), ("image", "A", "B", "answer"))


def prompt(question: Question, style: str = LLAVA) -> str:
    """LLaVA's multiple-choice form."""
    return multiple_choice.prompt(question, style)


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:
    """What a judge is asked of a reply that names no option."""
    return multiple_choice.judge_request(question, reply, rules)


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Accuracy x 100, overall and by category."""
    return multiple_choice.score(multiple_choice.Identity(NAME, VERSION), questions, replies, rules, judged)
