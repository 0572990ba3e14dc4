"""A measure is killed with -9 at random instants, the command or one of its workers, and never makes a file twice."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from registry.store import Home
from tests.curator.data_home import file_bytes, make_captions

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("CURATOR_MEASURE_KILLS", "5"))
Marks = dict[str, tuple[int, int]]


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Home, Home]:
    """Two homes with the same dataset in a dozen files."""
    monkeypatch.setattr("curator.normalise.ROWS_PER_GROUP", 10)
    monkeypatch.setattr("curator.normalise.ROWS_PER_FILE", 10)
    make_captions(Home(tmp_path / "quiet"), tmp_path, "pics", 120)
    shutil.copytree(tmp_path / "quiet", tmp_path / "killed")
    return Home(tmp_path / "quiet"), Home(tmp_path / "killed")


def start(home: Home, workers: int, told: Path) -> subprocess.Popen[bytes]:
    told.mkdir()
    command = [sys.executable, "-m", "tests.faults.slow_measure", str(home.path), "pics", str(workers), str(told)]
    return subprocess.Popen(command, cwd=ROOT)


def whole(home: Home) -> Marks:
    """Inode and time of every file of the measure that is whole, finished or kept."""
    files = [*home.aside.glob("slow-*.kept/out/*.parquet"), *home.stage("measures").glob("*/slow-*/*.parquet")]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def wait_for(files: int, home: Home, process: subprocess.Popen[bytes]) -> None:
    """Until so many files are whole, or the process has ended."""
    while len(whole(home)) < files and process.poll() is None:
        time.sleep(0.005)


def test_a_killed_measure_goes_on_where_it_was(homes: tuple[Home, Home], tmp_path: Path) -> None:
    quiet, killed = homes
    assert start(quiet, 1, tmp_path / "told quiet").wait(120) == 0
    total, seen, survivors = len(whole(quiet)), dict[str, tuple[int, int]](), 0
    assert total >= 10
    chance = random.Random(1)
    for number in range(KILLS):
        told = tmp_path / f"told {number}"
        process = start(killed, 1 + number % 2, told)
        wait_for(min(len(seen) + 1, total), killed, process)
        time.sleep(chance.uniform(0, 0.15))
        if number % 4 == 1:  # a worker dies, and the command with another one goes on until it dies too
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(max(told.iterdir(), key=lambda path: path.stat().st_mtime_ns).suffix[1:]), signal.SIGKILL)
            wait_for(min(len(seen) + 3, total), killed, process)
        process.kill()
        process.wait()
        now = whole(killed)
        assert seen.items() <= now.items(), "a whole file was made again"
        survivors += len(now) - len(seen)
        seen = now
    assert survivors >= min(KILLS, 4), "no kill came when there was something to keep"
    assert len(seen) < total, "the kills came too late"
    last = tmp_path / "told last"
    assert start(killed, 2, last).wait(120) == 0
    assert {path.stem for path in last.iterdir()} == set(whole(quiet)) - set(seen), "only what was missing was made"
    assert seen.items() <= whole(killed).items()
    assert file_bytes(killed.stage("measures")) == file_bytes(quiet.stage("measures"))
    assert [path.name for path in killed.aside.iterdir()] == [".lock"]
