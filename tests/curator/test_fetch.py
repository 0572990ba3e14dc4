"""Fetching by address: one real download of every fault, the account of it, kills and Ctrl-C."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.fetch import ACCOUNT, REALISED, Asked, Effort, Fetched, Rules, fetch
from curator.fetching import workers
from curator.fetching.shards import Shard
from registry.errors import Refusal
from registry.images import ImageStore
from registry.store import DOWNLOADS, Home, read_record
from tests.curator.data_home import file_bytes, picture
from tests.curator.picture_server import PictureServer

ROOT = Path(__file__).parents[2]
SIZE = (24, 18)
QUICK = Effort(seconds=1.5, retries=1, processes=1, threads=24)
SECRET = "s3cr3t"


def md5(number: int) -> str:
    return hashlib.md5(picture(number, SIZE), usedforsecurity=False).hexdigest()


EXPECTED: dict[str, str] = {
    "/picture/1": "arrived",
    "/picture/2/twin": "arrived",
    "/picture/3/bl\u00e5 bild [1].png?w=640&h=a|b": "arrived",
    "/hop/4": "arrived",
    "/hop-with-a-body/5": "arrived",
    "/wrong-type/6": "arrived",
    "/once-busy/7": "arrived",
    "/opt-out-of-others/8": "arrived",
    "/status/404": "http 404",
    "/status/403": "http 403",
    "/status/204": "http 204",
    "/status/503": "http 503",
    "/status/999": "http 999",
    "/html": "not an image",
    "/empty": "not an image",
    "/corrupt/9": "damaged image",
    "/bomb": "too many pixels",
    "/small": "too small",
    "/huge": "too large",
    "/endless": "too large",
    "/opt-out": "opt-out",
    "/short/10": "connection",
    "/reset": "connection",
    "/nonsense": "connection",
    "/loop": "redirect loop",
    "/to-metadata": "refused address",
    "/to-file": "refused address",
    "/silent": "timeout",
    "/drip": "too slow",
    "/drip-of-headers": "too slow",
    "/picture/11/as-announced": "arrived",
    "/picture/12/changed": "changed",
}
ELSEWHERE: dict[str | None, str] = {
    "http://169.254.169.254/latest/meta-data/": "refused address",
    "http://[::ffff:169.254.169.254]/": "refused address",
    "http://no-such-host.invalid/a.png": "dns",
    "http://127.0.0.1:1/closed.png": "connection",
    f"http://me:{SECRET}@127.0.0.1/a.png": "bad address",
    "ftp://127.0.0.1/a.png": "bad address",
    "http://exa mple.com/a.png": "bad address",
    "http://[::1/a.png": "bad address",
    "http:///a.png": "bad address",
    "": "bad address",
    None: "bad address",
}
DIGESTS = {"/picture/11/as-announced": md5(11).upper(), "/picture/12/changed": md5(1)}


def asked(folder: Path, urls: list[str | None], digests: list[str | None] | None = None) -> Asked:
    """A table of addresses."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {"key": [f"row-{i}" for i in range(len(urls))], "url": pa.array(urls, pa.string())}
    if digests is not None:
        columns["md5"] = pa.array(digests, pa.string())
    pq.write_table(pa.table(columns), folder / "asked.parquet")
    return Asked("pictures@here", folder / "asked.parquet", {}, "curator pull pictures --fetch")


