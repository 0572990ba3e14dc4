"""The live table listens to trainers: what it shows is what was scored, what it foretells is the pace so far."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading

import pytest

from curator import live
from curator.live import StudyTable
from curator.study import Candidate, Run, Study
from curator.trials import Event
from registry.trial import DecisionRule

STUDY = Study(
    name="made-up \x1b[31m[bold]",
    baseline="base",
    candidates=(Candidate("a", "a", "science"), Candidate("b", "b", "chart")),
    benchmarks=("mme", "mmbench"),
    rule=DecisionRule(),
    categories=("science", "chart"),
)
FIRST = [Run(joined, seed) for joined in ((), ("a", "b")) for seed in (0, 1)]
SECOND = [Run(("a",), seed) for seed in (0, 1)]


class Clock:
    """Stands in for the clock of the table."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live, "time", clock)
    return clock


@pytest.fixture
def table(clock: Clock) -> StudyTable:
    return StudyTable(STUDY, _begun=clock.monotonic())


def started(label: str, job: int = 0) -> Event:
    return {"event": "started", "label": label, "job": job}


def progress(label: str, step: int, job: int = 0) -> Event:
    return {"event": "progress", "label": label, "job": job, "step": step, "steps": 10, "loss": 1.25}


def trained(label: str, job: int = 0) -> Event:
    return {"event": "done", "label": label, "job": job, "id": 1, "folder": "x", "cached": False}


def scored(label: str, score: float, job: int = 0) -> Event:
    return {"event": "done", "label": label, "job": job, "id": 2, "folder": "x", "cached": False, "score": score}


def drawn(table: StudyTable) -> str:
    """The table as a terminal of 120 columns would show it, without colours."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=120).print(table._render())
    return out.getvalue()


def row(text: str, start: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.strip().startswith(start)]
    return line.split()


def test_scores_stand_in_their_column_as_means_over_seeds(table: StudyTable) -> None:
    for seed, mme, mmbench in ((0, 50.0, 30.0), (1, 52.0, 33.0)):
        table.listen(started(f"base-s{seed} · mme"))
        table.listen(scored(f"base-s{seed} · mme", mme))
        table.listen(scored(f"base-s{seed} · mmbench", mmbench))
    assert row(drawn(table), "base ") == ["base", "51.0", "31.5", "41.2"]


def test_what_is_not_scored_yet_is_open_and_so_is_its_average(table: StudyTable) -> None:
    table.listen(scored("base+a-s0 · mmbench", 40.0))
    assert row(drawn(table), "base+a") == ["base+a", "…", "40.0", "…"]


def test_running_trials_show_their_step_and_loss_until_they_are_done(table: StudyTable) -> None:
    table.listen(started("base-s0", 3))
    table.listen(progress("base-s0", 7, 3))
    assert row(drawn(table), "running") == ["running", "base-s0", "7/10", "loss", "1.250"]
    table.listen(trained("base-s0", 3))
    assert "running" not in drawn(table)
    table.listen(progress("base-s0", 8, 3))
    assert "running" not in drawn(table)


def test_two_jobs_are_told_apart(table: StudyTable) -> None:
    for job in (0, 1):
        table.listen(started(f"base-s{job}", job))
        table.listen(progress(f"base-s{job}", job + 1, job))
    text = drawn(table)
    assert "base-s0  1/10" in text
    assert "base-s1  2/10" in text


def test_foreign_text_cannot_draw_for_itself(table: StudyTable) -> None:
    table.listen(started("[red]x[/blue] \x1b[2J"))
    table.listen(scored("[/] · mme", 1.0, job=1))
    text = drawn(table)
    assert "\x1b" not in text
    assert "[red]x[/blue] \\x1b[2J" in text
    assert "made-up \\x1b[31m[bold]" in text


def test_nothing_is_foretold_before_a_trial_is_trained(table: StudyTable, clock: Clock) -> None:
    table.on_wave(FIRST)
    clock.now += 50
    table.listen(started("base-s0"))
    table.listen(scored("base-s0 · mme", 50.0))
    assert table.eta_seconds() is None


def test_the_time_left_is_that_of_the_runs_left_at_the_pace_so_far(table: StudyTable, clock: Clock) -> None:
    table.on_wave(FIRST)
    for number in range(4):
        clock.now += 10
        table.listen(trained(f"run{number}"))
    assert table.eta_seconds() == pytest.approx(4 * 10)  # 2 seeds x (2 candidates + 2) = 8 runs
    table.on_wave(SECOND)
    clock.now += 10
    table.listen(trained("base+a-s0"))
    assert table.eta_seconds() == pytest.approx(3 * 10)


def test_runs_that_were_found_finished_are_not_waited_for(table: StudyTable, clock: Clock) -> None:
    """A study that goes on: of the first wave only one trial was missing."""
    table.on_wave(FIRST)
    clock.now += 10
    table.listen(trained("run3"))
    table.on_wave(SECOND)
    assert table.eta_seconds() == pytest.approx(4 * 10)


def test_runs_beyond_the_plan_count_when_they_are_asked_for(table: StudyTable, clock: Clock) -> None:
    for wave in (FIRST, SECOND, [Run(("a", "b"), seed) for seed in range(2, 8)]):
        table.on_wave(wave)
    clock.now += 10
    table.listen(trained("late"))
    assert table.eta_seconds() == pytest.approx(5 * 10)


def test_elsewhere_than_on_a_terminal_a_line_is_written_for_each_trial(
    table: StudyTable, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with table:
        table.on_wave(FIRST)
        clock.now += 9
        table.listen(trained("base-s0"))
        table.listen(scored("base-s0 · mme", 50.0))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "trained base-s0 · about 1:03 left\n"


def test_a_quiet_table_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with StudyTable(STUDY, quiet=True) as table:
        table.on_wave(FIRST)
        table.listen(trained("base-s0"))
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")
def test_on_a_terminal_the_table_draws_on_stderr_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    master, slave = os.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # how Linux says that nobody has the terminal open any more
            while data := os.read(master, 4096):
                shown.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with StudyTable(STUDY) as table:
            table.on_wave(FIRST)
            table.listen(trained("base-s0"))
            table.listen(scored("base-s0 · mme", 50.0))
    reader.join()
    os.close(master)
    assert b"1 trials trained" in b"".join(shown)
    assert capsys.readouterr().out == ""
