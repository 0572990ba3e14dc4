"""Short answers as published: the request, and three measures of how near a reply comes to the answers of a table.

The measures are those of open-compass/VLMEvalKit, rewritten, with what surprises in them:

* VQA score (TextVQA): reply and answers are normalised (lower case, marks, articles, number words up to ten, forgotten
  apostrophes); the mean over answers of ``min(1, equal ones among the others / 3)``. A table with a single answer for a
  question gives 0 for any reply.
* relaxed accuracy (ChartQA): within 5 % of the answer where both are numbers, else equal but for case. Until 2025-09-01
  the published scorer passed reply and answer the wrong way round, so 5 % of the *reply* was allowed: rule set 2024-05.
  With a 0 where the tolerance is taken from, the two are compared as text.
* ANLS (DocVQA): one minus edit distance over the longer length, 0 below a half. The distance is of the texts without
  blanks to spare, the length of those as they came in: blanks around a reply make a mistake in it cheaper.

An answer that the published reading of tables loses (``None``, ``NA`` …) is the word ``nan``, and so is such a reply.
Relaxed accuracy reads that as a number that equals none, so such a row is never right.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from registry.answers import check_rules, without_punctuation
from registry.benchmark import Answer, Index, Judged, Question, Result, check_replies
from registry.errors import Refusal
from registry.multiple_choice import Identity, trap_notes
from registry.table import MISSING_REPLY, MISSING_WORDS, read_questions, reply_as_read

REQUEST = "Answer the question using a single word or phrase."
"""What the published scorer asks since 2024-06-09, and LLaVA-1.5's own scripts; before, it was another sentence."""

Grade = Callable[[str, Sequence[str], str], tuple[str, float]]
"""Reply, answers and rule set -> what the reply was taken for, and how right it is, 0..1."""

HALF = 0.5
"""From here on a reply counts as a hit, where right is a matter of degree."""
_LONGEST_LIST = 100_000
_TOLERANCE = 0.05
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = {"none": "0", "zero": "0"} | {
    word: str(number)
    for number, word in enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 1)
}
_WITH_APOSTROPHES = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
"""Words that are put right where exactly one apostrophe is forgotten."""


def _forgotten(word: str) -> list[str]:
    """``word`` with each of its apostrophes left out in turn."""
    return [word[:at] + word[at + 1 :] for at, letter in enumerate(word) if letter == "'"]


_PUT_RIGHT = {wrong: word for word in _WITH_APOSTROPHES.split() for wrong in _forgotten(word)} | {
    "somebody'd": "somebodyd"  # the other way round, as published
}


def read_open_questions(table: Path) -> Iterator[Question]:
    """The prompts of a table of open questions; each is a group of its own."""
    return read_questions(table, lambda row: str(row.index), ("image", "answer"))


def prompt(question: Question) -> str:
    """The question, and a line with the request for a short answer."""
    return f"{question.text}\n{REQUEST}"


def score(
    benchmark: Identity,
    questions: Sequence[Question],
    replies: Mapping[Index, str],
    rules: str,
    judged: Judged,
    grade: Grade,
) -> Result:
    """The mean grade x 100, overall and by split, or by category where the table has no splits.

    A judge's replies are refused: the measures need none.
    """
    check_rules(rules)
    if judged:
        raise Refusal(f"benchmark {benchmark.name}", "is scored without a judge", "leave the judge's replies out")
    check_replies(benchmark.name, questions, replies)
    if not any(question.answer for question in questions):
        raise Refusal(f"benchmark {benchmark.name}", "the table has no answers", "use a split with answers")
    items: dict[str, float] = {}
    answers: list[Answer] = []
    for question in questions:
        taken, value = grade(reply_as_read(replies[question.index]), answers_of(benchmark.name, question), rules)
        items[question.group] = value
        answers.append(Answer(question.index, question.group, taken, value >= HALF))
    overall = _percent(items.values())
    return Result(
        benchmark=benchmark.name,
        version=benchmark.version,
        rules=rules,
        headline="overall",
        score=overall,
        metrics={"overall": overall},
        breakdown=_breakdown(questions, items),
        items=items,
        answers=answers,
        unresolved=sum(replies[question.index] in MISSING_WORDS for question in questions),
        notes=trap_notes(questions, replies),
    )


