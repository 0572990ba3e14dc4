"""The same tasks in this process, in processes, on two Ray nodes and in Slurm jobs: the same bytes, deaths or not."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curator import visit
from curator.runner import ATTEMPTS, Function, Place, run
from registry.errors import Refusal
from registry.store import Home
from tests.curator.data_home import file_bytes, make_captions
from tests.curator.place_tasks import (
    Copy,
    break_down,
    copy,
    copy_after_a_death,
    die,
    fail_to_open,
    import_what_is_not_there,
    refuse,
)
from tests.ray_cluster import Cluster

ROOT = Path(__file__).parents[2]
FILES = 3
GivePlace = Callable[[str], Place]
pytestmark = pytest.mark.xdist_group("ray")

RAY_SAYS = re.compile(r"(\x1b\[\d+m)?\((raylet|autoscaler)\b|\t\(\d\) raylet ")
EVERY_PLACE = pytest.mark.parametrize("on", ["local", "ray", "slurm"])


@pytest.fixture(scope="module")
def joined(_ray_nodes: Cluster) -> Iterator[Cluster]:
    """The cluster, joined by this process: its workers serve one test after the other, which saves their start."""
    import ray

    ray.init(address=_ray_nodes.address, log_to_driver=False, configure_logging=False)
    yield _ray_nodes
    ray.shutdown()


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> GivePlace:
    """Two workers on a kind of place; the cluster is started when the first test asks for it."""

    def give(on: str) -> Place:
        if on == "ray":
            request.getfixturevalue("joined")
            request.getfixturevalue("ray_cluster")
        return Place(2, on, "local" if on == "slurm" else None, tmp_path / "home")

    return give


@pytest.fixture
def tasks(tmp_path: Path) -> list[Copy]:
    for folder in ("in", "work/out"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(FILES):
        (tmp_path / "in" / str(number)).write_text(f"text of file {number}\n" * (number + 1))
    return [Copy(tmp_path / "in" / str(n), tmp_path / "work" / "out" / str(n)) for n in range(FILES)]


def written(tasks: list[Copy]) -> dict[str, str]:
    return {task.target.name: task.target.read_text() for task in tasks if task.target.exists()}


def wanted(tasks: list[Copy]) -> dict[str, str]:
    return {task.target.name: task.source.read_text().upper() for task in tasks}


def on_arrival(trap: Path, act: Callable[[int, str], None]) -> threading.Thread:
    """Do something to the process that tells its number in a trap."""

    def watch() -> None:
        ends = time.monotonic() + 60
        while time.monotonic() < ends and not (trap.exists() and trap.read_text().endswith("\n")):
            time.sleep(0.01)
        number, node = trap.read_text().split()
        act(int(number), node)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@EVERY_PLACE
def test_every_place_writes_the_same_files_and_counts_the_same_rows(
    on: str, place: GivePlace, tasks: list[Copy]
) -> None:
    assert sum(run(copy, tasks, place(on))) == 2 * FILES
    assert written(tasks) == wanted(tasks)
    assert [path.name for path in tasks[0].target.parent.parent.iterdir()] == ["out"]


@EVERY_PLACE
def test_a_task_whose_process_is_killed_is_begun_again(
    on: str, place: GivePlace, tasks: list[Copy], tmp_path: Path
) -> None:
    tasks[1] = replace(tasks[1], trap=tmp_path / "trap")
    killer = on_arrival(tmp_path / "trap", lambda number, _node: os.kill(number, signal.SIGKILL))
    rows = list(run(copy_after_a_death, tasks, place(on)))
    killer.join()
    assert sum(rows) == 2 * FILES
    assert written(tasks) == wanted(tasks)


def test_a_task_whose_node_is_gone_is_done_on_another(
    ray_cluster: Cluster, place: GivePlace, tasks: list[Copy], tmp_path: Path
) -> None:
    # Every task waits for the death of the node it is on; the head, which holds the cluster together, is spared.
    head = ray_cluster.head_node.node_id
    gone: list[str] = []
    one_at_a_time = threading.Lock()

    def remove(number: int, node: str) -> None:
        if node == head:
            os.kill(number, signal.SIGKILL)
            return
        with one_at_a_time:
            if node not in gone:
                gone.append(node)
                lost = next(n for n in ray_cluster.worker_nodes if n.node_id == node)
                ray_cluster.remove_node(lost, allow_graceful=False)

    # A busy machine may begin several tasks on the head: all of them are trapped, so that one is on the other node.
    tasks = [replace(task, trap=tmp_path / f"trap {n}") for n, task in enumerate(tasks)]
    watchers = [on_arrival(tmp_path / f"trap {n}", remove) for n in range(len(tasks))]
    rows = list(run(copy_after_a_death, tasks, place("ray")))
    for watcher in watchers:
        watcher.join()
    assert len(gone) == 1, "tasks that are spread over two nodes"
    assert sum(rows) == 2 * FILES
    assert written(tasks) == wanted(tasks)


@pytest.mark.parametrize("on", ["local", "slurm"])
def test_a_task_that_always_dies_is_given_up(on: str, place: GivePlace, tasks: list[Copy]) -> None:
    with pytest.raises(Refusal, match=f"died {ATTEMPTS} times") as refusal:
        list(run(die, tasks[:2], place(on)))
    assert str(tasks[0].source) in str(refusal.value)


@EVERY_PLACE
def test_a_refusal_arrives_whole(on: str, place: GivePlace, tasks: list[Copy]) -> None:
    with pytest.raises(Refusal) as refusal:
        list(run(refuse, tasks, place(on)))
    assert refusal.value.args == ("file 1", "cannot be read: ‘é’", "correct it")


@pytest.mark.parametrize("on", ["local", "ray"])
@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (fail_to_open, FileNotFoundError, "not there"),
        (break_down, RuntimeError, "ZeroDivisionError"),
        (import_what_is_not_there, Refusal, "lacks a library"),
    ],
)
def test_other_errors_arrive_too(
    on: str, function: Function[Copy], error: type[Exception], words: str, place: GivePlace, tasks: list[Copy]
) -> None:
    with pytest.raises(error, match=words):
        list(run(function, tasks, place(on)))


def test_a_node_with_other_code_is_refused(
    place: GivePlace, tasks: list[Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**visit.versions(), "pyarrow": "1.0"}
    monkeypatch.setattr(visit, "versions", lambda: told)
    with pytest.raises(Refusal, match=r"node '.+': runs other code than this machine \(pyarrow: '1.0' -> '\d+"):
        list(run(copy, tasks, place("ray")))
    assert written(tasks) == {}


@pytest.mark.parametrize(
    "on",
    [["--workers", "2"], ["--on", "ray"], ["--on", "ray", "--address"], ["--on", "slurm", "--address", "local"]],
    ids=" ".join,
)
def test_a_measure_made_by_the_command_is_the_same_anywhere(
    on: list[str], small_files: Path, measured_alone: dict[str, Any], ray_cluster: Cluster
) -> None:
    """As a process; a Ray of the command's own is gone when it ends."""
    options = [*on, ray_cluster.address] if on[-1] == "--address" else on
    assert run_filter(small_files, [*options, "--workers", "2"]) == measured_alone
    assert processes_naming(str(small_files)) == []
    assert [path.name for path in (small_files / "aside").iterdir()] == [".lock"]


