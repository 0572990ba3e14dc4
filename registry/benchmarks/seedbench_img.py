"""SEED-Bench, the questions about pictures (tasks 1 to 9): 14,233 prompts with four options, plain accuracy.

Table ``SEEDBench_IMG.tsv``: index, image, question, A .. D, answer, category (the nine task names). The overall figure
is the mean over prompts, so large tasks weigh more. The authors' own rule (ranking the option texts) is another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry import multiple_choice
from registry.benchmark import LLAVA, NOBODY, Index, Judged, JudgeRequest, PublishedTable, Question, Result
from registry.table import read_questions

NAME = "seedbench_img"
TITLE = "SEED-Bench (image)"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = PublishedTable("SEEDBench_IMG", "68017231464752261a2526d6ca3a10c0", "utils/benchmarks/SEEDBench")


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
    """Accuracy x 100, overall and per task."""
    return multiple_choice.score(multiple_choice.Identity(NAME, VERSION), questions, replies, rules, judged)
