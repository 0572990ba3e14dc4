"""Trainer processes: real children that speak the protocol, and all that can go wrong with one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curator.trials import Event, Request, Trainer, Workers
from registry.errors import Refusal

CHILD = r"""
import json, os, pathlib, signal, sys, time

served = 0

def tell(number, event, **more):
    print(json.dumps({"id": number, "event": event, **more}), flush=True)

def wait_for(path):
    while not pathlib.Path(path).exists():
        time.sleep(0.01)

for line in sys.stdin:
    request = json.loads(line)
    number, do = request["id"], request["do"]
    served += 1
    if "begun" in request:
        pathlib.Path(request["begun"] + ".new").write_text(str(os.getpid()))
        os.replace(request["begun"] + ".new", request["begun"])
    if "wait_for" in request:
        wait_for(request["wait_for"])
    if do == "refuse":
        tell(number, "refused", where="mix 'x'", what="has no rows", way_out="build it again")
        continue
    if do == "crash":
        print("loading\nRuntimeError: out of memory\n\n", file=sys.stderr, flush=True)
        sys.exit(3)
    if do == "vanish":
        sys.exit(0)
    if do == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "deaf":
        sys.stdin.close(), sys.stdout.close(), os.close(0), os.close(1)
        sys.exit(5)
    if do == "chatter":
        print("a library says hello")
        print("3")
        print('{"id": "someone else", "event": "done"}')
        sys.stderr.buffer.write(b"\xff\xfe not text\n" + b"x" * 200_000 + b"\n")
        sys.stderr.flush()
    for step in range(request.get("steps", 0)):
        tell(number, "progress", step=step + 1, steps=request["steps"], loss=1.0)
    threads = os.environ["OMP_NUM_THREADS"]
    tell(number, "done", folder=request.get("name", ""), pid=os.getpid(), served=served, threads=threads)

