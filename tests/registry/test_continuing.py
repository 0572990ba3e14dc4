"""Work of hours: what a killed run had finished is there for the next one, and two runs never do the same twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.errors import Refusal
from registry.store import RECORD, Home, Record, is_finished, whole_file

DIGEST = "0123456789abcdef" * 4
CHILD = """
import sys
from pathlib import Path
from registry.store import Home, Record, whole_file

home, digest, number = Home(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
record = Record(kind="measures", name="x", digest=digest)
with home.continuing(home.folder("measures", "x", digest), record) as out:
    if out is None:
        print("another has made it", flush=True)
        sys.exit()
    with whole_file(out / f"part-{number}.parquet") as aside:
        aside.write_text("whole " + number)
    with whole_file(out / f"part-{number}-late.parquet") as aside:
        aside.write_text("half")
        print("working", flush=True)
        sys.stdin.readline()
print("finished", flush=True)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def folder(home: Home) -> Path:
    return home.folder("measures", "x", DIGEST)


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for child in started:
        child.kill()
        child.communicate()


def start(children: list[subprocess.Popen[str]], home: Home, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(home.path), DIGEST, str(number)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(child)
    return child


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def record() -> Record:
    return Record(kind="measures", name="x", digest=DIGEST)


def left(home: Home) -> list[str]:
    return sorted(path.name for path in home.aside.iterdir() if path.name != ".lock")


def kept(home: Home, folder: Path) -> Path:
    """The unfinished folder of a killed run."""
    [work] = home.aside.glob(f"{folder.name}.*.kept")
    return work / "out"


def stop_with(error: BaseException, home: Home, folder: Path, *names: str) -> None:
    """Begin, write these files, and end with an error."""
    with home.continuing(folder, record()) as out:
        assert out is not None
        for name in names:
            (out / name).write_text("whole")
        raise error


def test_what_was_whole_is_there_after_a_kill_and_what_was_half_is_not(
    home: Home, folder: Path, children: list[subprocess.Popen[str]]
) -> None:
    child = start(children, home, 1)
    assert said(child) == "working"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not folder.exists()
    before = (kept(home, folder) / "part-1.parquet").stat()
    assert len(list(kept(home, folder).parent.iterdir())) == 3, "its lock, its files, one half written file"
    with home.continuing(folder, record()) as out:
        assert out is not None
        assert [path.name for path in out.iterdir()] == ["part-1.parquet"]
        assert sorted(path.name for path in out.parent.iterdir()) == [".lock", "out"]
        assert not is_finished(folder)
    after = (folder / "part-1.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(path.name for path in folder.iterdir()) == ["part-1.parquet", RECORD]
    assert left(home) == []


def test_one_waits_for_the_other_and_finds_it_made(
    home: Home, folder: Path, children: list[subprocess.Popen[str]]
) -> None:
    first = start(children, home, 1)
    assert said(first) == "working"
    second = start(children, home, 2)
    time.sleep(0.3)  # it would be at work by now, if it did not wait
    assert len(left(home)) == 1
    first.communicate("\n")
    assert second.communicate()[0] == "another has made it\n"
    assert sorted(path.name for path in folder.iterdir()) == ["part-1-late.parquet", "part-1.parquet", RECORD]
    assert left(home) == []


def test_who_waits_goes_on_when_the_other_is_killed(
    home: Home, folder: Path, children: list[subprocess.Popen[str]]
) -> None:
    first = start(children, home, 1)
    assert said(first) == "working"
    second = start(children, home, 2)
    time.sleep(0.1)
    first.kill()
    assert said(second) == "working"
    assert second.communicate("\n")[0] == "finished\n"
    assert {path.name for path in folder.iterdir()} == {
        "part-1.parquet",
        "part-2.parquet",
        "part-2-late.parquet",
        RECORD,
    }
    assert left(home) == []


def test_many_threads_make_it_once(home: Home, folder: Path) -> None:
    made: list[int] = []

    def make(number: int) -> None:
        with home.continuing(folder, record()) as out:
            if out is not None:
                made.append(number)
                (out / "part").write_text(str(number))
                time.sleep(0.01)

    for _ in range(5):
        threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1
        assert (folder / "part").read_text() == str(made.pop())
        assert left(home) == []
        shutil.rmtree(folder)


@pytest.mark.parametrize("error", [Refusal("file 2", "cannot be read", "mend it"), KeyboardInterrupt()])
def test_an_error_keeps_what_is_whole(home: Home, folder: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        stop_with(error, home, folder, "part-1")
    assert home.sweep() == 0
    with home.continuing(folder, record()) as out:
        assert out is not None
        assert (out / "part-1").read_text() == "whole"


def test_an_error_before_anything_is_whole_leaves_nothing(home: Home, folder: Path) -> None:
    with pytest.raises(Refusal):
        stop_with(Refusal("file 1", "cannot be read", "mend it"), home, folder)
    assert left(home) == []


def test_folders_of_one_name_in_two_places_are_kept_apart(home: Home) -> None:
    """The clusters of a search have the same name and digest under each samples folder."""
    for parent in ("one@r-0", "two@r-0"):
        with pytest.raises(KeyboardInterrupt):
            stop_with(KeyboardInterrupt(), home, home.stage("measures") / parent / "x-0123456789ab", f"of {parent}")
    with home.continuing(home.stage("measures") / "two@r-0" / "x-0123456789ab", record()) as out:
        assert out is not None
        assert [path.name for path in out.iterdir()] == ["of two@r-0"]
    assert len(left(home)) == 1


def test_what_is_finished_is_not_begun_again(home: Home, folder: Path) -> None:
    for expected in (False, True):
        with home.continuing(folder, record()) as out:
            assert (out is None) == expected
    assert left(home) == []


def test_work_that_nobody_goes_on_with_is_removed_after_a_month(home: Home, folder: Path) -> None:
    for part in (folder, home.folder("measures", "x", "f" * 64)):
        with pytest.raises(KeyboardInterrupt):
            stop_with(KeyboardInterrupt(), home, part, "part-1")
    month = time.time() - 31 * 24 * 3600
    os.utime(kept(home, folder), (month, month))
    assert home.sweep() == 1
    assert [name[:14] for name in left(home)] == ["x-ffffffffffff"]


def test_what_a_kill_left_after_the_rename_is_swept(home: Home, folder: Path) -> None:
    with home.continuing(folder, record()) as out:
        assert out is not None
        work = out.parent
    work.mkdir()
    (work / ".lock").touch()
    assert home.sweep() == 1
    assert left(home) == []


def test_a_writer_that_nobody_waits_for_disturbs_nothing(home: Home, folder: Path) -> None:
    """Its run was killed and another has finished the folder; then it comes to its end."""
    with home.continuing(folder, record()) as out:
        assert out is not None
        late = whole_file(out / "part-1")
        late.__enter__().write_text("the same, late")
        with whole_file(out / "part-1") as aside:
            aside.write_text("in time")
    with pytest.raises(FileNotFoundError):
        late.__exit__(None, None, None)
    assert (folder / "part-1").read_text() == "in time"
    assert sorted(path.name for path in folder.iterdir()) == ["part-1", RECORD]
    assert left(home) == []


def test_a_file_that_could_not_be_written_is_not_there(tmp_path: Path) -> None:
    def write_half() -> None:
        with whole_file(tmp_path / "out" / "part") as aside:
            aside.write_text("half")
            raise Refusal("row 7", "cannot be read", "mend it")

    (tmp_path / "out").mkdir()
    with pytest.raises(Refusal):
        write_half()
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]
