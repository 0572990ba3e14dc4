"""The data home: a folder is finished or not there, whoever is killed and whoever runs at the same time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.errors import Refusal
from registry.store import (
    RECORD,
    STAGES,
    Home,
    Record,
    dump_json,
    find_folder,
    is_finished,
    read_record,
    write_aside,
)

DIGEST = "0123456789abcdef" * 4
CHILD = """
import sys, time
from pathlib import Path
from registry.store import Home, Record

home, digest, text = Home(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
with home.making(home.folder("samples", "x@r1", digest), Record(kind="samples", name="x", digest=digest)) as aside:
    (aside / "part-00000.parquet").write_text(text)
    print("working", flush=True)
    sys.stdin.readline()
    (aside / "part-00001.parquet").write_text(text)
print("finished", flush=True)
"""
WRITER = """
import os, signal, sys
from pathlib import Path
from registry import store

def die(descriptor):
    os.kill(os.getpid(), signal.SIGKILL)

store.os.fsync = die  # killed after the bytes were written and before they count
store.write_aside(Path(sys.argv[1]), b"new")
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    """Children started by a test; none outlives it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for child in started:
        child.kill()
        child.communicate()


def start(children: list[subprocess.Popen[str]], home: Home, text: str = "rows") -> subprocess.Popen[str]:
    """A process in the middle of making ``samples/x@r1-…``."""
    command = [sys.executable, "-c", CHILD, str(home.path), DIGEST, text]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(child)
    assert child.stdout is not None
    assert child.stdout.readline() == "working\n"
    return child


def go_on(child: subprocess.Popen[str]) -> None:
    out, _ = child.communicate("\n", timeout=60)
    assert (out, child.returncode) == ("finished\n", 0)


def record(digest: str = DIGEST) -> Record:
    return Record(kind="samples", name="x", digest=digest)


def make(home: Home, digest: str = DIGEST, text: str = "rows") -> Path:
    folder = home.folder("samples", "x@r1", digest)
    with home.making(folder, record(digest)) as aside:
        (aside / "part-00000.parquet").write_text(text)
    return folder


def left_aside(home: Home) -> list[str]:
    return sorted(path.name for path in home.aside.iterdir() if path.name != ".lock")


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_home_is_the_option_then_the_environment_then_the_user_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATOR_HOME", "/data/home")
    assert Home.default("/given").path == Path("/given")
    assert Home.default().path == Path("/data/home")
    monkeypatch.delenv("CURATOR_HOME")
    assert Home.default().path == Path("~/.vlm-curator").expanduser()


def test_a_folder_is_called_by_its_human_name_and_short_digest(home: Home) -> None:
    assert home.folder("samples", "ChartQA@main", DIGEST) == home.path / "samples" / "chartqa@main-0123456789ab"
    assert home.folder("mixes", "base+2+charts", DIGEST).name == "base+2+charts-0123456789ab"
    assert len(home.folder("mixes", "x" * 300, DIGEST).name) < 128


@pytest.mark.parametrize("name", ["../outside", "..", "/etc", ".hidden", "", "+", "a/../../b"])
def test_no_name_leads_out_of_its_stage(home: Home, name: str) -> None:
    for stage in STAGES:
        try:
            folder = home.folder(stage, name, DIGEST)
        except Refusal:
            continue
        assert folder.parent == home.stage(stage)
        assert not folder.name.startswith(".")


def test_a_finished_folder_has_its_record_and_is_found_by_digest(home: Home) -> None:
    folder = make(home)
    assert read_record(folder) == record()
    assert home.find("samples", DIGEST) == folder
    assert home.find("samples", "f" * 64) is None
    assert home.find("mixes", DIGEST) is None
    assert home.finished("samples") == [folder]
    assert left_aside(home) == []


def test_the_record_holds_what_was_filled_in_while_it_was_made(home: Home) -> None:
    told = record()
    with home.making(home.folder("samples", "x@r1", DIGEST), told) as aside:
        (aside / "rows").write_text("1")
        told.rows_in, told.rows_out, told.rejected = 3, 2, {"empty answer": 1}
    read = read_record(home.folder("samples", "x@r1", DIGEST))
    assert (read.rows_in, read.rows_out, read.rejected) == (3, 2, {"empty answer": 1})
    read.check_rows()


def test_a_row_that_is_unaccounted_for_is_noticed() -> None:
    with pytest.raises(AssertionError, match="3 rows in, 2 accounted for"):
        Record(
            kind="samples", name="x", digest=DIGEST, rows_in=3, rows_out=1, rejected={"empty answer": 1}
        ).check_rows()


def test_nothing_is_visible_while_it_is_made(home: Home) -> None:
    folder = home.folder("samples", "x@r1", DIGEST)
    with home.making(folder, record()) as aside:
        (aside / "part-00000.parquet").write_text("rows")
        assert not folder.exists()
        assert not (aside / RECORD).exists()
        assert home.find("samples", DIGEST) is None
    assert is_finished(folder)


def test_an_error_in_the_middle_leaves_nothing(home: Home) -> None:
    def fail() -> None:
        with home.making(home.folder("samples", "x@r1", DIGEST), record()) as aside:
            (aside / "part-00000.parquet").write_text("rows")
            raise Refusal("row 7", "cannot be read", "correct it")

    with pytest.raises(Refusal):
        fail()
    assert home.finished("samples") == []
    assert left_aside(home) == []


def test_the_same_work_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = Home(tmp_path / "one"), Home(tmp_path / "elsewhere" / "two")
    assert files_of(make(one)) == files_of(make(two))


def test_killed_in_the_middle_it_is_not_there_and_is_swept(home: Home, children: list[subprocess.Popen[str]]) -> None:
    child = start(children, home)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert home.find("samples", DIGEST) is None
    assert home.finished("samples") == []
    assert len(left_aside(home)) == 1
    folder = make(home)
    assert left_aside(home) == []
    assert (folder / "part-00000.parquet").read_text() == "rows"


def test_what_a_live_process_has_aside_is_not_swept(home: Home, children: list[subprocess.Popen[str]]) -> None:
    dead, alive = start(children, home), start(children, home)
    dead.kill()
    dead.wait()
    assert len(left_aside(home)) == 2
    assert home.sweep() == 1
    [kept] = left_aside(home)
    assert f".{alive.pid}." in kept
    go_on(alive)
    assert sorted(path.name for path in home.folder("samples", "x@r1", DIGEST).iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
        RECORD,
    ]
    assert left_aside(home) == []


def test_of_two_processes_at_once_the_first_to_finish_stays(home: Home, children: list[subprocess.Popen[str]]) -> None:
    first, second = start(children, home, "first"), start(children, home, "second")
    go_on(second)
    stayed = files_of(home.folder("samples", "x@r1", DIGEST))
    go_on(first)
    assert files_of(home.folder("samples", "x@r1", DIGEST)) == stayed
    assert stayed["part-00001.parquet"] == b"second"
    assert left_aside(home) == []


def test_many_threads_making_the_same_folder_never_hide_it_again(home: Home) -> None:
    vanished: list[str] = []
    stop = threading.Event()

    def look() -> None:
        seen = False
        while not stop.is_set():
            here = home.find("samples", DIGEST) is not None
            if seen and not here:
                vanished.append("was finished and is gone")
            seen = seen or here

    watcher = threading.Thread(target=look)
    makers = [threading.Thread(target=make, args=(home,)) for _ in range(8)]
    watcher.start()
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    stop.set()
    watcher.join()
    assert vanished == []
    assert left_aside(home) == []


def test_a_folder_without_a_record_is_replaced(home: Home) -> None:
    folder = home.folder("samples", "x@r1", DIGEST)
    folder.mkdir(parents=True)
    (folder / "part-00000.parquet").write_text("left by something else")
    (folder / "stray").write_text("left by something else")
    assert home.finished("samples") == []
    make(home)
    assert sorted(files_of(folder)) == ["part-00000.parquet", RECORD]


def test_a_record_that_is_absent_or_damaged_is_refused(home: Home) -> None:
    with pytest.raises(Refusal, match="not there, or not finished"):
        read_record(home.folder("samples", "x@r1", DIGEST))
    folder = make(home)
    for damage in (b"", b"{}", b"\xff\xfe", b'{"kind": "samples", "name": "x", "digest": "d", "host": "h"}'):
        (folder / RECORD).write_bytes(damage)
        with pytest.raises(Refusal, match="damaged"):
            read_record(folder)


def test_json_on_disk_is_sorted_and_ends_with_a_line_end() -> None:
    assert dump_json({"b": "é", "a": [1.5]}) == '{\n  "a": [\n    1.5\n  ],\n  "b": "é"\n}\n'.encode()
    with pytest.raises(ValueError, match="Out of range float"):
        dump_json({"a": float("nan")})


def test_a_single_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "scores" / "mme-0.json"
    for data in (b"old", b"newer and longer", b"new"):
        write_aside(path, data)
        assert path.read_bytes() == data
    assert [path.name for path in path.parent.iterdir()] == ["mme-0.json"]


def test_writers_of_one_file_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path, torn = tmp_path / "x.json", []
    stop = threading.Event()
    write_aside(path, b"a" * 4000)

    def read() -> None:
        while not stop.is_set():
            data = path.read_bytes()
            if len(data) != 4000 or len(set(data)) != 1:
                torn.append(data[:10])

    def write(letter: bytes) -> None:
        for _ in range(20):
            write_aside(path, letter * 4000)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"b", b"c", b"d")]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert torn == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_aside(path, b"old")
    child = subprocess.run([sys.executable, "-c", WRITER, str(path)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    write_aside(path, b"n")
    assert path.read_bytes() == b"n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_a_record_holds_no_time_host_or_path(home: Home) -> None:
    text = (make(home) / RECORD).read_text()
    assert str(home.path) not in text
    assert set(json.loads(text)) == set(Record.model_fields)
    assert not {"time", "date", "host", "user", "path", "seconds"} & set(Record.model_fields)


def test_finished_folders_are_found_by_full_name_short_name_or_digest(home: Home) -> None:
    folder = make(home)
    for name in (folder.name, "x@r1", DIGEST, DIGEST[:12]):
        assert find_folder(home, "samples", name) == folder
    with pytest.raises(Refusal, match="did you mean 'x@r1'"):
        find_folder(home, "samples", "x@r2")


def test_a_name_that_two_folders_have_is_refused(home: Home) -> None:
    for name in ("x-0123456789ab", "x-ba9876543210", "made by hand"):
        (home.stage("mixes") / name).mkdir(parents=True)
        (home.stage("mixes") / name / RECORD).write_text("{}")
    with pytest.raises(Refusal, match="more than one has this name"):
        find_folder(home, "mixes", "x")
    assert find_folder(home, "mixes", "x-ba9876543210").name == "x-ba9876543210"
