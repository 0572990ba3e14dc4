"""The client of chat models, against a real server: replies, faults that pass, faults of one question and of all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator import chat_api
from curator.chat_api import Ask, ChatApi, NoReply, chat_address, user_turn
from registry.errors import Refusal
from tests.curator.chat_server import ChatServer, Fault, completion, in_turn

KEY = "sk-test-0123456789"
HELLO = [{"role": "user", "content": "Hello"}]
BUSY = Fault(429, {"error": {"message": "slow down"}}, Retry_After="0")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_api, "FIRST_PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def asked(server: ChatServer, **options: float) -> str:
    with ChatApi(server.url, "tiny", **options) as api:  # type: ignore[arg-type]  # numbers of any kind
        return api.ask(HELLO, max_tokens=7)


def test_a_question_is_sent_as_the_protocol_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    turn = user_turn("What is it?", [b"\x89PNG123", b"\xff\xd8\xff"])
    with ChatServer(in_turn("A cat")) as server, ChatApi(server.url, "tiny", key_variable="JUDGE_KEY") as api:
        assert api.ask([turn], max_tokens=16, temperature=0.5) == "A cat"
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    (request,) = server.requests
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("tiny", 16, 0.5)
    assert request["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORzEyMw=="}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/"}},
        {"type": "text", "text": "What is it?"},
    ]


def test_without_a_key_none_is_sent() -> None:
    with ChatServer(in_turn("yes")) as server:
        assert asked(server) == "yes"
    assert "authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("content", "more", "reply"),
    [
        ("", {}, ""),
        (None, {}, ""),
        (None, {"refusal": "I will not"}, "I will not"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], {}, "ab"),
        ("多" * 10_000, {}, "多" * 10_000),
    ],
)
def test_what_counts_as_a_reply(content: object, more: dict[str, str], reply: str) -> None:
    with ChatServer(in_turn(Fault(200, completion(content, **more)))) as server:
        assert asked(server) == reply
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        BUSY,
        Fault(500, b"<html>Internal error</html>"),
        Fault(503),
        Fault(200, b"no JSON"),
        Fault(200, {"choices": []}),
        Fault(200, completion(17)),
        Fault(200, b"[" * 100_000),
        Fault(200, completion("late"), seconds=0.6),
        Fault(200, completion("slow"), drip=0.02),
        Fault(200, completion("cut off"), Content_Length="5000"),
    ],
    ids=["429", "500", "503", "garbage", "no choice", "number", "deep", "timeout", "drip", "cut off"],
)
def test_what_may_pass_is_tried_again(fault: Fault) -> None:
    with ChatServer(in_turn(fault, fault, "at last")) as server:
        assert asked(server, timeout=0.4) == "at last"
    assert len(server.requests) == 3


def test_tries_have_an_end_and_the_reason_is_told() -> None:
    with ChatServer(in_turn(BUSY)) as server, pytest.raises(NoReply, match=r"status 429: slow down \(3 tries\)"):
        asked(server, retries=2)
    assert len(server.requests) == 3


def test_a_server_may_ask_for_a_longer_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chat_api._pause(0, None) < 0.02
    assert chat_api._pause(0, chat_api._asked_pause("5")) >= 5
    assert chat_api._pause(0, chat_api._asked_pause("1e9")) < 100
    assert chat_api._asked_pause("Wed, 21 Oct 2026 07:28:00 GMT") is None
    assert chat_api._pause(30, None) <= 1.25 * chat_api.LONGEST_PAUSE


def test_what_one_question_is_refused_for_is_not_tried_again() -> None:
    too_long = Fault(400, {"error": {"message": "maximum context length is 4096 tokens"}})
    with ChatServer(in_turn(too_long, "fine")) as server, ChatApi(server.url, "tiny") as api:
        with pytest.raises(NoReply, match="status 400: maximum context length"):
            api.ask(HELLO, 7)
        assert api.ask(HELLO, 7) == "fine"


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_what_concerns_all_questions_is_a_refusal_that_hides_the_key(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    fault = Fault(status, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, Location="http://127.0.0.1:9/")
    with ChatServer(in_turn(fault)) as server, pytest.raises(Refusal, match=f"status {status}") as refused:
        asked(server)
    assert len(server.requests) == 1
    assert KEY not in str(refused.value)
    assert "OPENAI_API_KEY" in str(refused.value)


def test_newer_names_of_options_are_taken_over() -> None:
    def say(request: dict[str, object]) -> str | Fault:
        if "max_tokens" in request:
            return Fault(400, {"error": {"message": "Use 'max_completion_tokens' instead."}})
        if "temperature" in request:
            return Fault(400, {"error": {"message": "'temperature' does not support 0"}})
        return f"{request['max_completion_tokens']}"

    with ChatServer(say) as server, ChatApi(server.url, "tiny") as api:
        assert [api.ask(HELLO, 7), api.ask(HELLO, 8)] == ["7", "8"]
    assert len(server.requests) == 4


def test_no_server_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with ChatApi(url, "tiny") as api, pytest.raises(Refusal, match="no server answers"):
        api.ask(HELLO, 7)


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_api, "LONGEST_ANSWER", 1 << 20)
    with ChatServer(in_turn(Fault(200, b"x" * (2 << 20)))) as server, pytest.raises(NoReply, match="more than 1 MiB"):
        asked(server)


def test_many_are_asked_at_a_time_and_never_more() -> None:
    taken: list[int] = []

    def questions() -> Iterator[tuple[int, Ask]]:
        for number in range(40):
            taken.append(number)
            yield number, Ask([{"role": "user", "content": str(number)}], 5)

    with ChatServer(lambda request: request["messages"][0]["content"]) as server:
        server.latency = 0.02
        with ChatApi(server.url, "tiny", concurrency=4) as api:
            answered = api.ask_each(questions())
            first = [next(answered) for _ in range(8)]
            assert len(taken) <= 8 + 4
            found = dict([*first, *answered])
    assert found == {number: str(number) for number in range(40)}
    assert server.most_at_once == 4


def test_failures_of_single_questions_are_handed_back_and_a_dead_server_is_given_up() -> None:
    def say(request: dict[str, object]) -> str | Fault:
        return Fault(400, b"no") if request["messages"] == [{"role": "user", "content": "bad"}] else "good"

    each = [(number, Ask([{"role": "user", "content": "bad" if number == 3 else "x"}], 5)) for number in range(6)]
    with ChatServer(say) as server, ChatApi(server.url, "tiny", concurrency=2) as api:
        found = dict(api.ask_each(each))
    assert isinstance(found.pop(3), NoReply)
    assert set(found.values()) == {"good"}
    with (
        ChatServer(in_turn(Fault(400, b"no"))) as server,
        ChatApi(server.url, "tiny", concurrency=2) as api,
        pytest.raises(Refusal, match="24 questions in a row have no reply; the last one: status 400: no"),
    ):
        list(api.ask_each((number, Ask(HELLO, 5)) for number in range(1000)))
    assert len(server.requests) < 30


def test_who_stops_listening_waits_for_no_pause() -> None:
    before = threading.active_count()
    with (
        ChatServer(lambda request: "x" if request["max_tokens"] == 1 else Fault(429, Retry_After="50")) as server,
        ChatApi(server.url, "tiny", concurrency=3) as api,
    ):
        answered = api.ask_each((number, Ask(HELLO, number)) for number in range(1, 10))
        assert next(answered) == (1, "x")
        answered.close()  # type: ignore[attr-defined]  # a generator
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1/chat/completions"),
        ("https://h/api/v1/chat/completions", "https://h/api/v1/chat/completions"),
        ("https://h/x?api-version=1", "https://h/x/chat/completions?api-version=1"),
    ],
)
def test_addresses(given: str, sent: str) -> None:
    assert chat_address(given) == sent


@pytest.mark.parametrize(
    "given", ["", "localhost:8000", "ftp://h/v1", "http://", "file:///etc/passwd", "http://a b", "http://["]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(Refusal, match="is no http address"):
        chat_address(given)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(Refusal, match="has a password in it") as refused:
        chat_address("http://me:secret@h/v1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("key", ["", "two\nlines", "schlüssel"])
def test_a_variable_without_a_key_is_refused(key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUDGE_KEY", key)
    with pytest.raises(Refusal, match="variable JUDGE_KEY"):
        ChatApi("http://h/v1", "tiny", key_variable="JUDGE_KEY")
