"""A trial's replies to a benchmark, and their score by the published rules.

Written beside the trial's record (aside, then renamed; the score file last), so a score that is there is whole and is
never made again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry.answers import check_rules
from registry.benchmark import Benchmark, Index, Question, Result, load_benchmark
from registry.checkpoint import CHECKPOINT
from registry.errors import Refusal
from registry.identity import digest, file_digest
from registry.sample import make_message
from registry.scores import score_path
from registry.store import Home, dump_json, read_record, write_aside
from registry.trial import BenchmarkScore, Settings
from trainers.chat import Template, template
from trainers.features import Features
from trainers.forward import Network
from trainers.generate import Prompt, replies
from trainers.loop import Tell
from trainers.model import Checkpoint, freeze
from trainers.requests import ScoreRequest
from trainers.train import prepare_torch
from trainers.workshop import Workshop

CHUNK = 512
"""Prompts answered between two reports of progress."""


@dataclass(frozen=True)
class Sheet:
    """A benchmark's questions in tokens of one model: the same for every trial of a process."""

    questions: list[Question]
    texts: list[str]
    """What the model reads, template included."""
    prompts: list[Prompt]
    pictures: dict[str, bytes] = field(repr=False)
    """sha256 -> file bytes."""

    def read(self, sha256: str) -> bytes:
        """Bytes of a question's picture."""
        return self.pictures[sha256]


def score_trial(workshop: Workshop, request: ScoreRequest, tell: Tell) -> tuple[BenchmarkScore, bool]:
    """Score unless it is there. ``(score, whether it was there)``."""
    rules, name, table = request.rules, request.benchmark, Path(request.table)
    check_rules(rules)
    benchmark = load_benchmark(name)
    folder = _trial_folder(Home(Path(request.home)), request.trial)
    settings = Settings.model_validate(read_record(folder).settings)
    if not table.is_file():
        raise Refusal(str(table), "there is no such benchmark table", "give the published TSV file")
    table_digest = file_digest(table)
    path = score_path(folder, name, benchmark.VERSION, rules, table_digest, request.max_new_tokens)
    if path.is_file():
        return BenchmarkScore.model_validate_json(path.read_bytes()), True
    prepare_torch(request.runtime)
    checkpoint = workshop.checkpoint(folder / CHECKPOINT)
    freeze(checkpoint, [])
    form = _form(settings, request.trial)
    key = f"sheet {name} {table_digest} {form.name} {workshop.tokens_key(checkpoint)}"
    sheet = workshop.remember(key, lambda: _sheet(benchmark, table, form, checkpoint))
    said = _answers(workshop, checkpoint, sheet, form, request.max_new_tokens, tell)
    result = benchmark.score(sheet.questions, said, rules)
    score = _as_score(result, table_digest)
    write_aside(path.with_suffix(".parquet"), _answer_rows(sheet, said, result))
    write_aside(path, dump_json(score.model_dump(mode="json")))
    return score, False


def _trial_folder(home: Home, name: str) -> Path:
    if Path(name).name != name:
        raise Refusal(f"trial '{name}'", "is not a folder name", "name a folder of the home's trials/")
    return home.stage("trials") / name


def _form(settings: Settings, trial: str) -> Template:
    form = template(settings.stage.template)
    if not form.asks:
        what = f"was trained with template '{form.name}', which has no place for a question"
        raise Refusal(f"trial '{trial}'", what, "score a trial of a later stage")
    return form


def _sheet(benchmark: Benchmark, table: Path, form: Template, checkpoint: Checkpoint) -> Sheet:
    """Read a table once: questions, prompts, pictures."""
    questions = list(benchmark.questions(table))
    pictures: dict[str, bytes] = {}
    images = _pictures(questions, pictures)
    asked = [benchmark.prompt(question) for question in questions]
    texts = [form.prompt([make_message("user", text, len(found))]) for text, found in zip(asked, images, strict=True)]
    encoded = checkpoint.tokens.encode_prompts(texts, checkpoint.image_tokens)
    prompts = [Prompt(tokens, found) for tokens, found in zip(encoded, images, strict=True)]
    return Sheet(questions, texts, prompts, pictures)


def _pictures(questions: Sequence[Question], into: dict[str, bytes]) -> list[tuple[str, ...]]:
    """sha256 of each question's picture; a picture that several questions share is read once."""
    known: dict[str, str] = {}
    found: list[tuple[str, ...]] = []
    for question in questions:
        if question.image_key and question.image_key not in known:
            data = _decode(question)
            sha256 = hashlib.sha256(data).hexdigest()
            into[sha256] = data
            known[question.image_key] = sha256
        found.append((known[question.image_key],) if question.image_key else ())
    return found


def _decode(question: Question) -> bytes:
    try:
        return base64.b64decode(question.image_base64 or "", validate=False)
    except (binascii.Error, ValueError):
        where = f"question {question.index}"
        raise Refusal(where, "its picture is not base64", "get the table again and compare its md5") from None


def _answers(
    workshop: Workshop, checkpoint: Checkpoint, sheet: Sheet, form: Template, max_new_tokens: int, tell: Tell
) -> dict[Index, str]:
    network = Network(checkpoint, Features(checkpoint, sheet.read, workshop.pictures))
    stop = checkpoint.tokens.single(form.stop)
    said: dict[Index, str] = {}
    for start in range(0, len(sheet.prompts), CHUNK):
        part = sheet.prompts[start : start + CHUNK]
        for number, reply in enumerate(replies(network, part, stop, max_new_tokens)):
            said[sheet.questions[start + number].index] = checkpoint.tokens.decode(reply).strip()
        tell({"event": "progress", "step": start + len(part), "steps": len(sheet.prompts)})
    return said


def _as_score(result: Result, table_digest: str) -> BenchmarkScore:
    return BenchmarkScore(
        benchmark=result.benchmark,
        version=result.version,
        rules=result.rules,
        table_digest=table_digest,
        score=result.score,
        metrics=result.metrics,
        breakdown=result.breakdown,
        items=result.items,
        strata=result.strata,
        partial=result.partial,
        questions=len(result.answers),
        unresolved=result.unresolved,
        notes=result.notes,
    )


def _answer_rows(sheet: Sheet, said: dict[Index, str], result: Result) -> bytes:
    """The replies as parquet: index, prompt digest, reply, what it was taken for, whether it was right, group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    taken = {answer.index: answer for answer in result.answers}
    rows: list[dict[str, Any]] = []
    for question, text, prompt in zip(sheet.questions, sheet.texts, sheet.prompts, strict=True):
        answer = taken.get(question.index)
        rows.append(
            {
                "index": str(question.index),
                "prompt": digest([text, *prompt.images]),
                "reply": said[question.index],
                "extracted": answer.extracted if answer else None,
                "hit": answer.hit if answer else None,
                "group": question.group,
            }
        )
    kinds = [(name, pa.bool_() if name == "hit" else pa.string()) for name in rows[0]]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(kinds)), buffer, compression="zstd")
    return buffer.getvalue()
