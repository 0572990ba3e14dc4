"""HallusionBench: 951 yes / no prompts about 346 figures in sets, most of which ask the same about altered figures.

Table ``HallusionBench.tsv``: index, image, question, answer (Yes / No), category (VD / VS), l2-category. An index is
``category_subcategory_visualinput_set_figure_question``. With all shares x 100:

    aAcc    right prompts
    fAcc    figures (l2-category, set, figure) of which all prompts are right
    qAcc    questions (l2-category, set, question) that are right about all of their figures
    mean    (aAcc + fAcc + qAcc) / 3, the score

Items are sets: their prompts, figures and questions belong together, so they are resampled together. The item of a
set is its part of the mean, times the number of sets; sets differ in size, so it may be more than 1.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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
from registry.errors import Refusal
from registry.multiple_choice import trap_notes
from registry.table import Row, read_questions
from registry.yes_no import UNKNOWN, yes_no_answer, yes_no_request

NAME = "hallusionbench"
TITLE = "HallusionBench (yes / no, by prompt, figure and question)"
VERSION = 2
PRIMARY = "mean"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = PublishedTable("HallusionBench", "0c23ac0dc9ef46832d7a24504f2a0c7c")

ACCURACIES = ("aAcc", "fAcc", "qAcc")


class Place(NamedTuple):
    """Where a prompt stands in the benchmark."""

    category: str
    ability: str
    """``l2-category``."""
    set: str
    figure: str
    question: str


def questions(table: Path) -> Iterator[Question]:
    """The prompts, grouped by set."""
    needs = ("image", "answer", "category", "l2-category")
    return read_questions(table, lambda row: f"{row.cells.get('l2-category')}/{_numbers(row)[0]}", needs)


def prompt(question: Question, style: str = LLAVA) -> str:  # noqa: ARG001  one for all
    """The question as published."""
    return question.text


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:  # noqa: ARG001  one for all rules
    """What a judge is asked of a reply that is neither yes nor no."""
    return yes_no_request(question, reply)


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """The three accuracies and their mean, overall, by category and by ability."""
    check_rules(rules)
    check_replies(NAME, questions, replies)
    answers = [yes_no_answer(NAME, question, replies[question.index], judged) for question in questions]
    hits = {_place(question): answer.hit for question, answer in zip(questions, answers, strict=True)}
    overall = _accuracies(hits)
    ratios = _ratios(questions, answers)
    return Result(
        benchmark=NAME,
        version=VERSION,
        rules=rules,
        headline=PRIMARY,
        score=overall[PRIMARY],
        metrics=overall,
        breakdown=_breakdown(hits),
        items=_items(ratios),
        ratios=ratios,
        answers=answers,
        unresolved=sum(answer.extracted == UNKNOWN for answer in answers),
        notes=trap_notes(questions, replies),
    )


def _numbers(row: Row) -> tuple[str, str, str]:
    """Set, figure and question of an index."""
    parts = str(row.index).split("_")
    if len(parts) < 6:
        what = f"index {row.index!r} is not category_subcategory_visualinput_set_figure_question"
        raise Refusal(f"benchmark {NAME}, line {row.line}", what, "give the benchmark's own table")
    return parts[3], parts[4], parts[5]


def _place(question: Question) -> Place:
    numbers = str(question.index).split("_")[3:6]
    return Place(question.category, question.row.get("l2-category", ""), *numbers)


def _accuracies(hits: Mapping[Place, bool]) -> dict[str, float]:
    """aAcc, fAcc, qAcc and their mean."""
    figures, asked = _groups(hits)
    three = dict(zip(ACCURACIES, map(_percent, (hits.values(), figures, asked)), strict=True))
    return {PRIMARY: sum(three.values()) / 3} | three


def _all_right(members: Iterable[tuple[str, str, str, bool]]) -> dict[Hashable, bool]:
    """Group -> whether every member of it is right."""
    found: dict[Hashable, bool] = {}
    for ability, set_, number, hit in members:
        found[ability, set_, number] = found.get((ability, set_, number), True) and hit
    return found


def _percent(hits: Iterable[bool]) -> float:
    values = list(hits)
    return 100 * sum(values) / len(values)


def _breakdown(hits: Mapping[Place, bool]) -> dict[str, float]:
    """``<category or ability> aAcc`` and so on, sorted."""
    found: dict[str, float] = {}
    for name in sorted({place.category for place in hits} | {place.ability for place in hits}):
        part = {place: hit for place, hit in hits.items() if name in (place.category, place.ability)}
        found |= {f"{name} {metric}": value for metric, value in _accuracies(part).items()}
    return found


def _ratios(questions: Sequence[Question], answers: Sequence[Answer]) -> dict[str, dict[str, tuple[float, float]]]:
    """Accuracy -> set -> what is right of it, and what is asked."""
    sets: dict[str, dict[Place, bool]] = {}
    for question, answer in zip(questions, answers, strict=True):
        sets.setdefault(question.group, {})[_place(question)] = answer.hit
    counted = {name: [list(hits.values()), *_groups(hits)] for name, hits in sets.items()}
    return {
        accuracy: {name: (sum(three[kind]), len(three[kind])) for name, three in counted.items()}
        for kind, accuracy in enumerate(ACCURACIES)
    }


def _items(ratios: Mapping[str, Mapping[str, tuple[float, float]]]) -> dict[str, float]:
    """What each set adds to the mean of the three shares, times the number of sets."""
    totals = {name: sum(asked for _, asked in sets.values()) for name, sets in ratios.items()}
    sets = next(iter(ratios.values()))
    return {
        set_: len(sets) * sum(ratios[name][set_][0] / total for name, total in totals.items()) / len(ratios)
        for set_ in sets
    }


def _groups(hits: Mapping[Place, bool]) -> tuple[list[bool], list[bool]]:
    """Whether all prompts of each figure are right, and all of each question."""
    figures = _all_right((place.ability, place.set, place.figure, hit) for place, hit in hits.items())
    asked = _all_right((place.ability, place.set, place.question, hit) for place, hit in hits.items())
    return list(figures.values()), list(asked.values())
