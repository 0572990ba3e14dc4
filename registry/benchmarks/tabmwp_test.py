"""TabMWP, test rows: grade-school problems about a table in a picture, scored by **this project's own rule**.

VLMEvalKit and the paper have no such benchmark, so its figures compare only with figures of this file. Read from

* the Hub's parquet layout: image (bytes), pid, question, choices (list or null), answer, unit; or
* a TSV of the usual table format whose options stand in columns ``A``, ``B``, … and whose ``answer`` is the text.

Rule, for questions with choices: a reply that is one option's text (normalised as below) chooses that option; any other
is matched to a letter as in every multiple-choice table (named profile); it is right when the chosen text is the
answer. For questions without: normalised exact match: lower case, no ``$``, no unit of the row at
the end, no full stop at the end, one form of the minus sign, no commas within numbers, no blanks around ``/``; two
numbers (whole, decimal or a fraction) are equal when their values are.
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry import multiple_choice
from registry.answers import check_rules, option_letter
from registry.benchmark import LLAVA, NOBODY, Answer, Index, Judged, Question, Result, check_replies
from registry.errors import Refusal
from registry.table import question_of, read_table

if TYPE_CHECKING:
    import pyarrow.parquet as pq

NAME = "tabmwp_test"
TITLE = "TabMWP test (this project's own rule)"
VERSION = 1
PRIMARY = "overall"
RANGE = (0.0, 100.0)
HELD_OUT = False
TABLE = None

REQUEST = "Answer the question using a single word or phrase."
_COLUMNS = ("question", "choices", "answer", "unit", "ques_type", "grade")
_COMMA_IN_NUMBER = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?|\.\d+)(/\d+)?")
_LONGEST_NUMBER = 40


def questions(table: Path) -> Iterator[Question]:
    """The prompts of a parquet file or TSV; category is the question type (``free_text``, ``multi_choice``)."""
    if table.suffix == ".parquet":
        yield from _from_parquet(table)
        return
    content = read_table(table, ("answer",), pandas_words=False)
    for row in content.rows:
        yield question_of(content, row, str(row.index))


def prompt(question: Question, style: str = LLAVA) -> str:
    """LLaVA's forms: multiple choice where there are options, else question and short-answer request."""
    return multiple_choice.prompt(question, style) if question.options else f"{question.text}\n{REQUEST}"


def judge_request(question: Question, reply: str, rules: str) -> None:
    """Nobody is asked: the rule reads every reply."""


def score(questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY) -> Result:
    """Accuracy x 100, overall and for the two kinds of question. A judge's replies are refused: the rule needs none."""
    check_rules(rules)
    if judged:
        raise Refusal(f"benchmark {NAME}", "is scored without a judge", "leave the judge's replies out")
    check_replies(NAME, questions, replies)
    answers = [_graded(question, replies[question.index], rules) for question in questions]
    items = {answer.group: float(answer.hit) for answer in answers}
    kinds = {question.group: "with choices" if question.options else "free answer" for question in questions}
    breakdown = {kind: _accuracy([items[g] for g in items if kinds[g] == kind]) for kind in sorted({*kinds.values()})}
    overall = _accuracy(list(items.values()))
    return Result(
        benchmark=NAME,
        version=VERSION,
        rules=rules,
        headline=PRIMARY,
        score=overall,
        metrics={PRIMARY: overall},
        breakdown=breakdown,
        items=items,
        answers=answers,
        unresolved=sum(not answer.extracted for answer in answers),
        notes=["this project's own rule, not a published one"],
    )


def normalised(text: str, unit: str = "") -> str:
    """A free answer in the one form that is compared (module docstring)."""
    plain = " ".join(text.lower().replace("\N{MINUS SIGN}", "-").split()).rstrip(".").strip()
    for mark in ("$", unit.lower().strip()):
        if mark:
            plain = plain.removeprefix(mark).removesuffix(mark).strip()
    plain = _COMMA_IN_NUMBER.sub("", plain.replace("-$", "-").replace(" / ", "/"))
    number = _value(plain)
    return plain if number is None else str(number)


def _value(text: str) -> Fraction | None:
    """The exact value of a number, None for anything else."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    above, _, below = text.partition("/")
    return None if below and not int(below) else Fraction(above) / Fraction(below or "1")


def _graded(question: Question, reply: str, rules: str) -> Answer:
    if not question.answer:
        raise Refusal(f"benchmark {NAME}, index {question.index}", "no answer in the table", "use rows with answers")
    unit = question.row.get("unit", "")
    truth = normalised(question.answer, unit)
    if question.options:
        letter = _chosen(reply, question.options, unit) or option_letter(reply, question.options, rules) or ""
        hit = letter in question.options and normalised(question.options[letter], unit) == truth
        return Answer(question.index, question.group, letter, hit)
    extracted = normalised(reply, unit)
    return Answer(question.index, question.group, extracted, extracted == truth)


def _chosen(reply: str, options: Mapping[str, str], unit: str) -> str | None:
    """The letter of the one option whose text the whole reply is."""
    said = normalised(reply, unit)
    letters = [letter for letter, text in options.items() if normalised(text, unit) == said]
    return letters[0] if len(letters) == 1 else None


def _accuracy(values: Sequence[float]) -> float:
    return 100 * sum(values) / len(values)


def _from_parquet(path: Path) -> Iterator[Question]:
    """Questions of the Hub's layout; pictures are read per row group when asked for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        absent = [name for name in ("image", "question", "choices", "answer") if name not in file.schema_arrow.names]
        if absent:
            raise Refusal(str(path), f"no column {', '.join(absent)}", "give the parquet file of TabMWP's test split")
        columns = [name for name in ("pid", *_COLUMNS) if name in file.schema_arrow.names]
        rows = file.read(columns=columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0][:200]
        raise Refusal(str(path), f"cannot be read as parquet ({reason})", "fetch the file again") from None
    pictures = _Pictures(file)
    indexes = [str(row.get("pid") or place) for place, row in enumerate(rows)]
    all_ints = all(index.isdecimal() for index in indexes)
    for place, (row, index) in enumerate(zip(rows, indexes, strict=True)):
        yield _parquet_question(row, int(index) if all_ints else index, place, pictures)


def _parquet_question(row: Mapping[str, Any], index: Index, place: int, pictures: _Pictures) -> Question:
    cells = {name: str(row[name]) for name in _COLUMNS if name in row and isinstance(row[name], (str, int))}
    return Question(
        index=index,
        group=str(index),
        text=cells.get("question", ""),
        options=dict(zip(string.ascii_uppercase, row["choices"] or [], strict=False)),
        answer=cells.get("answer", ""),
        category=cells.get("ques_type", ""),
        row=cells,
        image_key=str(place),
        read_image=lambda: pictures.read(place),
    )


class _Pictures:
    """Pictures of a parquet file, one row group in memory at a time."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        self._starts = [sum(sizes[:group]) for group in range(len(sizes))]
        self._group = -1
        self._images: list[Any] = []

    def read(self, place: int) -> str | None:
        """base64 of the picture in row ``place``; None where the row has none."""
        group = max(number for number, start in enumerate(self._starts) if start <= place)
        if group != self._group:
            self._images = self._file.read_row_group(group, columns=["image"]).column("image").to_pylist()
            self._group = group
        image = self._images[place - self._starts[group]]
        return base64.b64encode(image["bytes"]).decode() if image and image["bytes"] else None
