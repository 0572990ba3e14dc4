"""MathVista, testmini: 1,000 prompts, 540 with choices, 418 with a whole number, 40 with a decimal, 2 with a list.

Table ``MathVista_MINI.tsv``: index, image, question (the whole query, choices included), answer, answer_option (a
letter), choices (a list as text), question_type, answer_type, task, skills (a list as text). As published:

* choices: the letter that the usual rules find settles a prompt, right or wrong;
* numbers: the whole reply, read as a number, settles a prompt if it equals the answer, unless that is 0;
* what is not settled goes to a judge, whose reply is read in the same way and compared without rounding;
* a prompt whose answer is a list is never right.

Without a judge's replies what is not settled counts as wrong and is reported; the published figure needs them.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry.answers import check_rules, option_letter
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
from registry.table import read_questions, reply_as_read

NAME = "mathvista_mini"
TITLE = "MathVista testmini"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = PublishedTable("MathVista_MINI", "f199b98e178e5a2a20e7048f5dcb0464")

CHOICES, WHOLE, DECIMAL = "multi_choice", "integer", "float"
_LONGEST_LIST = 20_000
_REQUEST = """\
Somebody was asked a question about a picture. Take the final answer from the reply, in the form that is asked for. \
You do not see the picture; do not answer the question yourself. Write {form} and nothing else.

Question: {question}
Reply: {reply}
Final answer:"""
_FORMS = {
    CHOICES: "the letter of the option that the reply means",
    WHOLE: "it as a whole number in digits",
    DECIMAL: "it as a decimal number with as many decimals as the question asks for",
}


def questions(table: Path) -> Iterator[Question]:
    """The prompts; each is a group of its own."""
    needs = ("image", "answer", "answer_option", "choices", "question_type", "answer_type", "task", "skills")
    return read_questions(table, lambda row: str(row.index), needs)


def prompt(question: Question, style: str = LLAVA) -> str:  # noqa: ARG001  one for all
    """The query as published: hint, question and choices."""
    return question.text


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Accuracy x 100, overall, by task and by skill; and the share of prompts that needed no judge."""
    check_rules(rules)
    check_replies(NAME, questions, replies)
    answers = [_graded(question, replies[question.index], rules, judged.get(question.index)) for question in questions]
    overall = _percent([answer.hit for answer in answers])
    settled = [not answer.judged and bool(answer.extracted) for answer in answers]
    unresolved = sum(not answer.extracted and not answer.judged for answer in answers)
    return Result(
        benchmark=NAME,
        version=VERSION,
        rules=rules,
        headline=PRIMARY,
        score=overall,
        metrics={PRIMARY: overall, "settled_without_judge": _percent(settled)},
        breakdown=_breakdown(questions, answers),
        items={answer.group: float(answer.hit) for answer in answers},
        answers=answers,
        unresolved=unresolved,
        notes=[*trap_notes(questions, replies), *_notes(questions, unresolved)],
    )


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:
    """What a judge is asked of a reply that settles nothing: the answer in it."""
    said = reply_as_read(reply)
    if _settled(question, said, rules):
        return None
    kind = question.row.get("question_type", "")
    form = _FORMS.get(kind) or _FORMS.get(question.row.get("answer_type", ""), "it as a list like [1, 2]")
    text = _REQUEST.format(form=form, question=question.text, reply=said)
    return JudgeRequest(text, lambda answer: bool(answer.strip()))


def _graded(question: Question, reply: str, rules: str, judged: str | None) -> Answer:
    """What the reply was taken for: by the rules, else by the judge."""
    found = _settled(question, reply_as_read(reply), rules)
    if found or judged is None:
        return Answer(question.index, question.group, found, bool(found) and _is_right(question, found, rules))
    said = reply_as_read(judged)
    return Answer(question.index, question.group, said, _is_right(question, said, rules), judged=True)


def _settled(question: Question, reply: str, rules: str) -> str:
    """What settles the prompt without a judge; empty if nothing does."""
    if question.row.get("question_type") == CHOICES:
        return option_letter(reply, _choices(question), rules) or ""
    number = _number(question, reply)
    # A right answer of 0 is taken for none: the published code asks whether the number is true.
    return reply if number and number == _number(question, question.answer) else ""


def _is_right(question: Question, said: str, rules: str) -> bool:
    if question.row.get("question_type") == CHOICES:
        return option_letter(said, _choices(question), rules) == question.row.get("answer_option")
    number = _number(question, said)
    return number is not None and number == _number(question, question.answer)


def _number(question: Question, text: str) -> float | None:
    """The whole text as the kind of number that is asked for; None where it is none, or a list is asked for."""
    kind = {WHOLE: int, DECIMAL: float}.get(question.row.get("answer_type", ""))
    try:
        return kind(text) if kind is not None else None
    except ValueError:
        return None


def _choices(question: Question) -> dict[str, str]:
    texts = _list(question, "choices")
    return dict(zip(string.ascii_uppercase, map(str, texts), strict=False))


def _list(question: Question, column: str) -> list[object]:
    """A list that is written as text; never run."""
    text = question.row.get(column, "[]")
    try:
        found = ast.literal_eval(text) if len(text) <= _LONGEST_LIST else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list):
        where = f"benchmark {NAME}, index {question.index}"
        raise Refusal(where, f"column {column} holds no list ({text[:40]!r})", "give the benchmark's own table")
    return found


def _percent(hits: Sequence[bool]) -> float:
    return 100 * sum(hits) / len(hits)


def _breakdown(questions: Sequence[Question], answers: Sequence[Answer]) -> dict[str, float]:
    """Accuracy by task and by skill; a prompt has one task and often several skills."""
    hits: dict[str, list[bool]] = {}
    for question, answer in zip(questions, answers, strict=True):
        for name in dict.fromkeys([question.row.get("task", ""), *map(str, _list(question, "skills"))]):
            hits.setdefault(name, []).append(answer.hit)
    return {name: _percent(values) for name, values in sorted(hits.items()) if name}


def _notes(questions: Sequence[Question], unresolved: int) -> list[str]:
    notes = []
    if unresolved:
        notes.append(f"{unresolved} replies need a judge and count as wrong: the published figure has one")
    lists = sum(question.row.get("answer_type") == "list" for question in questions)
    if lists:
        notes.append(f"{lists} prompts ask for a list, which the published rules never count as right")
    return notes
