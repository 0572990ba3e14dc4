from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from curator.cli import cli
from curator.ui.running import POINTS, log_of, read_curve
from registry.store import Home
from tests.curator.ui.server import ROOT
from tests.curator.ui.ui_home import Made, write_trial


@pytest.fixture
def home(made: Made, tmp_path: Path) -> Home:
    """A home of this test with the mixes and trials of the hostile one."""
    for stage in ("mixes", "trials"):
        shutil.copytree(made.home.stage(stage), tmp_path / stage)
    return Home(tmp_path)


def told(home: Home, *options: str) -> str:
    result = CliRunner().invoke(cli, ["watch", *options, "--home", str(home.path)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_board_is_that_of_the_mixes_best_first(home: Home, made: Made) -> None:
    found = json.loads(told(home, "--json"))
    assert [(row["mix"], row["mme"], row["scienceqa_test"], row["trials"]) for row in found["mixes"]] == [
        (made.all, 47.0, 65.25, 2),
        (made.mix, 42.25, 65.625, 2),
    ]
    assert found["mixes"][0]["average"] == pytest.approx(56.125)
    assert (found["trials"], found["making"]) == (4, [])
    assert json.loads(told(home, "trial-0", "--json"))["trials"] == 1
    lines = told(home, "--once").splitlines()
    assert next(line for line in lines if line.startswith(made.mix)).split()[1:] == ["2", "42.2", "65.6", "53.9"]


def test_a_mix_without_all_scores_has_no_average_and_stands_last(home: Home, made: Made) -> None:
    shutil.rmtree(home.stage("trials"))
    write_trial(home, "half", made.mix, 9, {"mme": 99.0})
    write_trial(home, "whole", made.all, 10, {"mme": 9.0, "scienceqa_test": 9.0})
    rows = json.loads(told(home, "--json"))["mixes"]
    assert [(row["mix"], row["average"]) for row in rows] == [(made.all, 9.0), (made.mix, None)]


def test_an_empty_home_is_said_to_be_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["watch", "--home", str(tmp_path / "none")])
    assert (result.exit_code, "there is no data home" in result.stderr) == (0, True)


def test_a_terminal_shows_what_changes_until_it_is_interrupted(
    home: Home, made: Made, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    hostile = home.aside / "bad\x1b]0;title\x07-s0.12.3"
    log_of(hostile).parent.mkdir(parents=True)
    log_of(hostile).write_text('{"loss": 1.5, "step": 1}\n')
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "curator", "watch", "--every", "0.2", "--home", str(home.path)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
    with (hostile / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = subprocess.Popen(command, stdout=theirs, stdin=theirs, cwd=ROOT, env=environment)
        os.close(theirs)
        seen = _until(ours, "step 1, loss 1.500", "")
        assert "4 trials finished, 1 being made" in seen
        assert "bad\\x1b]0;title\\x07-s0" in seen
        assert "\x1b]0;" not in seen
        write_trial(home, "fresh", made.mix, 11, {"mme": 90.0})
        log_of(hostile).write_text('{"loss": 1.5, "step": 1}\n{"loss": 0.25, "step": 2}\n')
        seen = _until(ours, "step 2, loss 0.250", seen)
        assert "5 trials finished" in seen
        child.send_signal(signal.SIGINT)
        try:
            assert child.wait(20) == 0
        finally:
            child.kill()
            child.wait()
    os.close(ours)


def _until(terminal: int, words: str, seen: str) -> str:
    """What the terminal showed until these words came."""
    end = time.monotonic() + 60
    while words not in seen:
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536).decode("utf-8", errors="replace")
    return seen


def test_a_long_log_is_thinned_without_its_ends_and_spikes(tmp_path: Path) -> None:
    losses = [2.0 - step / 10_000 for step in range(3000)]
    losses[1234] = 50.0
    log = tmp_path / "log.jsonl"
    log.write_text("".join(f'{{"loss": {loss}}}\n' for loss in losses) + "not json\n")
    curve = read_curve(log)
    assert curve is not None
    assert (curve.first, curve.last, curve.least) == (losses[0], losses[-1], min(losses))
    assert len(curve.line.split()) <= POINTS + 2
    highest = min(float(point.split(",")[1]) for point in curve.line.split())
    assert highest == pytest.approx(320 * (1 - 50 / 60), abs=0.1)  # the axis ends at 60
    assert curve.steps == 3000


@pytest.mark.parametrize(
    "text",
    ["", "\n", "garbage", '{"loss": "x"}\n', '{"loss": NaN}\n', "[1]\n", '{"lo', '{"loss": 1e999}\n', '{"loss": 1.5'],
)
def test_a_log_without_a_loss_has_no_curve(tmp_path: Path, text: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(text)
    assert read_curve(log) is None
    assert read_curve(tmp_path / "nothing") is None
