"""ScienceQA, test questions that have a picture: 2,017 prompts with up to five options, plain accuracy.

Table ``ScienceQA_TEST.tsv``: index, question, hint (ScienceQA's context), A .. E, answer, category, image. LLaVA's own
script (66.8 for LLaVA-1.5-7B in the paper's Table 1) reads replies by a stricter rule; this is the other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry import multiple_choice
from registry.benchmark import LLAVA, NOBODY, Index, Judged, JudgeRequest, PublishedTable, Question, Result
from registry.table import read_questions

NAME = "scienceqa_test"
TITLE = "ScienceQA test (questions with a picture)"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = PublishedTable("ScienceQA_TEST", "e42e9e00f9c59a80d8a5db35bc32b71f", "utils/benchmarks/ScienceQA")


def questions(table: Path) -> Iterator[Question]:
    """The prompts; each is a group of its own."""
    return read_questions(table, lambda row: str(row.index), ("image", "A", "B", "answer"))


def prompt(question: Question, style: str = LLAVA) -> str:
    """LLaVA's multiple-choice form, the context as hint."""
    return multiple_choice.prompt(question, style)


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:
    """What a judge is asked of a reply that names no option."""
    return multiple_choice.judge_request(question, reply, rules)


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Accuracy x 100, overall and by category where the table has one."""
    return multiple_choice.score(multiple_choice.Identity(NAME, VERSION), questions, replies, rules, judged)
