"""A judge behind a real server: asked only what is needed, once; read by the same rules; never drawn at random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curator import chat_api
from curator.chat_api import ChatApi
from curator.judge import Judge, unsettled
from registry.benchmark import Index, Judged, Question, load_benchmark
from registry.errors import Refusal
from registry.store import Home
from tests.curator.chat_server import ChatServer, Fault, Say, in_turn

KEY = "sk-test-0123456789"
CHOICES = {"A": "red", "B": "blue"}
QUESTIONS = [Question(index, str(index), f"Which {index}?", CHOICES, "B") for index in range(4)]
REPLIES: dict[Index, str] = {0: "B", 1: "the cold one", 2: "", 3: "I would say (A)"}
"""Two of them need a judge: 1 and 2."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_api, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def judged(server: ChatServer, home: Path, name: str = "seedbench_img", model: str = "judge", **options: Any) -> Judged:
    with ChatApi(server.url, model, retries=2, concurrency=2) as api:
        return Judge(api, Home(home), **options)(load_benchmark(name), QUESTIONS, REPLIES, "2024-05")


def text_of(request: dict[str, Any]) -> str:
    return str(request["messages"][-1]["content"])


def by_question(answers: dict[int, str]) -> Say:
    """Answers by the question that stands in the request."""
    return lambda request: next(said for index, said in answers.items() if f"Which {index}?" in text_of(request))


def test_only_what_the_rules_do_not_settle_is_asked_and_only_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(by_question({1: "B", 2: "Z"})) as server:
        said = judged(server, tmp_path)
        assert said == {1: "B", 2: "Z"}
        assert any(text_of(request).endswith("Reply: nan\nLetter:") for request in server.requests)
        again = judged(server, tmp_path)
        assert again == said
        assert len(server.requests) == 2
        judged(server, tmp_path, model="another")
        assert len(server.requests) == 4
    result = load_benchmark("seedbench_img").score(QUESTIONS, REPLIES, "2024-05", said)
    assert (result.score, result.unresolved) == (50, 0)
    assert [answer.judged for answer in result.answers] == [False, True, True, False]
    assert "judge judge: 0 replies are known, 2 are asked for" in capsys.readouterr().err
    kept = [path.read_text() for path in (tmp_path / "judged").rglob("*.json")]
    assert len(kept) == 4
    assert all(KEY not in text and server.url not in text for text in kept)


def test_what_cannot_be_read_is_asked_again_warmer_and_then_stays_unsettled(tmp_path: Path) -> None:
    with ChatServer(by_question({1: "I cannot tell, sorry", 2: "A"})) as server:
        said = judged(server, tmp_path)
        assert judged(server, tmp_path) == said
    warmth = sorted(request["temperature"] for request in server.requests if "Which 1?" in text_of(request))
    assert warmth == [0, 0.5, 1]
    assert len(server.requests) == 4
    result = load_benchmark("seedbench_img").score(QUESTIONS, REPLIES, "2024-05", said)
    assert (result.unresolved, [answer.extracted for answer in result.answers]) == (1, ["B", "", "A", "A"])


def test_a_second_try_may_be_read(tmp_path: Path) -> None:
    with ChatServer(lambda request: "B" if request["temperature"] else "hm") as server:
        assert judged(server, tmp_path) == {1: "B", 2: "B"}


def test_a_killed_run_asks_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def say(request: dict[str, Any]) -> str | Fault:
        return "B" if "Which 1?" in text_of(request) else Fault(500)

    with ChatServer(say) as server:
        assert judged(server, tmp_path) == {1: "B"}
    assert "1 questions have no reply; a further run asks again: status 500 (3 tries)" in capsys.readouterr().err
    with ChatServer(in_turn("A")) as server:
        assert judged(server, tmp_path) == {1: "B", 2: "A"}
        assert len(server.requests) == 1
    with ChatServer(in_turn(Fault(401))) as server:  # all is known: no server is needed
        assert judged(server, tmp_path) == {1: "B", 2: "A"}
        assert not server.requests


def test_a_wrong_key_stops_the_run_and_keeps_what_was_said(tmp_path: Path) -> None:
    with ChatServer(in_turn("B", Fault(401))) as server, pytest.raises(Refusal, match="does not accept the key"):
        judged(server, tmp_path)
    assert len(list((tmp_path / "judged").rglob("*.json"))) <= 1


def test_without_spending_nothing_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(in_turn("B")) as server:
        assert judged(server, tmp_path, spends=False) == {}
    assert not server.requests
    assert "2 would be asked for" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"reply": 7}', b"\xff", b"{}"])
def test_a_damaged_record_is_asked_for_again(damage: bytes, tmp_path: Path) -> None:
    with ChatServer(in_turn("B")) as server:
        judged(server, tmp_path)
        for path in (tmp_path / "judged").rglob("*.json"):
            path.write_bytes(damage)
        assert judged(server, tmp_path) == {1: "B", 2: "B"}
        assert len(server.requests) == 4


def artefact(name: str) -> tuple[list[Question], dict[Index, str]]:
    folder = Path(__file__).parents[1] / "registry" / "benchmarks"
    questions = list(load_benchmark(name).questions(folder / f"{name}.tsv"))
    replies = json.loads((folder / f"{name}.json").read_text())["replies"]
    return questions, {question.index: replies[str(question.index)] for question in questions}


@pytest.mark.parametrize("name", ["mme", "hallusionbench", "pope", "ai2d_test", "scienceqa_test", "mmbench_dev_cn"])
def test_exactly_the_unresolved_are_asked(name: str) -> None:
    benchmark = load_benchmark(name)
    questions, replies = artefact(name)
    asked = unsettled(benchmark, questions, replies, "2026-06")
    alone = benchmark.score(questions, replies, "2026-06")
    assert len(asked) == alone.unresolved > 0
    spoilt = {question.index for question in questions if question.altered}
    right = {q.index: q.answer for q in questions if q.index in asked and q.index not in spoilt}
    assert all(asked[index].is_clear(answer) for index, answer in right.items())
    assert not any(request.is_clear("我不知道") for request in asked.values())
    better = benchmark.score(questions, replies, "2026-06", right)
    assert (better.unresolved, better.summary()["judged"]) == (len(asked) - len(right), len(right))


def test_a_chinese_question_is_put_to_the_judge_in_chinese() -> None:
    question = Question(1, "1", "这是什么?", {"A": "猫", "B": "狗"}, "A")
    request = load_benchmark("mmbench_dev_cn").judge_request(question, "不清楚", "2024-05")
    assert request is not None
    assert "A. 猫\nB. 狗\n回答：不清楚" in request.text


def test_what_mathvista_and_llavabench_ask() -> None:
    questions, replies = artefact("mathvista_mini")
    asked = unsettled(load_benchmark("mathvista_mini"), questions, replies, "2024-05")
    result = load_benchmark("mathvista_mini").score(questions, replies, "2024-05")
    assert len(asked) == result.unresolved
    assert not any(request.is_clear(" \n") for request in asked.values())
    questions, replies = artefact("llavabench")
    reviews = unsettled(load_benchmark("llavabench"), questions, replies, "2024-05")
    assert list(reviews) == [question.index for question in questions]
    assert reviews[questions[0].index].is_clear("8 7\nBoth are good.")
    assert not reviews[questions[0].index].is_clear("8/10 and 7/10")


def test_who_is_scored_without_a_judge_asks_nobody() -> None:
    for name in ("textvqa_val", "docvqa_val", "chartqa_test", "tabmwp_test"):
        questions, replies = artefact(name)
        assert unsettled(load_benchmark(name), questions, replies, "2024-05") == {}
