"""LLaVA-Bench (in the wild): 60 open questions about pictures, rated by a judge beside GPT-4's answers.

Table ``LLaVABench.tsv``: index, image, question, gpt4_ans, caption, category (conv, detail, complex). A review's first
line holds two ratings from 1 to 10, of the reference and of the model:

    relative score = 100 * mean rating of the model / mean rating of the reference

As published, a first line that is not two numbers with one blank or comma between them rates both with -1, which
stays in the means; such reviews are counted. There is no score without a judge's reviews. Items are a question's rating
of the model over the mean rating of the reference, so they may be more than 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from registry.table import question_of, read_table, reply_as_read

NAME = "llavabench"
TITLE = "LLaVA-Bench in the wild (judged)"
VERSION = 1
PRIMARY = "relative"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = PublishedTable("LLaVABench", "d382a093f749a697820d3dadd61c8428")

REFERENCE = "gpt4_ans"


class Ratings(NamedTuple):
    """What a review gives the reference and the model."""

    reference: float
    model: float


UNREADABLE = Ratings(-1.0, -1.0)

_REQUEST = """\
Two assistants answered a question about a picture. You do not see the picture, but here is what it shows.

[What the picture shows]
{caption}

[Question]
{question}

[Assistant 1]
{reference}

[Assistant 2]
{reply}

[Your task]
Rate each answer from 1 to 10, 10 being best: how helpful, relevant, accurate and detailed it is. The order of the \
two must not matter. Write two numbers with a single blank between them on the first line, the rating of Assistant 1 \
and that of Assistant 2, and nothing else on that line. Give your reasons on the lines below it."""


def questions(table: Path) -> Iterator[Question]:
    """The prompts; each is a group of its own, its answer is the reference's."""
    content = read_table(table, ("image", REFERENCE, "caption", "category"))
    for row in content.rows:
        yield question_of(content, row, str(row.index))


def prompt(question: Question, style: str = LLAVA) -> str:  # noqa: ARG001  one for all
    """The question as published."""
    return question.text


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest:  # noqa: ARG001  one for all rules
    """What a judge is asked of every reply: to rate it beside the reference."""
    row = question.row
    text = _REQUEST.format(
        caption=row.get("caption", ""),
        question=question.text,
        reference=row.get(REFERENCE, ""),
        reply=reply_as_read(reply),
    )
    return JudgeRequest(text, lambda review: ratings(review) != UNREADABLE, max_tokens=1024, temperature=0.2)


def ratings(review: str) -> Ratings:
    """The two ratings of a review's first line."""
    parts = review.split("\n")[0].replace(",", " ").split(" ")
    try:
        return Ratings(float(parts[0]), float(parts[1])) if len(parts) == 2 else UNREADABLE
    except ValueError:
        return UNREADABLE


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """The relative score, overall and by category, and both means x 10."""
    check_rules(rules)
    check_replies(NAME, questions, replies)
    absent = [question.index for question in questions if question.index not in judged]
    if absent:
        what = f"{len(absent)} of {len(questions)} replies have no review by a judge (index {absent[0]} …)"
        raise Refusal(f"benchmark {NAME}", what, "give them with --judge-replies, or a judge with --judge")
    reviews = {question.group: ratings(judged[question.index]) for question in questions}
    overall = _relative(list(reviews.values()))
    unreadable = sum(review == UNREADABLE for review in reviews.values())
    mean = sum(review.reference for review in reviews.values()) / len(reviews)
    by_category: dict[str, list[Ratings]] = {}
    for question in questions:
        by_category.setdefault(question.category, []).append(reviews[question.group])
    return Result(
        benchmark=NAME,
        version=VERSION,
        rules=rules,
        headline=PRIMARY,
        score=overall[PRIMARY],
        metrics=overall,
        breakdown={name: _relative(members)[PRIMARY] for name, members in sorted(by_category.items())},
        items={group: review.model / mean for group, review in reviews.items()},
        ratios={PRIMARY: {group: (review.model, review.reference) for group, review in reviews.items()}},
        answers=[_answer(question, reviews[question.group]) for question in questions],
        unresolved=unreadable,
        notes=[*trap_notes(questions, replies), *_notes(unreadable)],
    )


def _answer(question: Question, review: Ratings) -> Answer:
    """The model's rating; a hit is a reply that is rated no lower than the reference."""
    known = review != UNREADABLE
    extracted = f"{review.model:g}" if known else ""
    return Answer(question.index, question.group, extracted, known and review.model >= review.reference, judged=known)


def _relative(reviews: Sequence[Ratings]) -> dict[str, float]:
    model = sum(review.model for review in reviews) / len(reviews)
    reference = sum(review.reference for review in reviews) / len(reviews)
    if not reference:
        raise Refusal(f"benchmark {NAME}", "the reference's ratings are 0 on average", "look at the judge's replies")
    return {PRIMARY: 100 * model / reference, "model": 10 * model, "reference": 10 * reference}


def _notes(unreadable: int) -> list[str]:
    if not unreadable:
        return []
    return [f"{unreadable} reviews do not begin with two ratings; as published they count as -1 in both means"]
