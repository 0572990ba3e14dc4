"""Giving out tasks, processes of this machine, and what is asked of a place before anything is begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from curator import visit
from curator.places.local import processors
from curator.runner import Place, run
from registry.discovery import names, package_folder
from registry.errors import Refusal
from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import make_captions
from tests.curator.place_tasks import Copy, copy, copy_and_tell

ROOT = Path(__file__).parents[2]
FILES = 6
PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
from pathlib import Path
from curator.runner import Place, run
from tests.curator.place_tasks import Copy, copy_after_a_death

source, target, trap = map(Path, sys.argv[1:])
print(sum(run(copy_after_a_death, [Copy(source, target / str(n), trap / str(n)) for n in range(4)], Place(2))))
"""
"""Two tasks that wait to be killed, in two processes."""


@pytest.fixture
def tasks(tmp_path: Path) -> list[Copy]:
    for folder in ("in", "work/out", "told"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(FILES):
        (tmp_path / "in" / str(number)).write_text(f"text of file {number}")
    return [Copy(tmp_path / "in" / str(n), tmp_path / "work/out" / str(n), tmp_path / "told") for n in range(FILES)]


def makers(tasks: list[Copy]) -> set[int]:
    """Processes that made files."""
    told = tasks[0].trap
    assert told is not None
    return {int(path.suffix[1:]) for path in told.iterdir()}


def is_gone(number: int) -> bool:
    """Whether a process is no more; it is given some time."""
    for _ in range(500):
        try:
            if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_one_worker_is_this_process_and_tells_of_every_row(tasks: list[Copy]) -> None:
    assert list(run(copy_and_tell, tasks)) == [1] * 2 * FILES
    assert makers(tasks) == {os.getpid()}


def test_one_task_needs_no_other_process(tasks: list[Copy]) -> None:
    assert list(run(copy_and_tell, tasks[:1], Place(8))) == [1, 1]
    assert makers(tasks) == {os.getpid()}
    assert list(run(copy_and_tell, [], Place(8, "slurm", "local"))) == []


def test_processes_are_used_again_and_gone_at_the_end(tasks: list[Copy]) -> None:
    assert list(run(copy_and_tell, tasks, Place(2))) == [2] * FILES
    used = makers(tasks)
    assert len(used) == 2
    assert os.getpid() not in used
    assert all(map(is_gone, used))


def test_processes_are_gone_when_nobody_listens_any_more(tasks: list[Copy]) -> None:
    steps = run(copy_and_tell, tasks, Place(2))
    assert next(steps) == 2
    steps.close()  # type: ignore[attr-defined]  # it is a generator
    assert all(map(is_gone, makers(tasks)))
    assert len([task for task in tasks if task.target.exists()]) < FILES


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_a_parent_that_is_killed_or_interrupted(
    how: signal.Signals, tasks: list[Copy], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    command = [sys.executable, "-c", PARENT, *map(str, (tasks[0].source, tasks[0].target.parent, told))]
    parent = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while len(found := [path for path in told.iterdir() if path.read_text().endswith("\n")]) < 2:
        assert parent.poll() is None
        time.sleep(0.01)
    workers = {int(path.read_text().split()[0]) for path in found}
    if how == signal.SIGINT:  # as a terminal does it: the whole group
        os.killpg(parent.pid, signal.SIGINT)
    else:
        parent.kill()
    _, said = parent.communicate(timeout=60)
    assert said.count("Traceback") == (how == signal.SIGINT), "one of the parent's own, none of the workers'"
    assert all(map(is_gone, workers))
    assert not any(task.target.exists() for task in tasks)


def test_there_are_as_many_workers_as_processors_when_none_are_named(tasks: list[Copy]) -> None:
    assert sum(run(copy_and_tell, tasks, Place(0))) == 2 * FILES
    assert len(makers(tasks)) == min(processors(), FILES)


def test_a_node_that_does_not_see_the_data_home_is_refused(tasks: list[Copy], tmp_path: Path) -> None:
    home, other = Home(tmp_path / "home"), tmp_path / "other machine"
    other.write_text("a file of the same name")
    with visit.ticket(home.path) as good:
        assert visit.attempt(copy, tasks[0], good) == visit.Outcome(rows=2)
        for token in (other, tmp_path / "nowhere"):
            error = visit.attempt(copy, tasks[1], replace(good, token=token)).error
            assert isinstance(error, Refusal)
            assert "does not see the data home" in str(error)
    late = visit.attempt(copy, tasks[1], good).error
    assert isinstance(late, Refusal), "what is left in a queue after the end of its run does nothing"
    assert [task.target.name for task in tasks if task.target.exists()] == ["0"]
    assert [path.name for path in home.aside.iterdir()] == [".lock"]


def test_the_versions_tell_apart_what_makes_other_bytes() -> None:
    assert set(visit.versions()) == {"vlm-curator", "python", "numpy", "pillow", "pyarrow"}
    assert visit.versions() == visit.versions.__wrapped__()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--on", "rey"], "there is no such place; did you mean 'ray'?"),
        (["--address", "auto"], "say --on ray or --on slurm"),
        (["--on", "ray", "--address", "127.0.0.1:1"], "cannot be joined ([Errno 111] Connection refused)"),
        (["--on", "ray", "--address", "nonsense"], "cannot be joined (Invalid address format"),
        (["--on", "slurm", "--address", "there"], "Slurm has no addresses"),
        (["--on", "slurm"], "there is no Slurm here"),
    ],
)
def test_a_place_that_is_not_there_is_refused(
    options: list[str],
    words: str,
    curator: Curator,
    home_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_captions(Home(home_path), tmp_path, "pics", 2)
    monkeypatch.setenv("PATH", str(tmp_path))  # a machine with Slurm would have srun
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    result = curator("filter", "pics", "--filter", "text_length", *options)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "way out:" in result.stderr


@pytest.mark.parametrize(("on", "library", "extra"), [("ray", "ray", "ray"), ("slurm", "submitit", "slurm")])
def test_a_library_that_is_missing_is_named(
    on: str, library: str, extra: str, tasks: list[Copy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(Refusal, match=rf"pip install 'vlm-curator\[{extra}\]'"):
        list(run(copy, tasks, Place(2, on, None, tmp_path / "home")))


def test_the_help_names_every_place() -> None:
    from curator.commands.filter import command

    [option] = [option for option in command.params if option.name == "on"]
    assert option.metavar == "|".join(names(package_folder("curator.places"), ".py"))


@pytest.mark.parametrize("text", ["-1", "many", "1.5"])
def test_what_is_no_number_of_workers_is_wrong_usage(text: str, curator: Curator) -> None:
    result = curator("filter", "pics", "--workers", text)
    assert result.exit_code == 2
    assert "--workers" in result.stderr
