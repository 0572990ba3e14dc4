"""MMBench, English, dev split: 4,329 prompts that are 1,164 questions, scored circularly.

Table ``MMBench_DEV_EN.tsv``: index, question, hint, A .. D, answer, category, image, l2-category, split. Each question
stands in the table once per rotation of its options; it counts only when all rotations are answered right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry import multiple_choice
from registry.benchmark import LLAVA, NOBODY, Index, Judged, JudgeRequest, PublishedTable, Question, Result
from registry.table import read_questions

NAME = "mmbench_dev_en"
TITLE = "MMBench dev (English, circular)"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = PublishedTable("MMBench_DEV_EN", "b6caf1133a01c6bb705cf753bb527ed8", "utils/benchmarks/MMBench")


def questions(table: Path) -> Iterator[Question]:
    """The prompts, grouped by the index of their main question."""
    return read_questions(table, multiple_choice.circular_group, ("image", "A", "B", "answer"))


def prompt(question: Question, style: str = LLAVA) -> str:
    """LLaVA's multiple-choice form."""
    return multiple_choice.prompt(question, style)


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:
    """What a judge is asked of a reply that names no option."""
    return multiple_choice.judge_request(question, reply, rules)


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Circular accuracy x 100, overall and by ability."""
    return multiple_choice.score(multiple_choice.Identity(NAME, VERSION), questions, replies, rules, judged)
