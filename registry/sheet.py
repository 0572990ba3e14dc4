"""A benchmark's questions as they are put to a model, and the answers as they are kept. No torch.

Light: texts and digests of the pictures; a picture is read from the table when a model is about to look at it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from registry.answer_rows import answer_rows
from registry.benchmark import Benchmark, Index, Question, Result
from registry.errors import Refusal
from registry.identity import digest
from registry.kept_replies import kept_replies
from registry.sampling import picture_clusters
from registry.scores import answers_path, as_stored, load_score
from registry.store import dump_json, write_aside
from registry.stratified import stratified
from registry.trial import AnswerBy, BenchmarkScore

NO_REPLY = "Failed to obtain answer via API."
"""Stands for the reply of a server that gave none, as published (``registry.answers`` knows it)."""

Batches = Iterator[Mapping[int, str]]
Ask = Callable[[list[int]], Batches]
"""Numbers of questions -> their replies, a batch at a time, each question once."""
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Sheet:
    """The questions of a table and what a model is asked."""

    questions: list[Question]
    asked: list[str]
    """The text part of each user's turn."""
    images: list[tuple[str, ...]]
    """sha256 of each question's pictures, which stand before its text."""
    holders: dict[str, Question] = field(repr=False)
    """sha256 -> a question that has the picture."""

    def read(self, sha256: str) -> bytes:
        """Bytes of a picture, read now."""
        return _decode(self.holders[sha256])


def read_sheet(benchmark: Benchmark, table: Path, limit: int | None = None) -> Sheet:
    """Read a table, or ``limit`` questions evenly drawn; a picture that several questions share is looked at once."""
    questions = list(benchmark.questions(table))
    if limit is not None:
        questions = stratified(questions, limit)
    holders: dict[str, Question] = {}
    known: dict[str, str] = {}
    images: list[tuple[str, ...]] = []
    for question in questions:
        if question.image_key and question.image_key not in known:
            sha256 = hashlib.sha256(_decode(question)).hexdigest()
            known[question.image_key] = sha256
            holders.setdefault(sha256, question)
        images.append((known[question.image_key],) if question.image_key else ())
    return Sheet(questions, [benchmark.prompt(question) for question in questions], images, holders)


def _decode(question: Question) -> bytes:
    try:
        return base64.b64decode(question.image_base64 or "", validate=False)
    except binascii.Error:
        where = f"picture of question {question.index}"
        raise Refusal(where, "is not base64", "fetch the table again and compare its md5") from None


@dataclass(frozen=True)
class Marking:
    """How replies become a score."""

    benchmark: Benchmark
    rules: str
    table_digest: str
    answer_by: AnswerBy
    limit: int | None = None
    """Questions that were asked, where that is not all."""


def make_score(
    path: Path, sheet: Sheet, texts: Sequence[str], ask: Ask, marking: Marking, tell: Tell
) -> BenchmarkScore:
    """Ask what is not answered yet, and write answers and score (last), each whole or not there.

    ``texts`` is what the model reads of each question. Questions that read the same are asked once. Of two processes
    that make the same score one waits, and finds it there.
    """
    prompts = [digest([text, *images]) for text, images in zip(texts, sheet.images, strict=True)]
    with kept_replies(path) as kept:
        if path.is_file():
            return load_score(path)
        first = {prompt: number for number, prompt in reversed(list(enumerate(prompts)))}
        missing = sorted(number for prompt, number in first.items() if prompt not in kept.said)
        done = len(first) - len(missing)
        for batch in ask(missing) if missing else ():
            kept.add({prompts[number]: reply for number, reply in batch.items()})
            done += len(batch)
            tell({"event": "progress", "step": done, "steps": len(first)})
        said = {q.index: kept.said[prompt] for q, prompt in zip(sheet.questions, prompts, strict=True)}
        result = _result(marking, sheet, said)
        score = as_stored(result, marking.table_digest, marking.answer_by)
        read = list(zip(texts, prompts, strict=True))
        write_aside(answers_path(path), answer_rows(marking.benchmark, sheet.questions, said, result, read))
        write_aside(path, dump_json(score.model_dump(mode="json")))
        return score


def _result(marking: Marking, sheet: Sheet, said: Mapping[Index, str]) -> Result:
    """What the replies are worth; replies that never came are told of."""
    result = marking.benchmark.score(sheet.questions, said, marking.rules)
    lost = sum(reply == NO_REPLY for reply in said.values())
    without = [f"partial: {lost} questions have no reply; scored as published: {NO_REPLY!r}"] if lost else []
    drawn = [f"partial: {len(sheet.questions)} questions are asked"] if marking.limit is not None else []
    return replace(
        result,
        partial=result.partial or bool(lost or drawn),
        notes=[*result.notes, *drawn, *without],
        clusters=picture_clusters(sheet.questions),
    )