@pytest.fixture(scope="module")
def measured_alone(small_files: Path) -> dict[str, Any]:
    """What one process prints and writes."""
    alone = run_filter(small_files, [])
    assert len([name for name in alone["files"] if name.endswith(".parquet")]) > 2
    return alone


def run_filter(home: Path, options: list[str]) -> dict[str, Any]:
    """Measure afresh; what was printed and written."""
    shutil.rmtree(home / "measures", ignore_errors=True)
    command = [sys.executable, "-m", "curator", "filter", "pics", "--filter", "blank_image", "--json", *options]
    environment = {**os.environ, "CURATOR_HOME": str(home), "PYTHONPATH": str(ROOT)}
    del environment["RAY_AUTH_MODE"]  # as a user has it: a token, and no more
    child = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, check=False, timeout=120)
    # Ray tells of its nodes, such as that one is missed, as the one that a test before this killed; we say nothing.
    said = [line for line in child.stderr.splitlines() if not RAY_SAYS.match(line)]
    assert (child.returncode, said) == (0, [])
    return {"printed": json.loads(child.stdout), "files": file_bytes(home / "measures")}


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory, _ray_settings: None) -> Path:
    """A home with a dataset in three files."""
    folder = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curator.normalise.ROWS_PER_GROUP", 10)
        patch.setattr("curator.normalise.ROWS_PER_FILE", 10)
        make_captions(Home(folder / "home"), folder, "pics", 25)
    return folder / "home"


DEATHS = """
import sys
from pathlib import Path
from curator.runner import Place, run
from tests.curator.place_tasks import Copy, die

home, address = sys.argv[1:]
print(sum(run(die, [Copy(Path("0"), Path("out"))], Place(1, "ray", address, Path(home)))))
"""


def test_a_task_that_always_dies_on_ray_is_given_up_and_ray_says_nothing_among_the_results(
    ray_cluster: Cluster, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", DEATHS, str(tmp_path / "home"), ray_cluster.address]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert "died 3 times" in child.stderr
    assert child.stdout == ""


def processes_naming(text: str) -> list[str]:
    """Command lines and environments of processes, other than this one, that hold a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if int(folder.name) != os.getpid() and text in command + environment:
            found.append(command)
    return found
