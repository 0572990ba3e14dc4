"""Models that are no trials: their folders in the home, and scores of a model behind a real loopback address."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curator import chat_api, scored_models
from curator.laboratory import score_file
from curator.models import find_model
from curator.scored_models import ScoredModel, behind_address, checkpoint, is_trial
from curator.study_request import find_table
from registry.catalog import Catalog
from registry.checkpoint import DEMO_FOLDER
from registry.errors import Refusal
from registry.scores import Replying
from registry.store import Home, read_record
from registry.trial import AnswerBy
from tests.curator.chat_server import ChatServer, Fault, Request
from tests.trainers.test_score import table

RULES = "2024-05"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def say(request: Request) -> str:
    """Yes to red, no to the rest, in many words."""
    text = request["messages"][0]["content"][-1]["text"]
    return "Yes, it is." if "red" in text else " No.\n"


def ask(home: Home, server: ChatServer, path: Path, *, partial: bool = False) -> tuple[ScoredModel, dict[str, Any]]:
    """Score the server's model on a table; the answers by index."""
    bench = find_table(home, "mme", path)
    model = behind_address(home, server.url, "tiny/llava", 4, partial=partial)
    (score,) = model.score([bench], RULES)
    rows = pq.read_table(score_file(model.folder, bench, RULES).with_suffix(".parquet")).to_pylist()
    return model, {"score": score, "rows": {row["index"]: row for row in rows}}


def test_a_model_behind_an_address_is_scored_once(home: Home, tmp_path: Path) -> None:
    path = table(tmp_path / "mme.tsv", pictures=8)
    with ChatServer(say) as server:
        server.latency = 0.02
        model, found = ask(home, server, path)
        again, same = ask(home, server, path)
        assert 2 <= server.most_at_once <= 4
        assert len(server.requests) == 16
        sent = server.requests
    assert (again.folder, same) == (model.folder, found)
    assert found["score"].questions == 16
    rows = found["rows"]
    assert (rows["0"]["reply"], rows["0"]["extracted"], rows["0"]["hit"]) == ("Yes, it is.", "Yes", True)
    assert (rows["1"]["reply"], rows["1"]["extracted"], rows["1"]["hit"]) == ("No.", "No", True)
    assert rows["0"]["prompt"] == "Is it red? Please answer yes or no."
    pictures = {cells[1] for cells in (line.split("\t") for line in path.read_text().splitlines()[1:])}
    shown = {request["messages"][0]["content"][0]["image_url"]["url"].partition(",")[2] for request in sent}
    assert shown == pictures
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in shown)
    assert {request["model"] for request in sent} == {"tiny/llava"}
    assert model.folder.parent == home.stage("models")
    with Catalog(home.path, ["scores"]) as catalog:
        (row,) = catalog.query("select trial, mix, benchmark, questions from scores").rows()
    assert row == (model.folder.name, None, "mme", 16)
    assert read_record(model.folder).settings == {"api": f"{server.url}/chat/completions", "model": "tiny/llava"}


def test_what_a_server_answered_is_kept_when_it_fails(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_api, "FAILURES_IN_A_ROW", 4)
    path, lock, left = table(tmp_path / "mme.tsv", pictures=8), threading.Lock(), [9]

    def dies(request: Request) -> str | Fault:
        with lock:
            left[0] -= 1
            return say(request) if left[0] >= 0 else Fault(400, {"error": {"message": "out of memory"}})

    with ChatServer(dies) as server:
        with pytest.raises(Refusal, match="out of memory"):
            ask(home, server, path)
        before = len(server.requests)
        server.say = say
        _, found = ask(home, server, path)
        assert len(server.requests) - before == 16 - 9
    with ChatServer(say) as calm:
        _, other = ask(home, calm, path)
    assert [row["reply"] for row in found["rows"].values()] == [row["reply"] for row in other["rows"].values()]


def test_a_question_without_a_reply_stops_the_score_or_counts_as_wrong(home: Home, tmp_path: Path) -> None:
    path = table(tmp_path / "mme.tsv", pictures=4)

    def picky(request: Request) -> str | Fault:
        text = request["messages"][0]["content"][-1]["text"]
        return Fault(400, {"error": {"message": "picture not allowed"}}) if "yellow" in text else say(request)

    with ChatServer(picky) as server:
        with pytest.raises(Refusal, match=r"2 of 8 questions have no reply; index \d: .*picture not allowed"):
            ask(home, server, path)
        _, found = ask(home, server, path, partial=True)
        assert len(server.requests) == 8 + 2
    score = found["score"]
    assert score.partial
    assert "partial: 2 questions have no reply; scored as published: 'Failed to obtain answer via API.'" in score.notes
    assert [row["hit"] for row in found["rows"].values() if "yellow" in row["prompt"]] == [False, False]


