"""Tasks for tests of places. They lie in a module of their own so that other processes find them."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from registry.errors import Refusal
from registry.store import whole_file

PATIENCE = 60.0
"""Seconds after which a task that waits for its killer gives up."""


@dataclass(frozen=True)
class Copy:
    """Copies a file in capitals; ``trap`` is where it tells who does it, and where it finds out that it did before."""

    source: Path
    target: Path
    trap: Path | None = None


def copy(task: Copy) -> Iterator[int]:
    """Two rows a file, told one by one."""
    with whole_file(task.target) as aside:
        yield 1
        aside.write_text(task.source.read_text().upper())
        yield 1


def copy_after_a_death(task: Copy) -> Iterator[int]:
    """The first to come to a trap half writes the file, tells its process and node, and waits to be killed."""
    if task.trap is not None:
        try:
            with task.trap.open("x") as trap, whole_file(task.target) as aside:
                aside.write_text("half")
                trap.write(f"{os.getpid()} {_node()}\n")
                trap.flush()
                time.sleep(PATIENCE)
                raise AssertionError("nobody killed this process")
        except FileExistsError:
            pass
    yield from copy(task)


def copy_and_tell(task: Copy) -> Iterator[int]:
    """A slow copy that says in ``trap`` (a folder) which process makes which file."""
    assert task.trap is not None
    (task.trap / f"{task.target.name}.{os.getpid()}").touch()
    time.sleep(0.1)
    yield from copy(task)


def die(task: Copy) -> Iterator[int]:
    """Kills its own process, every time it comes to one of the files."""
    if task.source.name == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    yield from copy(task)


def refuse(task: Copy) -> Iterator[int]:
    """Refuses one file after the other has begun."""
    if task.source.name == "1":
        raise Refusal(f"file {task.source.name}", "cannot be read: ‘é’", "correct it")
    yield from copy(task)


def fail_to_open(task: Copy) -> Iterator[int]:
    """An error of the file system, as a full disk gives one."""
    yield len(task.source.with_name("not there").read_text())


def import_what_is_not_there(task: Copy) -> Iterator[int]:
    """A library that this node has not."""
    importlib.import_module("library_of_another_node")
    yield from copy(task)


def break_down(task: Copy) -> Iterator[int]:
    """A fault in the program."""
    yield 1 // int(task.source.name == "never")


def _node() -> str:
    """The Ray node this is on, without loading Ray where it is not."""
    ray = sys.modules.get("ray")
    return str(ray.get_runtime_context().get_node_id()) if ray is not None and ray.is_initialized() else "-"
