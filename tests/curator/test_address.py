"""``--from`` an address: downloads go on, are known again, and leave nothing behind."""

from __future__ import annotations

import http.server
import json
import multiprocessing
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from curator.known import KNOWN
from registry.errors import Refusal
from registry.store import DOWNLOADS, Home
from tests.conftest import Curator
from tests.curator.data_home import chats, write_card, write_json
from tests.curator.test_origin import pulled_rows


@pytest.fixture
def home(home_path: Path) -> Home:
    return Home(home_path)


class Site(http.server.BaseHTTPRequestHandler):
    """One file at every path, with ranges; the first answers of a run may break off in the middle."""

    data: ClassVar[bytes] = b""
    etag: ClassVar[str] = '"one"'
    breaks: ClassVar[int] = 0
    get_alone: ClassVar[bool] = False
    status: ClassVar[int] = 0
    """Answer of every request, where it is set."""
    asked: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        type(self).asked.append("HEAD")
        if self.get_alone:
            self.send_error(403)
            return
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self.status:
            self.send_error(self.status)
            return
        wanted = self.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        rest = self.data[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(rest)))
        if self.etag:
            self.send_header("ETag", self.etag)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        self.end_headers()
        if not body:
            return
        type(self).asked.append(wanted)
        if type(self).breaks:
            type(self).breaks -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.close_connection = True
            return
        self.wfile.write(rest)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the signature of http.server
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    Site.breaks, Site.asked, Site.etag, Site.get_alone, Site.status = 0, [], '"one"', False, 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _small_steps_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)


def left(home: Home) -> list[str]:
    """What lies among the downloads."""
    root = home.path / DOWNLOADS
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def rows_at(site: str, tmp_path: Path, n: int = 5, start: int = 0) -> str:
    Site.data = write_json(tmp_path / "rows.json", chats(n, start)).read_bytes()
    return f"{site}/rows.json"


def test_a_download_that_breaks_off_goes_on_in_the_next_run(home: Home, tmp_path: Path, site: str) -> None:
    Site.data = write_json(tmp_path / "rows.json", chats(400)).read_bytes()
    Site.breaks = 99
    with pytest.raises(Refusal, match="cannot be downloaded"):
        pulled_rows(home, f"{site}/rows.json", "llava_chat")
    assert [name for name in left(home) if name.endswith("unfinished")], "what is here is kept"
    Site.breaks, Site.asked = 0, []
    assert pulled_rows(home, f"{site}/rows.json?x=1#y", "llava_chat") == 400  # another address: from the start
    assert pulled_rows(home, f"{site}/rows.json", "llava_chat") == 400
    fetched = [wanted for wanted in Site.asked if wanted != "HEAD"]
    assert fetched[0] == ""
    assert int(fetched[1].removeprefix("bytes=").partition("-")[0]) > 1000
    assert left(home) == []


def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(home: Home, tmp_path: Path, site: str) -> None:
    Site.data = write_json(tmp_path / "rows.json", chats(400)).read_bytes()
    Site.breaks = 99
    with pytest.raises(Refusal):
        pulled_rows(home, f"{site}/rows.json", "llava_chat")
    Site.breaks, Site.etag, Site.asked = 0, '"two"', []
    Site.data = write_json(tmp_path / "rows.json", chats(350, start=1000)).read_bytes()
    assert pulled_rows(home, f"{site}/rows.json", "llava_chat") == 350
    assert Site.asked == ["HEAD", ""]


def test_a_server_that_answers_get_alone_is_asked_by_get(home: Home, tmp_path: Path, site: str) -> None:
    Site.data, Site.get_alone = write_json(tmp_path / "rows.json", chats(7)).read_bytes(), True
    assert pulled_rows(home, f"{site}/rows.json", "llava_chat") == 7


def test_a_bad_download_is_not_kept_where_nothing_tells_its_version(home: Home, tmp_path: Path, site: str) -> None:
    write_json(tmp_path / "p" / "rows.json", chats(7))
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(tmp_path / "p", arcname="p")
    for etag in ("", '"one"'):
        Site.etag, Site.data = etag, b"no archive"
        with pytest.raises(Refusal, match="no readable archive"):
            pulled_rows(home, f"{site}/x.tar", "llava_chat")
        Site.data = (tmp_path / "x.tar").read_bytes()
        assert pulled_rows(home, f"{site}/x.tar", "llava_chat") == 7


def test_what_was_pulled_is_known_again_without_a_download(
    curator: Curator, home: Home, tmp_path: Path, site: str
) -> None:
    write_card(home, "x", format="llava_chat")
    address = rows_at(site, tmp_path)
    first = json.loads(curator("pull", "x", "--from", address, "--json").stdout)
    assert (first["rows_out"], left(home)) == (5, [])
    Site.asked = []
    again = curator("pull", "x", "--from", address, "--json")
    assert json.loads(again.stdout) == first
    assert "nothing to do" in again.stderr
    planned = json.loads(curator("pull", "x", "--from", address, "--json", "--dry-run").stdout)
    assert (planned["raw"], planned["files"], planned["bytes"]) == (first["raw"], 1, len(Site.data))
    assert Site.asked == ["HEAD", "HEAD"]


