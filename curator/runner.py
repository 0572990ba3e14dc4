"""Run one function over many files, in this process or in a pool of processes.

A task is a small value that names what is read and what is written. The function yields the rows it has done, so
that progress shows while it works. Every task writes a file of its own, aside and renamed, named by the task: how
many workers there were, which of them did what, and how often one died leaves no trace in the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

from registry.errors import Refusal

Task = TypeVar("Task")
Function = Callable[[Task], Iterator[int]]
"""Does one task and yields rows done; a function of a module, so that another process can find it."""

ATTEMPTS = 3
"""Times that a task is begun when its process dies (out of memory, killed): the third death is an error."""


@dataclass(frozen=True)
class Place:
    """Where tasks run. It is no part of any identity."""

    workers: int = 1
    """Processes; 1 means this one."""


HERE = Place()


def run(function: Function[Task], tasks: Sequence[Task], place: Place = HERE) -> Iterator[int]:
    """Do all tasks; yields rows done as they are reported. An exception of a task ends the run and is raised here."""
    if place.workers == 1 or len(tasks) <= 1:
        for task in tasks:
            yield from function(task)
    else:
        yield from _in_pool(function, tasks, place.workers)


def finish(function: Function[Task], task: Task) -> int:
    """Do one task to its end; the rows done."""
    return sum(function(task))


def _in_pool(function: Function[Task], tasks: Sequence[Task], workers: int) -> Iterator[int]:
    import multiprocessing

    left = dict(enumerate(tasks))
    # A process that is killed takes the pool with it: what it had not finished is begun again in a new one.
    for _attempt in range(ATTEMPTS):
        with ProcessPoolExecutor(min(workers, len(left)), multiprocessing.get_context("spawn")) as pool:
            futures: dict[Future[int], int] = {}
            try:
                futures = {pool.submit(finish, function, task): number for number, task in left.items()}
                for future in as_completed(futures):
                    rows = future.result()
                    del left[futures[future]]
                    yield rows
            except BrokenProcessPool:
                continue
            finally:
                for future in futures:
                    future.cancel()
        return
    raise Refusal(
        f"{len(left)} of {len(tasks)} tasks",
        f"their processes died {ATTEMPTS} times",
        "they may need more memory than there is: use fewer --workers",
    )