if len(sys.argv) > 1:
    pathlib.Path(sys.argv[1], f"ended-{os.getpid()}").write_text("politely")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where children leave marks; trainers are the script above."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    monkeypatch.setattr(Trainer, "COMMAND", (sys.executable, "-I", "-S", str(script), str(tmp_path)))
    return tmp_path


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture(autouse=True)
def no_process_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every process that a test starts has ended, and was waited for: it is not even a zombie."""
    started: list[subprocess.Popen[str]] = []

    class Recorded(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    yield
    assert all(process.returncode is not None for process in started)
    assert all(gone(process.pid) for process in started)


def ask(do: str = "train", **more: Any) -> Request:
    return Request({"do": do, **more}, str(more.get("name", do)))


def wait_until(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether there is no such process, not even a dead one that nobody waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_trainer_is_our_own_package_in_another_process() -> None:
    assert Trainer.COMMAND[1:] == ("-m", "trainers", "serve")


def test_answers_come_in_the_order_of_the_jobs(folder: Path, heard: list[Event]) -> None:
    first = ask(name="first", wait_for=str(folder / "second-begun"))
    second = ask(name="second", begun=str(folder / "second-begun"))
    with Workers(2) as workers:
        answers = workers.run([[first], [second], [ask(name="third")]], heard.append)
    assert [[answer["folder"] for answer in job] for job in answers] == [["first"], ["second"], ["third"]]


def test_as_many_jobs_as_workers_run_at_once(folder: Path, heard: list[Event]) -> None:
    """Each waits for the other to have begun: one after the other they would wait for ever."""
    marks = [str(folder / name) for name in ("a", "b")]
    with Workers(2) as workers:
        answers = workers.run(
            [[ask(begun=marks[0], wait_for=marks[1])], [ask(begun=marks[1], wait_for=marks[0])]], heard.append
        )
    assert answers[0][0]["pid"] != answers[1][0]["pid"]


def test_the_requests_of_a_job_go_to_one_process_in_their_order(folder: Path, heard: list[Event]) -> None:
    jobs = [[ask(name=f"{job}.{step}") for step in range(3)] for job in range(4)]
    with Workers(2) as workers:
        answers = workers.run(jobs, heard.append)
    for job, done in enumerate(answers):
        assert [answer["folder"] for answer in done] == [f"{job}.{step}" for step in range(3)]
        assert len({answer["pid"] for answer in done}) == 1
        served = [answer["served"] for answer in done]
        assert served == list(range(served[0], served[0] + 3))


def test_processes_live_for_all_runs_and_end_politely(folder: Path, heard: list[Event]) -> None:
    with Workers(1) as workers:
        [[one]] = workers.run([[ask()]], heard.append)
        [[two]] = workers.run([[ask()]], heard.append)
        assert (one["pid"], one["served"], two["served"]) == (two["pid"], 1, 2)
    assert gone(one["pid"])
    assert (folder / f"ended-{one['pid']}").read_text() == "politely"


def test_without_a_job_no_process_is_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "COMMAND", ("/no/such/program",))
    with Workers(2) as workers:
        assert workers.run([], print) == []


def test_a_process_may_be_started_ahead(folder: Path, heard: list[Event]) -> None:
    with Workers(2) as workers:
        workers.warm_up()
        workers.warm_up()
        answers = workers.run([[ask()] for _ in range(6)], heard.append)
    assert len({answer["pid"] for [answer] in answers}) <= 2


def test_threads_reach_the_process(folder: Path, heard: list[Event]) -> None:
    with Workers(1, threads=3) as workers:
        assert workers.run([[ask()]], heard.append)[0][0]["threads"] == "3"


def test_the_listener_hears_everything_one_event_at_a_time(folder: Path) -> None:
    heard: list[Event] = []
    alone = threading.Lock()

    def listen(event: Event) -> None:
        assert alone.acquire(blocking=False), "two events at once"
        heard.append(event)
        time.sleep(0.001)
        alone.release()

    with Workers(2) as workers:
        workers.run([[ask(name=f"job{n}", steps=5)] for n in range(4)], listen)
    for number in range(4):
        mine = [event for event in heard if event["job"] == number]
        assert [event["event"] for event in mine] == ["started", *["progress"] * 5, "done"]
        assert [event["step"] for event in mine[1:-1]] == [1, 2, 3, 4, 5]
        assert {event["label"] for event in mine} == {f"job{number}"}


def test_chatter_between_events_and_on_stderr_disturbs_nothing(folder: Path, heard: list[Event]) -> None:
    with Workers(1) as workers:
        [[answer]] = workers.run([[ask("chatter", name="x", steps=1)]], heard.append)
    assert answer["folder"] == "x"
    assert [event["event"] for event in heard] == ["started", "progress", "done"]


def test_a_refusal_of_the_trainer_is_raised_as_it_is(folder: Path, heard: list[Event]) -> None:
    with Workers(1) as workers, pytest.raises(Refusal) as caught:
        workers.run([[ask("refuse")]], heard.append)
    assert (caught.value.where, caught.value.what, caught.value.way_out) == (
        "mix 'x'",
        "has no rows",
        "build it again",
    )


@pytest.mark.parametrize(
    ("do", "what"),
    [
        ("crash", "ended with status 3: RuntimeError: out of memory"),
        ("vanish", "ended with status 0: it left no message"),
        ("killed", "ended with status -9: it left no message"),
        ("deaf", "ended with status 5: it left no message"),
    ],
)
def test_a_trainer_that_dies_is_a_refusal_with_what_it_said_last(
    folder: Path, heard: list[Event], do: str, what: str
) -> None:
    with Workers(1) as workers, pytest.raises(Refusal) as caught:
        workers.run([[ask(do, name="base-s0")]], heard.append)
    assert caught.value.where == "trainer process, base-s0"
    assert caught.value.what == what


def test_a_trainer_that_cannot_even_start_is_a_refusal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "COMMAND", (sys.executable, "-I", "-S", "-m", "no_such_module_at_all"))
    with Workers(1) as workers, pytest.raises(Refusal, match="No module named no_such_module_at_all") as caught:
        workers.run([[ask()]], print)
    assert "vlm-curator[train]" in caught.value.way_out


def test_the_first_refusal_ends_the_wave_at_once(folder: Path, heard: list[Event]) -> None:
    """The first job would never end, the third must never begin."""
    endless = ask(name="endless", begun=str(folder / "endless-begun"), wait_for=str(folder / "never"))
    refused = ask("refuse", wait_for=str(folder / "endless-begun"))
    jobs = [[endless], [refused], [ask(begun=str(folder / "third-begun"))]]
    with Workers(2) as workers, pytest.raises(Refusal, match="has no rows"):
        workers.run(jobs, heard.append)
    assert gone(int((folder / "endless-begun").read_text()))
    assert not (folder / "third-begun").exists()


def test_after_a_refusal_fresh_processes_serve_the_next_wave(folder: Path, heard: list[Event]) -> None:
    with Workers(2) as workers:
        with pytest.raises(Refusal):
            workers.run([[ask("refuse")], [ask()]], heard.append)
        answers = workers.run([[ask(name="again")], [ask(name="and again")]], heard.append)
    assert [job[0]["folder"] for job in answers] == ["again", "and again"]


def test_an_error_of_the_listener_is_not_lost(folder: Path) -> None:
    def listen(event: Event) -> None:
        if event["event"] == "progress":
            raise KeyError("a table that cannot draw this")

    with Workers(1) as workers, pytest.raises(KeyError):
        workers.run([[ask(steps=1)]], listen)


def test_an_interrupted_study_waits_for_no_trial(
    folder: Path, heard: list[Event], request: pytest.FixtureRequest
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    begun, main = folder / "begun", threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_until(begun)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt), Workers(1) as workers:
        workers.run([[ask(begun=str(begun), wait_for=str(folder / "never"))]], heard.append)
    thread.join()
    assert gone(int(begun.read_text()))
    assert not list(folder.glob("ended-*"))


def test_an_error_between_two_waves_ends_the_processes_at_once(folder: Path, heard: list[Event]) -> None:
    def study() -> None:
        with Workers(2) as workers:
            workers.run([[ask()], [ask()]], heard.append)
            raise KeyError("a strategy that fails")

    with pytest.raises(KeyError):
        study()
    assert not list(folder.glob("ended-*"))
