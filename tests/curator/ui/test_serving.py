from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from curator.cli import cli
from curator.ui import app, serving
from curator.ui.app import make_app
from curator.ui.guard import LOOPBACK, Guard
from curator.ui.serving import Listening
from registry.store import Home


def test_a_page_that_breaks_says_so_without_its_insides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(library: object, request: object) -> Any:
        raise ZeroDivisionError("the secret cause")

    monkeypatch.setitem(app.PAGES, "/", broken)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/"}
    scope |= {"query_string": b"", "headers": [(b"host", b"localhost")], "root_path": "", "server": ("localhost", 80)}
    guarded = Guard(make_app(Home(tmp_path)), LOOPBACK, addresses=False, token=None)
    with pytest.raises(ZeroDivisionError):  # for the server, which keeps it to itself
        asyncio.run(guarded(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent).decode()
    assert sent[0]["status"] == 500
    assert "the page broke (ZeroDivisionError)" in body
    assert "secret" not in body
    assert capsys.readouterr().err == "/: ZeroDivisionError: the secret cause\n"


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LIBRARIES", ("starlette", "not_a_library"))
    result = CliRunner().invoke(cli, ["ui", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "needs not_a_library" in result.output
    assert "pip install 'vlm-curator[ui]'" in result.output


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("::", False),
     ("0.0.0.0", False),  # noqa: S104 - compared
     ("192.168.1.4", False), ("gpu.example.org", False), ("", False)],
)  # fmt: skip
def test_only_addresses_of_this_machine_need_no_token(host: str, local: bool) -> None:
    assert Listening(host).is_local is local
