"""A score is killed with -9 at random instants: what was answered is never asked again, and the bytes are the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.store import Home
from tests.curator.data_home import file_bytes
from tests.trainers.test_score import table
from tests.trainers.toy import base_request, ignore, make_mix
from trainers.base_build import build_base
from trainers.workshop import Workshop

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("CURATOR_SCORE_KILLS", "5"))


class Scorer:
    """The process that forks those that are killed."""

    def __init__(self, base: Path, path: Path) -> None:
        command = [sys.executable, "-m", "tests.faults.slow_score", str(base), str(path)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, home: Home, batch: int) -> int:
        """Begin to score; the process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{home.path} {batch}\n")
        self.process.stdin.flush()
        return self.told()

    def told(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture
def scorer(tmp_path: Path) -> Iterator[Scorer]:
    world = Home(tmp_path / "world")
    mix = make_mix(world, "toy", list(range(32)))
    build_base(Workshop(), base_request(world, tmp_path / "base", mix[0]), ignore)
    found = Scorer(tmp_path / "base", table(tmp_path / "mme.tsv", pictures=100))
    yield found
    with found.process:  # closes its input, waits, closes its output
        pass
    assert found.process.returncode == 0


def replies_of(home: Home) -> bytes:
    """The kept lines that are whole."""
    paths = list(home.stage("models").glob("*/scores/.*.replies"))
    data = paths[0].read_bytes() if paths else b""
    return data[: data.rfind(b"\n") + 1]


def test_a_killed_score_goes_on_where_it_was(scorer: Scorer, tmp_path: Path) -> None:
    quiet, killed = Home(tmp_path / "quiet"), Home(tmp_path / "killed")
    scorer.start(quiet, 64)
    assert scorer.told() == 0
    chance, seen, grew = random.Random(1), b"", 0
    for number in range(KILLS):
        child = scorer.start(killed, 2 + number % 3)
        end = time.monotonic() + 60
        while len(replies_of(killed)) <= len(seen) and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        assert scorer.told() == -signal.SIGKILL, "the kills came too late"
        now = replies_of(killed)
        assert now.startswith(seen), "a kept reply was lost"
        grew += len(now) > len(seen)
        seen = now
    assert grew == KILLS
    assert not list(killed.stage("models").glob("*/scores/*.json"))
    scorer.start(killed, 64)
    assert scorer.told() == 0
    assert file_bytes(killed.stage("models")) == file_bytes(quiet.stage("models"))
    prompts = [line.split(b'"')[1] for line in seen.splitlines()]
    assert len(prompts) == len(set(prompts)), "a question was asked twice"