def test_another_content_or_another_card_is_downloaded(curator: Curator, home: Home, tmp_path: Path, site: str) -> None:
    write_card(home, "x", format="llava_chat")
    address = rows_at(site, tmp_path)
    raw = [json.loads(curator("pull", "x", "--from", address, "--json").stdout)["raw"]]
    Site.data, Site.etag = write_json(tmp_path / "rows.json", chats(6)).read_bytes(), '"two"'
    raw.append(json.loads(curator("pull", "x", "--from", address, "--json").stdout)["raw"])
    Site.data = write_json(tmp_path / "rows.json", chats(7)).read_bytes()  # the same ETag, another length
    raw.append(json.loads(curator("pull", "x", "--from", address, "--json").stdout)["raw"])
    write_card(home, "x", format="llava_chat", source={"files": ["rows.*"]})
    Site.asked = []
    curator("pull", "x", "--from", address)
    assert Site.asked == ["HEAD", ""], "a card that asks for other files may find others"
    assert len(set(raw)) == 3


def test_a_server_that_tells_no_version_has_its_file_downloaded_again(
    curator: Curator, home: Home, tmp_path: Path, site: str
) -> None:
    write_card(home, "x", format="llava_chat")
    address, Site.etag = rows_at(site, tmp_path), ""
    for _ in range(2):
        assert curator("pull", "x", "--from", address).exit_code == 0
    assert Site.asked == ["HEAD", "", "HEAD", ""]
    assert not (home.path / KNOWN).exists()


def test_a_raw_folder_that_was_removed_is_downloaded_again(
    curator: Curator, home: Home, tmp_path: Path, site: str
) -> None:
    write_card(home, "x", format="llava_chat")
    address = rows_at(site, tmp_path)
    curator("pull", "x", "--from", address)
    shutil.rmtree(home.path / "raw")
    assert curator("pull", "x", "--from", address).exit_code == 0
    assert len(home.finished("raw")) == 1
    for note in (home.path / KNOWN).iterdir():
        note.write_text('"../cards"')
    assert curator("pull", "x", "--from", address).exit_code == 0


def test_a_dry_run_downloads_nothing(curator: Curator, home: Home, tmp_path: Path, site: str) -> None:
    write_card(home, "x", format="llava_chat")
    address = rows_at(site, tmp_path)
    shown = json.loads(curator("pull", "x", "--from", address, "--json", "--dry-run").stdout)
    assert shown == {"dataset": "x", "from": address, "version": '"one"', "bytes": len(Site.data)}
    assert Site.asked == ["HEAD"]
    assert not (home.path / DOWNLOADS).exists()
    assert not (home.path / "raw").exists()


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (401, "401"), (500, "500 Internal Server")])
def test_what_a_server_refuses_is_said_in_words(
    curator: Curator, home: Home, tmp_path: Path, site: str, status: int, words: str
) -> None:
    write_card(home, "x", format="llava_chat")
    address, Site.status = rows_at(site, tmp_path), status
    refused = curator("pull", "x", "--from", address)
    assert refused.exit_code == 1
    assert f"cannot be downloaded: the server answers {words}" in refused.stderr
    assert "Error" not in refused.stderr.replace("Server Error", "")
    assert left(home) == []


def test_where_nobody_answers_is_said_in_words(curator: Curator, home: Home) -> None:
    write_card(home, "x", format="llava_chat")
    refused = curator("pull", "x", "--from", "http://127.0.0.1:9/rows.json")
    assert "cannot be downloaded: nobody answers there" in refused.stderr
    assert "ConnectError" not in refused.stderr


def test_what_is_left_of_an_older_content_goes_with_the_next_one(home: Home, tmp_path: Path, site: str) -> None:
    address, Site.breaks = rows_at(site, tmp_path, 400), 99
    with pytest.raises(Refusal):
        pulled_rows(home, address, "llava_chat")
    assert left(home) != []
    Site.breaks, Site.etag = 0, '"two"'
    assert pulled_rows(home, address, "llava_chat") == 400
    assert left(home) == []


def test_more_than_the_server_has_is_thrown_away(home: Home, tmp_path: Path, site: str) -> None:
    address, Site.breaks = rows_at(site, tmp_path, 400), 99
    with pytest.raises(Refusal):
        pulled_rows(home, address, "llava_chat")
    (part,) = (home.path / DOWNLOADS).rglob("unfinished")
    part.write_bytes(bytes(len(Site.data) + 1))
    Site.breaks = 0
    assert pulled_rows(home, address, "llava_chat") == 400


def test_two_pulls_of_one_address_do_not_write_into_each_other(home: Home, tmp_path: Path, site: str) -> None:
    address = rows_at(site, tmp_path, 20_000)
    write_card(home, "x", format="llava_chat")
    start = multiprocessing.get_context("spawn")
    both = [start.Process(target=pulled_rows, args=(home, address, "llava_chat")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert len(home.finished("raw")) == 1
    assert left(home) == []