@dataclass(frozen=True)
class World:
    """A fetch of every fault, done once for all tests."""

    home: Home
    server: PictureServer
    fetched: Fetched
    urls: list[str | None]
    expected: list[str]
    advanced: int

    def rows(self) -> dict[str | None, dict[str, Any]]:
        return {row["url"]: row for row in self.fetched.rows()}

    def row(self, path: str) -> dict[str, Any]:
        return self.rows()[self.server.url + path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("fetch")
    told: list[int] = []
    with PictureServer(size=SIZE) as server, pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy"):  # a proxy that would be used fails everything
            patch.setenv(name, "http://127.0.0.1:9")
        urls: list[str | None] = [server.url + path for path in EXPECTED]
        urls += [server.url + "/picture/1", *ELSEWHERE]  # the first: a row named twice
        expected = [*EXPECTED.values(), "arrived", *ELSEWHERE.values()]
        digests = [DIGESTS.get(path) for path in EXPECTED] + [None] * (1 + len(ELSEWHERE))
        home, table = Home(folder / "home"), asked(folder, urls, digests)
        rules = Rules(allow_private=True, min_side=2)
        fetched = fetch(home, table, rules, QUICK, advance=told.append)
        yield World(home, server, fetched, urls, expected, sum(told))


def test_every_fault_has_its_word_and_every_row_its_place(world: World) -> None:
    rows = list(world.fetched.rows())
    assert [(row["url"], row["status"]) for row in rows] == list(zip(world.urls, world.expected, strict=True))
    assert [row["key"] for row in rows] == [f"row-{i}" for i in range(len(rows))]


def test_pictures_are_stored_as_they_were_published(world: World) -> None:
    store = ImageStore(world.home)
    for number, path in enumerate(list(EXPECTED)[:8], start=1):
        row = world.row(path)
        assert store.read(row["sha256"]) == picture(number, SIZE)
        assert (row["width"], row["height"], row["bytes"]) == (*SIZE, len(picture(number, SIZE)))
    failed = [row for row in world.fetched.rows() if row["status"] != "arrived"]
    assert {row[name] for row in failed for name in ("sha256", "width", "height", "bytes")} == {None}


def test_the_account_is_exact(world: World) -> None:
    account, statuses = world.fetched.account, Counter(world.expected)
    arrived = statuses.pop("arrived")
    assert (account["planned"], account["arrived"], account["failed"]) == (len(world.urls), arrived, dict(statuses))
    assert account["bytes"] == sum(row["bytes"] or 0 for row in world.fetched.rows())
    assert account["hosts"]["127.0.0.1"] == sum(
        row["status"] != "arrived" and "//127.0.0.1" in (row["url"] or "") for row in world.fetched.rows()
    ) + sum("@127.0.0.1" in (url or "") for url in world.urls)
    record = read_record(world.fetched.folder)
    record.check_rows()
    assert (record.rows_in, record.rows_out, record.rejected) == (len(world.urls), arrived, dict(statuses))
    assert record.digest == account["realised"]
    assert world.advanced == len(world.urls), "progress tells every row once"


def test_no_body_is_read_beyond_its_bounds(world: World) -> None:
    slack = 16 << 20  # what lies in the buffers of two sockets
    assert world.server.streamed["/endless"] < (64 << 20) + slack
    assert world.server.streamed["/huge"] < slack, "what announces too much is not read at all"
    assert world.server.streamed["/hop-with-a-body/5"] < slack


def test_an_address_is_asked_once_and_again_only_where_that_may_help(world: World) -> None:
    hits = world.server.hits
    assert hits["/picture/1"] == 1, "named by two rows"
    assert (hits["/once-busy/7"], hits["/status/503"], hits["/short/10"], hits["/silent"]) == (2, 2, 2, 2)
    assert (hits["/status/404"], hits["/drip"], hits["/opt-out"], hits["/html"]) == (1, 1, 1, 1)


def test_servers_are_told_who_asks_and_nothing_else(world: World) -> None:
    assert {headers["user-agent"].split(" ")[0] for headers in world.server.headers} == {"vlm-curator"}
    assert {name for headers in world.server.headers for name in headers} == {
        "host", "user-agent", "accept", "accept-encoding",
    }  # fmt: skip


def test_a_finished_fetch_asks_nobody(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before, hits = file_bytes(world.fetched.folder), world.server.hits.total()
    digests = [DIGESTS.get(path) for path in EXPECTED] + [None] * (1 + len(ELSEWHERE))
    again = fetch(world.home, asked(tmp_path, world.urls, digests), Rules(True, 2), QUICK)
    assert again.folder == world.fetched.folder
    assert file_bytes(again.folder) == before
    assert world.server.hits.total() == hits
    assert sorted(before) == [ACCOUNT, REALISED, "record.json"]
    assert list((world.home.path / DOWNLOADS).iterdir()) == [], "nothing of the work is left"


def test_failures_are_tried_again_when_asked_for_and_all_else_stays(world: World, tmp_path: Path) -> None:
    """In a home of its own: the first attempt meets a server that is busy, the second one that is not."""
    home, effort = Home(tmp_path / "home"), Effort(1.5, 0, 1)
    with PictureServer(size=SIZE) as server:
        table = asked(tmp_path, [f"{server.url}/{path}" for path in ("picture/1", "once-busy/7", "status/404")])
        first = fetch(home, table, Rules(allow_private=True), effort)
        second = fetch(home, table, Rules(allow_private=True), effort, retry_failed=True)
        third = fetch(home, table, Rules(allow_private=True), effort)
    assert [row["status"] for row in first.rows()] == ["arrived", "http 503", "http 404"]
    assert [row["status"] for row in second.rows()] == ["arrived", "arrived", "http 404"]
    assert [row["key"] for row in second.rows()] == ["row-0", "row-1", "row-2"]
    assert server.hits == {"/picture/1": 1, "/once-busy/7": 2, "/status/404": 2}
    assert third.folder == second.folder != first.folder
    assert second.record.inputs == {f"fetched/{first.folder.name}": first.record.digest}
    assert second.record.digest != first.record.digest, "what was realised is the identity"


def test_no_connection_is_made_to_this_machine_unless_it_is_allowed(tmp_path: Path) -> None:
    """The real process, the real library: the server would see even a connection without a request."""
    with PictureServer() as server:
        port = server.server_address[1]
        hosts = ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0", "[::1]")  # noqa: S104  asked for, not bound to
        table = asked(tmp_path, [f"http://{host}:{port}/picture/1" for host in hosts])
        fetched = fetch(Home(tmp_path / "home"), table, Rules(), QUICK)
        assert [row["status"] for row in fetched.rows()] == ["refused address"] * len(hosts)
        assert server.connections == 0


def test_without_img2dataset_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "find_spec", lambda _name: None)
    with pytest.raises(Refusal, match=r"pip install 'vlm-curator\[download\]'"):
        fetch(Home(tmp_path / "home"), asked(tmp_path, ["http://a.example/"]), Rules(), QUICK)


def test_pictures_that_are_gone_from_the_store_are_noticed(world: World, tmp_path: Path) -> None:
    digests = [DIGESTS.get(path) for path in EXPECTED] + [None] * (1 + len(ELSEWHERE))
    aside = tmp_path / "images"
    world.home.images.rename(aside)
    try:
        with pytest.raises(Refusal, match="10 pictures that were fetched are no longer in the image store"):
            fetch(world.home, asked(tmp_path, world.urls, digests), Rules(True, 2), QUICK)
    finally:
        aside.rename(world.home.images)


def test_a_row_that_the_library_loses_or_explains_in_its_own_words_is_counted(tmp_path: Path) -> None:
    """Rows come back in the order of arrival, and not at all when the library's own code raised."""
    urls = [f"http://a.example/{i}" for i in range(3)]
    shard = Shard(0, [{"key": str(i), "url": url} for i, url in enumerate(urls)])
    columns = {"position": [2, 0], "key": ["b", "a"], "status": ["success", "failed_to_download"]}
    pq.write_table(pa.table({**columns, "error_message": [None, "<urlopen \x1b[31m>"]}), tmp_path / "00000.parquet")
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        member = tarfile.TarInfo("b.jpg")
        member.size = len(picture(5))
        tar.addfile(member, io.BytesIO(picture(5)))
    with ImageStore(Home(tmp_path / "home")).writer() as store:
        outcomes = shard.take_in(tmp_path, store, 1)
    assert [(row["key"], row["status"]) for row in outcomes] == [("0", "other"), ("1", "other"), ("2", "arrived")]


RUN = """
    import sys
    from pathlib import Path
    from curator.fetch import Asked, Effort, Rules, fetch
    from registry.store import Home
    asked = Asked("many@here", Path(sys.argv[2]), {}, "")
    fetch(Home(Path(sys.argv[1])), asked, Rules(allow_private=True), Effort(3, 1, 1, 4, shard_rows=30))
"""


def start(home: Home, table: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(RUN), str(home.path), str(table)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def parts_of(home: Home) -> list[Path]:
    return sorted((home.path / DOWNLOADS).glob("fetch-*/parts/*.parquet"))


def children_of(process: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == str(process) and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def wait_for(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not come about"
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_fetch_killed_in_between_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    killed, quiet = Home(tmp_path / "killed"), Home(tmp_path / "quiet")
    with PictureServer(size=SIZE) as server:
        paths = [f"/status/404/{i}" if i % 7 == 3 else f"/picture/{i}" for i in range(150)]
        table = asked(tmp_path, [server.url + path for path in paths]).table
        server.latency = 0.02
        first = start(killed, table)
        wait_for(lambda: parts_of(killed))
        downloaders = children_of(first.pid)
        assert [children_of(number) for number in downloaders] == [[]], "no process is without the guard"
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert downloaders
        wait_for(lambda: not any(map(is_alive, downloaders)))
        done = len(parts_of(killed))
        assert 1 <= done < 5, "the kill came in the middle"
        assert killed.finished("fetched") == [], "nothing half made is visible"
        before = server.hits.copy()

        second = start(killed, table)
        wait_for(lambda: children_of(second.pid))
        os.kill(children_of(second.pid)[0], signal.SIGKILL)
        assert second.wait(60) != 0, "without its downloader a run ends and says so"

        server.latency = 0
        assert start(killed, table).wait(60) == 0
        assert [server.hits[path] for path in paths[: done * 30]] == [before[path] for path in paths[: done * 30]]
        assert start(quiet, table).wait(60) == 0
    assert file_bytes(killed.path / "fetched") == file_bytes(quiet.path / "fetched")
    tars = [sorted(path.name for path in home.images.glob("*.tar")) for home in (killed, quiet)]
    assert tars[0] == tars[1]
    assert list((killed.path / DOWNLOADS).iterdir()) == []
    assert [path.name for path in killed.aside.iterdir()] == [".lock"]
    (account,) = killed.stage("fetched").glob(f"*/{ACCOUNT}")
    assert json.loads(account.read_bytes())["failed"] == {"http 404": sum(i % 7 == 3 for i in range(150))}


def test_ctrl_c_ends_the_downloaders_too(tmp_path: Path) -> None:
    with PictureServer() as server:
        server.latency = 1
        table = asked(tmp_path, [f"{server.url}/picture/{i}" for i in range(200)]).table
        process = start(Home(tmp_path / "home"), table)
        wait_for(lambda: server.hits)
        downloaders = children_of(process.pid)
        assert downloaders
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) != 0
        assert not any(map(is_alive, downloaders))
