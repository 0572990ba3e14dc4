"""What the Hub's answers mean for the next attempt, and when two files are the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from curator.destination import OFFICIAL, Destination, Known, State, _asked, _pause, checked_tag
from registry.errors import Refusal


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")


def http_error(status: int) -> Exception:
    """As the client raises it."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    url = "https://hub/x?signature=abc"
    response = httpx2.Response(status, request=httpx2.Request("POST", url))
    error: Exception = HfHubHTTPError(f"{status} for url {url}", response=response)
    return error


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ({"RateLimit": '"api";r=0;t=55'}, 55.0),
        ({"RateLimit": '"api";r=12;t=55'}, 0.0),
    ],
)
def test_how_long_the_hub_asks_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert _asked(headers) == seconds


@pytest.mark.parametrize(
    ("status", "again"), [(429, True), (500, True), (504, True), (400, False), (403, False), (412, False)]
)
def test_which_answers_are_worth_another_attempt(status: int, again: bool) -> None:
    assert (_pause(http_error(status)) is not None) is again


def test_garbage_is_worth_another_attempt_and_a_bug_is_not() -> None:
    with pytest.raises(json.JSONDecodeError) as garbage:
        json.loads("<html>")
    assert _pause(garbage.value) == 0.0
    assert _pause(AssertionError()) is None


def test_same_files() -> None:
    data = b"hello\n"
    known = Known.of(data)
    assert known.blob == "ce013625030ba8dba906f756967f9e9ca394464a", "as git hash-object says"
    large = Known(6, hashlib.sha256(data).hexdigest(), "blob of a pointer")
    assert large.same(known)
    assert Known(6, None, known.blob).same(known)
    assert not Known(7, None, known.blob).same(known)
    assert not Known(6, "0" * 64, known.blob).same(known)
    assert not Known(6).same(Known(6)), "nothing known is not the same"


def test_what_differs() -> None:
    state = State("c", files={"a": Known.of(b"a"), "b": Known.of(b"b")})
    assert state.holds({"a": Known.of(b"a")})
    assert state.differing({"a": Known.of(b"b"), "b": Known.of(b"b"), "c": Known.of(b"c")}) == ["a", "c"]


def attempts(error: Exception, times: int = 3) -> tuple[int, Exception | None]:
    """How often a call that always fails is made, and what is raised in the end."""
    made = 0

    def call() -> Any:
        nonlocal made
        made += 1
        raise error

    to = Destination("org/x", "https://hub", attempts=times, first_wait_s=0.0)
    try:
        to._keep_trying("try", call)
    except Exception as raised:  # noqa: BLE001  whatever comes is looked at
        return made, raised
    return made, None


def test_busy_is_tried_again_and_forbidden_is_not() -> None:
    made, raised = attempts(http_error(503))
    assert (made, isinstance(raised, Refusal)) == (3, True)
    made, raised = attempts(http_error(403))
    assert (made, isinstance(raised, Refusal)) == (1, True)


def test_no_secret_in_what_is_said() -> None:
    for error in (http_error(503), http_error(400), ValueError("token hf_secret at https://s3/x?X-Amz-Signature=1")):
        _, raised = attempts(error)
        assert isinstance(raised, Refusal)
        assert "hf_secret" not in str(raised)
        assert "ignature=" not in str(raised)


def test_a_bug_stays_a_bug() -> None:
    made, raised = attempts(AssertionError("ours"))
    assert (made, type(raised)) == (1, AssertionError)


def test_what_an_upload_thread_wrapped_is_seen_through() -> None:
    wrapped = RuntimeError("Error while uploading 'x' to the Hub.")
    wrapped.__cause__ = http_error(504)
    assert attempts(wrapped)[0] == 3


def test_offline() -> None:
    from huggingface_hub.errors import OfflineModeIsEnabled

    made, raised = attempts(OfflineModeIsEnabled("no"))
    assert made == 1
    assert "unset HF_HUB_OFFLINE" in str(raised)


def test_the_official_hub_may_use_its_own_protocol(tmp_path: Any) -> None:
    """The client takes Xet for paths and bytes, and plain HTTP for open files."""
    (tmp_path / "f").write_bytes(b"x")
    with Destination("org/x", OFFICIAL + "/")._opened(tmp_path / "f") as given:
        assert given == str(tmp_path / "f")
    with Destination("org/x", "https://hub")._opened(tmp_path / "f") as given:
        assert given.read() == b"x"


@pytest.mark.parametrize("tag", ["v1", "v1.0-rc+2", "mix-0123abcd", "release/2026"])
def test_names_of_tags(tag: str) -> None:
    assert checked_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", "v 1", "-v", "a..b", "x.lock", "x.", "a//b", "a/", "../x", "a:b", "v1\n"])
def test_names_that_no_tag_may_have(tag: str) -> None:
    with pytest.raises(Refusal, match="is no name of a tag"):
        checked_tag(tag)


@pytest.mark.parametrize("endpoint", ["ftp://hub", "hub.example", "https://user@hub", "https://hub/?a=b"])
def test_bad_endpoints(endpoint: str) -> None:
    with pytest.raises(Refusal, match="is no address of a Hub"):
        Destination("acme/x", endpoint)


def test_plain_http_to_a_distant_host_is_said() -> None:
    said: list[str] = []
    Destination("acme/x", "http://hub.example", said.append)
    assert "plain http" in said[0]


def test_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(Refusal, match=r"no token[^$]*hf auth login"):
        Destination("acme/x").check_account()