def answers_of(benchmark: str, question: Question) -> list[str]:
    """The answers of a row: a list that is written as text (never run), or the one text."""
    text = question.answer or MISSING_REPLY
    found: object = text
    if text.lstrip().startswith("[") and len(text) <= _LONGEST_LIST:
        try:
            found = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found = text
    if found == []:
        where = f"benchmark {benchmark}, index {question.index}"
        raise Refusal(where, "the list of its answers is empty", "give the benchmark's own table")
    return [str(answer) for answer in found] if isinstance(found, list) else [text]


def vqa_score(reply: str, answers: Sequence[str], rules: str) -> tuple[str, float]:  # noqa: ARG001  one for all rules
    """How many people gave the answer that the reply is, three being enough."""
    said = normalised(reply)
    equal = sum(normalised(answer) == said for answer in answers)
    others, count = len(answers) - equal, len(answers)
    return said, (equal * min(1.0, (equal - 1) / 3) + others * min(1.0, equal / 3)) / count if equal else 0.0


def normalised(text: str) -> str:
    """A short answer in the form in which the VQA score compares it."""
    plain = without_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    words = (_NUMBERS.get(word, word) for word in plain.lower().split())
    return " ".join(_PUT_RIGHT.get(word, word) for word in words if word not in _ARTICLES)


def relaxed_accuracy(reply: str, answers: Sequence[str], rules: str) -> tuple[str, float]:
    """Whether the reply is near one of the answers."""
    said = reply.strip()
    if rules == "2024-05":
        return said, float(any(_near(said, answer) for answer in answers))
    return said, float(any(_near(answer, said) for answer in answers))


def _near(target: str, other: str) -> bool:
    """Whether two numbers differ by 5 % of ``target`` at most; other texts are the same but for case."""
    wanted, found = _number(target), _number(other)
    if found is not None and wanted:
        return abs(found - wanted) / abs(wanted) <= _TOLERANCE
    return other.lower() == target.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def anls(reply: str, answers: Sequence[str], rules: str) -> tuple[str, float]:  # noqa: ARG001  one for all rules
    """Likeness to the nearest answer, 0 below a half."""
    likeness = 1 - min(_distance_share(answer, reply) for answer in answers)
    return " ".join(reply.lower().split()), likeness if likeness >= HALF else 0.0


def _distance_share(answer: str, reply: str) -> float:
    length = max(len(answer.upper()), len(reply.upper()))
    wanted, said = (" ".join(text.lower().split()) for text in (answer, reply))
    if 2 * abs(len(wanted) - len(said)) > length:  # more than half: the rest of the distance changes nothing
        return 1.0
    return edit_distance(wanted, said) / length if length else 0.0


def edit_distance(first: str, second: str) -> int:
    """Fewest characters to insert, delete or change to make one text of the other."""
    if len(first) > len(second):
        first, second = second, first
    row = list(range(len(first) + 1))
    for line, letter in enumerate(second, 1):
        before, row[0] = row[0], line
        for column, other in enumerate(first, 1):
            change = before if letter == other else 1 + min(before, row[column], row[column - 1])
            before, row[column] = row[column], change
    return row[-1]


def _percent(values: Collection[float]) -> float:
    return 100 * sum(values) / len(values)


def _breakdown(questions: Sequence[Question], items: Mapping[str, float]) -> dict[str, float]:
    """Mean by split where the table has any, else by category."""
    splits = any("split" in question.row for question in questions)
    cells: dict[str, list[float]] = {}
    for question in questions:
        name = question.row.get("split", "") if splits else question.category
        if name:
            cells.setdefault(name, []).append(items[question.group])
    return {name: _percent(values) for name, values in sorted(cells.items())}
