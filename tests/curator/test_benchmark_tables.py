"""Published tables: from a folder, or a server that breaks off; another md5 never gets into the home."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from curator.benchmark_tables import pull_table
from curator.study_request import StudyRequest, find_table, open_laboratory
from curator.trials import Workers
from registry import benchmark as benchmarks
from registry.benchmark import load_benchmark, names
from registry.errors import Refusal
from registry.store import Home

TABLE = (Path(__file__).parents[1] / "registry" / "benchmarks" / "mme.tsv").read_bytes() * 40
MD5 = hashlib.md5(TABLE, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """MME's table is this file, everywhere."""
    module: Any = load_benchmark("mme")
    assert isinstance(module, ModuleType)
    monkeypatch.setattr(module, "TABLE", dataclasses.replace(module.TABLE, md5=MD5))


class Serving(BaseHTTPRequestHandler):
    """Files with ranges; ``breaks`` connections break off half way."""

    files: dict[str, bytes]
    breaks: int
    asked: list[tuple[str, str, str]]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        data = self.files.get(self.path)
        span = self.headers.get("Range", "")
        type(self).asked.append((self.command, self.path, span))
        start = int(span.removeprefix("bytes=").partition("-")[0] or 0)
        self.send_response(404 if data is None else 206 if span else 200)
        body = (data or b"")[start:]
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(data or b'') - 1}/{len(data or b'')}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command == "GET":
            breaks = type(self).breaks > 0
            type(self).breaks -= breaks
            self.wfile.write(body[: len(body) // 2] if breaks else body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Serving.files, Serving.breaks, Serving.asked = {}, 0, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Serving) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_a_table_of_a_folder_is_compared_and_copied_once(tmp_path: Path) -> None:
    (tmp_path / "LMUData").mkdir()
    (tmp_path / "LMUData" / "MME.tsv").write_bytes(TABLE)
    home = Home(tmp_path / "home")
    found = pull_table(home, "mme", str(tmp_path / "LMUData"))
    assert (found.path.read_bytes(), found.bytes, found.was_there) == (TABLE, len(TABLE), False)
    assert find_table(home, "mme").table == found.path.resolve()
    (tmp_path / "LMUData" / "MME.tsv").unlink()
    assert pull_table(home, "mme", str(tmp_path / "LMUData")).was_there
    found.path.write_bytes(TABLE[:-1])
    with pytest.raises(Refusal, match="is another table than the published one"):
        pull_table(home, "mme")


def test_a_table_is_found_in_a_folder_by_its_published_name(tmp_path: Path) -> None:
    (tmp_path / "MME.tsv").write_bytes(TABLE)
    assert find_table(Home(tmp_path / "home"), "mme", tmp_path).table == (tmp_path / "MME.tsv").resolve()
    with pytest.raises(Refusal, match=r"POPE\.tsv: the table of benchmark 'pope' is not there"):
        find_table(Home(tmp_path / "home"), "pope", tmp_path)


def test_another_table_is_refused_and_leaves_nothing(tmp_path: Path, server: str) -> None:
    (tmp_path / "MME.tsv").write_bytes(TABLE[:-7])
    Serving.files["/MME.tsv"] = TABLE[:-7]
    home = Home(tmp_path / "home")
    for source in (str(tmp_path), server):
        with pytest.raises(Refusal, match=f"that of the published MME.tsv is {MD5}"):
            pull_table(home, "mme", source)
        assert not [path for path in home.path.rglob("*") if path.is_file()]
    assert (tmp_path / "MME.tsv").is_file()
    Serving.files["/MME.tsv"] = TABLE
    assert pull_table(home, "mme", server).path.read_bytes() == TABLE


def test_a_download_that_broke_off_is_tried_again(tmp_path: Path, server: str) -> None:
    Serving.files["/tables/MME.tsv"] = TABLE
    Serving.breaks = 2
    home = Home(tmp_path / "home")
    found = pull_table(home, "mme", f"{server}/tables/")
    assert found.path.read_bytes() == TABLE
    assert [method for method, _, _ in Serving.asked].count("GET") == 3
    assert [path.name for path in home.path.rglob("*") if path.is_file()] == ["mme.tsv"]


def test_the_publisher_s_older_place_is_tried_too(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "TABLES", server)
    module: Any = load_benchmark("mme")
    moved = dataclasses.replace(module.TABLE, folder="utils/benchmarks/MME")
    monkeypatch.setattr(module, "TABLE", moved)
    Serving.files["/utils/VLMEval/MME.tsv"] = TABLE
    assert pull_table(Home(tmp_path / "home"), "mme").bytes == len(TABLE)
    assert [path for method, path, _ in Serving.asked if method == "HEAD"] == [
        "/utils/benchmarks/MME/MME.tsv",
        "/utils/VLMEval/MME.tsv",
    ]


def test_what_is_not_there_is_refused(tmp_path: Path, server: str) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(Refusal, match="cannot be downloaded"):
        pull_table(home, "mme", server)
    with pytest.raises(Refusal, match="there is no such file"):
        pull_table(home, "mme", str(tmp_path / "nowhere"))
    with pytest.raises(Refusal, match="has no published table of this form"):
        pull_table(home, "tabmwp_test")


def test_every_published_table_has_a_place_of_its_own() -> None:
    tables = [table for table in (load_benchmark(name).TABLE for name in names()) if table is not None]
    assert len({table.md5 for table in tables}) == len({table.name for table in tables}) == len(names()) - 1
    assert all(len(table.md5) == 32 for table in tables)
    assert load_benchmark("mmbench_dev_en").TABLE.addresses == (  # type: ignore[union-attr]  # it has one
        "https://opencompass.openxlab.space/utils/benchmarks/MMBench/MMBench_DEV_EN.tsv",
        "https://opencompass.openxlab.space/utils/VLMEval/MMBench_DEV_EN.tsv",
    )


def test_a_selection_is_not_guided_by_what_is_held_out(tmp_path: Path) -> None:
    request = StudyRequest(candidates=(), baseline="llava-1.5-665k", benchmarks=("mme", "pope"))
    with pytest.raises(Refusal, match="benchmark 'pope': is held out"), Workers(count=1) as workers:
        open_laboratory(Home(tmp_path), request, workers)
