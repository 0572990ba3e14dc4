"""MME: 2,374 yes / no prompts, two per picture, in 14 tasks.

Table ``MME.tsv``: index, image, question (ends with "Please answer yes or no."), answer (Yes / No), category (the
task), image_path. Per task, with ``acc`` the share of right replies and ``acc+`` the share of pictures whose first two
replies are both right:

    task score  = 100 * (acc + acc+)                        0 .. 200
    total       = sum of the task scores                    0 .. 2800 with all 14 tasks
    score       = 100 * total / (200 * tasks present)       = total / 28 with all 14 tasks

Items are pictures, with the task as stratum: ``item = (hits / 2 + both right) / 2``. As every picture has two prompts,
the mean of the items of a task is ``(acc + acc+) / 2``, and the score is exactly 100 x the mean over tasks of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from registry.answers import check_rules
from registry.benchmark import (
    LLAVA,
    NOBODY,
    Index,
    Judged,
    JudgeRequest,
    PublishedTable,
    Question,
    Result,
    check_replies,
)
from registry.errors import Refusal
from registry.multiple_choice import trap_notes
from registry.table import read_questions
from registry.yes_no import yes_no_answer, yes_no_request

NAME = "mme"
TITLE = "MME (yes / no, 14 tasks)"
VERSION = 2
PRIMARY = "percent_of_maximum"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = PublishedTable("MME", "b36b43c3f09801f5d368627fb92187c3")

PERCEPTION = (
    "OCR",
    "artwork",
    "celebrity",
    "color",
    "count",
    "existence",
    "landmark",
    "position",
    "posters",
    "scene",
)
REASONING = ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation")
TASKS = PERCEPTION + REASONING


def questions(table: Path) -> Iterator[Question]:
    """The prompts, grouped by task and picture."""
    needs = ("image", "answer", "category", "image_path")
    return read_questions(table, lambda row: f"{row.cells.get('category')}/{row.cells.get('image_path')}", needs)


def prompt(question: Question, style: str = LLAVA) -> str:  # noqa: ARG001  one for all
    """The question as published: it asks for yes or no itself."""
    return question.text


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:  # noqa: ARG001  one for all rules
    """What a judge is asked of a reply that is neither yes nor no."""
    return yes_no_request(question, reply)


@dataclass
class _Picture:
    """The replies about one picture of one task, in table order."""

    task: str
    hits: list[bool] = field(default_factory=list)

    def both(self) -> bool:
        """Whether the first two are right."""
        return self.hits[0] and self.hits[1]


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Task scores 0..200, their sums, and the share of the reachable sum as the score."""
    check_rules(rules)
    check_replies(NAME, questions, replies)
    answers = [yes_no_answer(NAME, question, replies[question.index], judged) for question in questions]
    all_pictures: dict[str, _Picture] = {}
    for question, answer in zip(questions, answers, strict=True):
        all_pictures.setdefault(question.group, _Picture(question.category)).hits.append(answer.hit)
    pictures = {group: picture for group, picture in all_pictures.items() if len(picture.hits) > 1}
    tasks = _task_scores(pictures)
    known = {task: value for task, value in tasks.items() if task in TASKS}
    if not known:
        raise Refusal(f"benchmark {NAME}", "no task with two prompts a picture", f"tasks are {', '.join(TASKS)}")
    items, strata = _items(pictures, known)
    total = sum(known.values())
    metrics = {
        PRIMARY: 100 * total / (200 * len(known)),
        "total": total,
        "perception": sum(value for task, value in known.items() if task in PERCEPTION),
        "reasoning": sum(value for task, value in known.items() if task in REASONING),
    }
    return Result(
        benchmark=NAME,
        version=VERSION,
        rules=rules,
        headline="total",
        score=metrics[PRIMARY],
        metrics=metrics,
        breakdown=tasks,
        items=items,
        strata=strata,
        answers=answers,
        unresolved=sum(answer.extracted == "Unknown" for answer in answers),
        partial=len(known) < len(TASKS) or len(pictures) < len(all_pictures),
        notes=[*trap_notes(questions, replies), *_notes(known, tasks, len(all_pictures) - len(pictures))],
    )


def _task_scores(pictures: Mapping[str, _Picture]) -> dict[str, float]:
    """Task -> 100 * (acc + acc+), sorted by name."""
    by_task: dict[str, list[_Picture]] = {}
    for picture in pictures.values():
        by_task.setdefault(picture.task, []).append(picture)
    return {task: _task_score(members) for task, members in sorted(by_task.items())}


def _task_score(members: Sequence[_Picture]) -> float:
    hits = [hit for picture in members for hit in picture.hits]
    return 100 * sum(hits) / len(hits) + 100 * sum(picture.both() for picture in members) / len(members)


def _items(pictures: Mapping[str, _Picture], tasks: Mapping[str, float]) -> tuple[dict[str, float], dict[str, str]]:
    """Items and strata of the pictures whose task counts, so that :func:`score_of_items` gives the score.

    A picture with more than two prompts, which the published table does not have, weighs in ``acc`` by its prompts.
    """
    counted = {group: picture for group, picture in pictures.items() if picture.task in tasks}
    prompts_per_picture = {
        task: _mean([len(picture.hits) for picture in counted.values() if picture.task == task]) for task in tasks
    }
    items = {
        group: (sum(picture.hits) / prompts_per_picture[picture.task] + picture.both()) / 2
        for group, picture in counted.items()
    }
    return items, {group: picture.task for group, picture in counted.items()}


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


def _notes(known: Mapping[str, float], tasks: Mapping[str, float], incomplete: int) -> list[str]:
    notes = []
    if len(known) < len(TASKS):
        absent = ", ".join(task for task in TASKS if task not in known)
        notes.append(
            f"partial: {len(known)} of 14 tasks ({absent} absent); total, perception, reasoning are sums of these"
        )
    if len(known) < len(tasks):
        others = ", ".join(task for task in tasks if task not in known)
        notes.append(f"tasks that are not MME's are reported but not in the score: {others}")
    if incomplete:
        notes.append(f"partial: {incomplete} pictures with a single prompt are left out")
    return notes
