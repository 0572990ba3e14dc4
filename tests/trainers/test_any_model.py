"""Checkpoints of other families, asked through their own processors: replies as one at a time, and what is refused."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from registry.benchmark import load_benchmark
from registry.errors import Refusal
from registry.scores import Replying, score_path
from registry.sheet import Sheet, read_sheet
from registry.store import Home, Record
from tests.trainers.foreign_models import llava_next, qwen2_vl
from tests.trainers.test_score import table
from tests.trainers.toy import ignore
from trainers.any_model import AnyModel
from trainers.requests import ModelScoreRequest
from trainers.score import score_model
from trainers.workshop import Workshop

FAMILIES: dict[str, Callable[[Path], Path]] = {"llava_next": llava_next, "qwen2_vl": qwen2_vl}
CHOICES = (
    "index\tquestion\tA\tB\tC\tanswer\timage\n"
    "0\tWhat is it?\tcat\tdog\tcow\tA\t{0}\n1\tWhere does it live?\thouse\tsea\t\tB\t{0}\n"
)


@pytest.fixture(scope="session", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of each family."""
    return FAMILIES[request.param](tmp_path_factory.mktemp(request.param))


def asked(home: Home, folder: Path, path: Path, **changes: Any) -> ModelScoreRequest:
    model = home.folder("models", "other", "1" * 64)
    with home.making(model, Record(kind="model", name="other", digest="1" * 64)):
        pass
    settings: dict[str, Any] = {"benchmark": "mme", "max_new_tokens": 5, **changes}
    return ModelScoreRequest(
        do="score-model",
        home=str(home.path),
        model=model.name,
        checkpoint=str(folder),
        table=str(path),
        rules="2024-05",
        **settings,
    )


def alone(model: AnyModel, sheet: Sheet, number: int, most: int) -> str:
    """The reply to one question, by nothing but transformers' own generate."""
    processor, tokenizer = model._processor, model._tokenizer
    image = Image.open(io.BytesIO(sheet.read(sheet.images[number][0]))).convert("RGB")
    given = processor(text=[model.prompt(sheet.asked[number], 1)], images=[[image]], return_tensors="pt")
    out = model._load_model().generate(**given, max_new_tokens=most, do_sample=False)
    return str(tokenizer.decode(out[0, given["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def test_replies_are_those_of_one_question_at_a_time(folder: Path, tmp_path: Path) -> None:
    assert importlib.util.find_spec("torchvision") is None
    home, path = Home(tmp_path / "home"), table(tmp_path / "mme.tsv", pictures=5)
    request = asked(home, folder, path)
    score, there = score_model(Workshop(), request, ignore)
    assert not there
    assert score.questions == 10
    stored = score_path(
        home.stage("models") / request.model, "mme", score.version, "2024-05", score.table_digest, Replying(5)
    )
    rows = pq.read_table(stored.with_suffix(".parquet")).to_pylist()
    model, sheet = AnyModel(folder), read_sheet(load_benchmark("mme"), path)
    assert [row["reply"] for row in rows] == [alone(model, sheet, number, 5) for number in range(10)]
    assert len({row["reply"] for row in rows}) > 3
    assert "Is it red?" in rows[0]["prompt"]
    assert score_model(Workshop(), request, ignore) == (score, True)


def test_close_calls_of_a_batch_are_settled_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = read_sheet(load_benchmark("mme"), table(tmp_path / "mme.tsv", pictures=4))
    model, request = AnyModel(folder), asked(Home(tmp_path / "home"), folder, tmp_path / "mme.tsv")
    texts = [model.prompt(text, 1) for text in sheet.asked]
    expected = [alone(model, sheet, number, 5) for number in range(8)]
    monkeypatch.setattr("trainers.any_model.CLOSE", 1e9)
    inner, sizes = model._generate, []

    def broken(loaded: Any, prompts: Any, choices: Any, most: int) -> tuple[list[str], list[int]]:
        sizes.append(len(prompts))
        said, doubtful = inner(loaded, prompts, choices, most)
        return (said if len(prompts) == 1 else ["decided by the company"] * len(said)), doubtful

    monkeypatch.setattr(model, "_generate", broken)
    found = {n: reply for batch in model.ask(sheet, texts, list(range(8)), request) for n, reply in batch.items()}
    assert [found[number] for number in range(8)] == expected
    assert sizes == [8] + [1] * 8


def test_the_likeliest_letter_of_a_foreign_model(folder: Path, tmp_path: Path) -> None:
    picture = table(tmp_path / "mme.tsv", pictures=1).read_text().split("\n")[1].split("\t")[1]
    path = tmp_path / "choices.tsv"
    path.write_text(CHOICES.format(picture))
    request = asked(Home(tmp_path / "home"), folder, path, benchmark="mmbench_dev_en", answer_by="likelihood")
    model, sheet = AnyModel(folder), read_sheet(load_benchmark("mmbench_dev_en"), path)
    texts = [model.prompt(text, 1) for text in sheet.asked]
    found = {n: reply for batch in model.ask(sheet, texts, [0, 1], request) for n, reply in batch.items()}
    lead = " " if "ASSISTANT" in texts[0] else ""
    for number, letters in enumerate(("ABC", "AB")):
        image = Image.open(io.BytesIO(sheet.read(sheet.images[number][0]))).convert("RGB")
        given = model._processor(text=[texts[number]], images=[[image]], return_tensors="pt")
        with torch.no_grad():
            logits = model._load_model()(**given).logits[0, -1]
        tokens = {letter: model._tokenizer(lead + letter)["input_ids"][0] for letter in letters}
        if len(set(tokens.values())) > 1:
            assert found[number] == max(letters, key=lambda letter: float(logits[tokens[letter]]))


def test_a_checkpoint_that_cannot_be_asked_is_refused(folder: Path, tmp_path: Path) -> None:
    home, path = Home(tmp_path / "home"), table(tmp_path / "mme.tsv", pictures=1)

    def refused(change: Callable[[Path], object], says: str) -> None:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        change(copy)
        with pytest.raises(Refusal, match=says):
            score_model(Workshop(), asked(home, copy, path), ignore)

    refused(lambda copy: (copy / "chat_template.jinja").unlink(), "chat template")
    refused(lambda copy: (copy / "chat_template.jinja").write_text("{% for"), "chat template")
    refused(lambda copy: (copy / "tokenizer.json").write_text("{"), "processor cannot be loaded")
    refused(lambda copy: (copy / "config.json").write_text('{"model_type": "no-such"}'), "processor cannot be loaded")
    refused(lambda copy: (copy / "model.safetensors").write_bytes(b"\0" * 64), "cannot be loaded")
    refused(lambda copy: (copy / "model.safetensors").rename(copy / "pytorch_model.bin"), "cannot be loaded")
    code = {"AutoConfig": "evil.Config", "AutoModelForImageTextToText": "evil.Model"}
    (tmp_path / "evil.py").write_text("raise SystemExit('code of a checkpoint ran')")

    def with_code(copy: Path) -> None:
        shutil.copyfile(tmp_path / "evil.py", copy / "evil.py")
        settings = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(settings | {"model_type": "evil", "auto_map": code}))

    refused(with_code, "processor cannot be loaded")
