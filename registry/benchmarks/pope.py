"""POPE: whether an object is in a picture, yes or no; objects that are not there are random, popular or adversarial.

Table ``POPE.tsv``: index, image, question, answer (Yes / No), category. A category names one of the three ways in which
absent objects were drawn, or several with commas between them; such a row counts once for each. With Yes as what is to
be found, x 100:

    f1          2 * precision * recall / (precision + recall), the score
    precision   share of Yes among replies of Yes
    recall      share of replies of Yes among answers of Yes
    acc         share of right replies

A reply that is neither counts as not Yes, and is wrong. F1 is a ratio of sums, no mean. The item of a question is its
linear part in it: ``f1 + (2 hit - f1 * parts) / mean parts`` with hit = a right Yes, parts = answer is Yes + reply is
Yes. The items' mean is f1 exactly, and their spread tells how f1 would vary; single ones may be below 0 or above 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry.answers import check_rules
from registry.benchmark import (
    LLAVA,
    NOBODY,
    Answer,
    Index,
    Judged,
    JudgeRequest,
    PublishedTable,
    Question,
    Result,
    check_replies,
)
from registry.multiple_choice import trap_notes
from registry.table import read_questions
from registry.yes_no import UNKNOWN, yes_no_answer, yes_no_request

NAME = "pope"
TITLE = "POPE (yes / no, objects that are not there)"
VERSION = 1
PRIMARY = "f1"
RANGE = (0.0, 100.0)
HELD_OUT = True
TABLE = PublishedTable("POPE", "c12f5acb142f2ef1f85a26ba2fbe41d5")

YES = "Yes"


def questions(table: Path) -> Iterator[Question]:
    """The prompts; each is a group of its own."""
    return read_questions(table, lambda row: str(row.index), ("image", "answer", "category"))


def prompt(question: Question, style: str = LLAVA) -> str:  # noqa: ARG001  one for all
    """The question as published."""
    return question.text


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:  # noqa: ARG001  one for all rules
    """What a judge is asked of a reply that is neither yes nor no."""
    return yes_no_request(question, reply)


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """F1, precision, recall and accuracy, overall and by category."""
    check_rules(rules)
    check_replies(NAME, questions, replies)
    answers = [yes_no_answer(NAME, question, replies[question.index], judged) for question in questions]
    rows = [
        (name, question.answer, answer)
        for question, answer in zip(questions, answers, strict=True)
        for name in question.category.split(",")
    ]
    overall = _figures([(truth, answer) for _, truth, answer in rows])
    parts = _parts(questions, answers)
    breakdown: dict[str, float] = {}
    for name in sorted({name for name, _, _ in rows if name}):
        part = _figures([(truth, answer) for category, truth, answer in rows if category == name])
        breakdown |= {f"{name} {metric}": value for metric, value in part.items()}
    return Result(
        benchmark=NAME,
        version=VERSION,
        rules=rules,
        headline=PRIMARY,
        score=overall[PRIMARY],
        metrics=overall,
        breakdown=breakdown,
        items=_items(parts, overall[PRIMARY] / 100),
        ratios={PRIMARY: parts},
        answers=answers,
        unresolved=sum(answer.extracted == UNKNOWN for answer in answers),
        notes=trap_notes(questions, replies),
    )


def _figures(rows: Sequence[tuple[str, Answer]]) -> dict[str, float]:
    """The four figures of rows: the right answer, and what the reply was taken for."""
    found = sum(truth == YES and answer.extracted == YES for truth, answer in rows)
    precision = _share(found, sum(answer.extracted == YES for _, answer in rows))
    recall = _share(found, sum(truth == YES for truth, _ in rows))
    figures = {
        "f1": _share(2 * precision * recall, precision + recall),
        "acc": sum(answer.hit for _, answer in rows) / len(rows),
        "precision": precision,
        "recall": recall,
    }
    return {name: 100 * value for name, value in figures.items()}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _parts(questions: Sequence[Question], answers: Sequence[Answer]) -> dict[str, tuple[float, float]]:
    """Numerator and denominator of F1 that each question adds, a row with several categories once for each."""
    found: dict[str, tuple[float, float]] = {}
    for question, answer in zip(questions, answers, strict=True):
        weight = question.category.count(",") + 1
        yes = (question.answer == YES, answer.extracted == YES)
        found[question.group] = (2 * weight * all(yes), weight * sum(yes))
    return found


def _items(parts: Mapping[str, tuple[float, float]], f1: float) -> dict[str, float]:
    """Each question's linear part in F1 (module docstring)."""
    mean = sum(part for _, part in parts.values()) / len(parts)
    return {group: f1 + _share(hits - f1 * part, mean) for group, (hits, part) in parts.items()}
