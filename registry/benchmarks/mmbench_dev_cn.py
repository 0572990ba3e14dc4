"""MMBench, Chinese, dev split: the 4,329 prompts of the English one in Chinese, scored circularly.

Table ``MMBench_DEV_CN.tsv``: index, question, hint, A .. D, answer, category, image, l2-category, split. Full stops and
brackets of Chinese are no separators to the published rules: ``答案是C。`` holds no letter that stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry import multiple_choice
from registry.benchmark import LLAVA, NOBODY, Index, Judged, JudgeRequest, PublishedTable, Question, Result
from registry.table import read_questions

NAME = "mmbench_dev_cn"
TITLE = "MMBench dev (Chinese, circular)"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = PublishedTable("MMBench_DEV_CN", "08b8fc3324a5ed74155350f57be69fbd", "utils/benchmarks/MMBench")


def questions(table: Path) -> Iterator[Question]:
    """The prompts, grouped by the index of their main question."""
    return read_questions(table, multiple_choice.circular_group, ("image", "A", "B", "answer"))


def prompt(question: Question, style: str = LLAVA) -> str:
    """LLaVA's multiple-choice form; its request is in Chinese where the question is."""
    return multiple_choice.prompt(question, style)


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:
    """What a judge is asked of a reply that names no option."""
    return multiple_choice.judge_request(question, reply, rules)


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Circular accuracy x 100, overall and by ability."""
    return multiple_choice.score(multiple_choice.Identity(NAME, VERSION), questions, replies, rules, judged)
