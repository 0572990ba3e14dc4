from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from click.testing import CliRunner

from curator.cli import cli
from curator.ui.guard import COOKIE, host_name
from tests.curator.ui.server import Server
from tests.curator.ui.ui_home import Made

POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize("path", ["/", "/datasets", "/nothing", "/static/icon.svg", "/sql"])
def test_every_answer_says_what_its_page_may_load(server: Server, path: str) -> None:
    _, headers, _ = server.ask(path)
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_only_reads(server: Server, method: str) -> None:
    status, headers, _ = server.ask("/", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert "content-security-policy" in headers


def test_a_head_is_a_page_without_its_body(server: Server) -> None:
    status, headers, body = server.ask("/datasets", "HEAD")
    assert (status, body) == (200, "")
    assert headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "192.168.0.7", "localhost@evil.example"]
)
def test_a_name_that_was_made_to_point_here_is_not_answered(server: Server, host: str) -> None:
    status, _, body = server.ask("/datasets", headers={"Host": host})
    assert status in (400, 421)
    assert "pics" not in body


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:8765", "LOCALHOST:8765"])
def test_names_of_this_machine_are_answered_at_any_port(server: Server, host: str) -> None:
    assert server.ask("/datasets", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),
        ("same-site", "cors", 403),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ],
)
def test_another_website_may_not_load_a_picture_or_a_page(server: Server, site: str, mode: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "image"}
    assert server.ask("/datasets", headers=headers)[0] == status


def test_a_link_of_another_website_may_be_followed(server: Server) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert server.ask("/", headers=headers)[0] == 200
    assert server.ask("/", headers=headers | {"Sec-Fetch-Dest": "iframe"})[0] == 403


def test_where_others_can_reach_it_a_token_is_needed(made: Made) -> None:
    with Server(made.home.path, "--host", "0.0.0.0") as server:  # noqa: S104 - what is tested
        token = server.address.partition("?token=")[2]
        assert len(token) > 40
        for path in ("/", "/?token=", "/?token=wrong", f"/?token={token}x", "/static/icon.svg", "/picture/00"):
            status, _, body = server.ask(path)
            assert (status, token in body) == (401, False), path
        assert server.ask("/", headers={"Cookie": f"{COOKIE}=wrong"})[0] == 401
        status, headers, _ = server.ask(f"/datasets?q=p&token={token}")
        assert (status, headers["location"]) == (303, "/datasets?q=p")
        cookie, *flags = headers["set-cookie"].split("; ")
        assert {*flags} == {"HttpOnly", "SameSite=Strict", "Path=/"}
        assert server.ask("/datasets", headers={"Cookie": cookie})[0] == 200
        status, _, _ = server.ask("/", headers={"Cookie": cookie, "Host": "rebound.example"})
        assert status == 421
        assert server.ask(f"//evil.example?token={token}")[1]["location"] == "/evil.example"
    assert token not in server.log.replace(server.address, "")


def test_a_token_can_be_asked_for_here_too(made: Made) -> None:
    with Server(made.home.path, "--token") as server:
        assert server.ask("/")[0] == 401


def test_here_alone_there_is_no_token(server: Server) -> None:
    assert "token" not in server.address
    assert server.address.startswith("http://127.0.0.1:")


def test_a_taken_port_is_refused_in_words(server: Server, made: Made) -> None:
    result = CliRunner().invoke(cli, ["ui", "--port", str(server.port), "--home", str(made.home.path)])
    assert result.exit_code == 1
    assert "nothing can listen there" in result.output
    assert "Traceback" not in result.output


def test_an_unheard_of_host_is_refused_in_words(made: Made) -> None:
    result = CliRunner().invoke(cli, ["ui", "--host", "999.1.1.1", "--home", str(made.home.path)])
    assert (result.exit_code, "Refused" in result.output) == (1, True)


def test_garbage_in_place_of_a_request_ends_nothing(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    connection.sock.sendall(b"\x16\x03\x01 GET nonsense\r\n\r\n")
    assert b"400" in connection.sock.recv(200)
    connection.close()
    assert server.ask("/")[0] == 200


@pytest.mark.parametrize(
    ("host", "name"),
    [("a:80", "a"), ("[::1]:80", "::1"), ("A.B.", "a.b"), ("[::1]", "::1"), (" x ", "x"), ("[bad", "bad"), ("", "")],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


def test_an_empty_place_is_shown_as_one(tmp_path: Path) -> None:
    with Server(tmp_path / "nothing") as server:
        for path in ("/", "/datasets", "/mixes", "/trials", "/leaderboard", "/decisions", "/sql"):
            assert "<h1>" in server.page(path)
        assert "There is nothing here yet" in server.page("/")
    assert not (tmp_path / "nothing").exists()