def test_a_server_that_never_answers_is_given_up_early(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curator.scored_models.GIVE_UP", 3)
    path = table(tmp_path / "mme.tsv", pictures=4)
    with ChatServer(lambda _: Fault(400, {"error": {"message": "out of order"}})) as server:
        for partial in (False, True):
            server.requests.clear()
            with pytest.raises(Refusal, match=r"questions have no reply; index .*out of order"):
                ask(home, server, path, partial=partial)
            assert len(server.requests) < 8


def test_empty_replies_are_told_of(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(lambda request: "" if "red" in request["messages"][0]["content"][-1]["text"] else "No.") as server:
        ask(home, server, table(tmp_path / "mme.tsv", pictures=3))
    assert "replies came back empty" in capsys.readouterr().err


def test_how_far_the_questions_are_is_shown(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    @contextlib.contextmanager
    def bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
        assert (description, total) == ("scoring", 1000)
        yield steps.append

    monkeypatch.setattr("curator.scored_models.progress", bar)
    with ChatServer(say) as server:
        ask(home, server, table(tmp_path / "mme.tsv", pictures=4))
    assert sum(steps) == 1000
    assert len(steps) > 2


def test_a_name_is_a_trial_or_a_checkpoint(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llava").mkdir()
    trials = ["demo-baseline-s0", str(home.stage("trials") / "demo-baseline-s0-0123456789ab")]
    others = ["demo", "llava", "./x", "llava-hf/llava-1.5-7b-hf@main", "llava#vicuna_v1", str(tmp_path / "elsewhere")]
    assert [is_trial(home, name) for name in trials + others] == [True] * 2 + [False] * 6


def test_a_checkpoint_is_known_by_its_files_and_template(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(DEMO_FOLDER, copy)
    (copy / "built.json").unlink()
    asked = [checkpoint(home, name, fetch=False) for name in (str(copy), f"{copy}#demo", f"{copy}#chatml")]
    assert len({model.folder for model in asked}) == 3
    assert all(model.folder.name.startswith("tiny-") for model in asked)
    assert not home.stage("models").exists()
    shutil.copytree(copy, tmp_path / "moved" / "tiny")
    assert checkpoint(home, f"{tmp_path / 'moved' / 'tiny'}#demo", fetch=False).folder == asked[1].folder
    with pytest.raises(Refusal, match="known by its digest alone"):
        checkpoint(home, f"sha256:{'0' * 64}", fetch=False)
    assert find_model(home, str(copy)).folder == copy


def test_a_checkpoint_is_scored_by_a_trainer_process(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packaged base, in a real trainer, by generation and by likelihood: two scores of one model."""
    lines = ["index\tquestion\tA\tB\tanswer\timage"]
    picture = table(tmp_path / "mme.tsv", pictures=1).read_text().splitlines()[1].split("\t")[1]
    lines += [f"{number}\tWhat is it?\ta dog\ta cat\tA\t{picture}" for number in range(3)]
    (tmp_path / "choices.tsv").write_text("\n".join(lines) + "\n")
    model = checkpoint(home, "demo", fetch=False)
    kinds: tuple[AnswerBy, ...] = ("generation", "likelihood")
    benches = [find_table(home, "mmbench_dev_en", tmp_path / "choices.tsv", Replying(4, kind)) for kind in kinds]
    scores = model.score(benches, RULES)
    assert [score.answer_by for score in scores] == list(kinds)
    assert model.missing(benches, RULES) == []
    paths = [score_file(model.folder, bench, RULES) for bench in benches]
    chosen = pq.read_table(paths[1].with_suffix(".parquet")).to_pylist()
    assert {row["reply"] for row in chosen} <= {"A", "B"}
    assert "answer_by" in json.loads(paths[0].read_text())
    assert "scoring" in capsys.readouterr().err
    assert not list((model.folder / "scores").glob(".*"))
    assert scored_models.checkpoint(home, "demo", fetch=False).folder == model.folder
