"""Run one function over many files: in this process, in processes of this machine, or on many machines.

A task is a small value that names what is read and what is written. The function yields the rows it has done, so
that progress shows while it works. Every task writes a file of its own, aside and renamed, named by the task: how
many workers there were, where they were, which of them did what, and how often one died leaves no trace in the bytes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from registry.discovery import load_module
from registry.errors import Refusal

if TYPE_CHECKING:
    from curator.visit import Outcome

Task = TypeVar("Task")
Function = Callable[[Task], Iterator[int]]
"""Does one task and yields rows done; a function of a module, so that another process can find it."""

PLACES = "curator.places"
LOCAL = "local"
ATTEMPTS = 3
"""Times that a task is begun when its process dies (out of memory, killed, node gone): the third death is an error."""


@dataclass(frozen=True)
class Place:
    """Where tasks run. It is no part of any identity."""

    workers: int = 1
    """Tasks at once; 1 on ``local`` means this process, 0 as many as the place has processors."""
    on: str = LOCAL
    """A module of ``curator.places``."""
    address: str | None = None
    """Which one of them; what it means is the place's business."""
    home: Path | None = None
    """The data home, that every machine must see; needed by places that are more than one."""
    processors: int = 1
    """That one task takes."""
    gpus: int = 0
    """That one task takes."""

    def check(self) -> None:
        """Raise Refusal for a place that does not exist."""
        load_module(PLACES, self.on, "place")
        if self.on == LOCAL and self.address is not None:
            raise Refusal(f"address '{self.address}'", "this machine has no address", "say --on ray or --on slurm")


HERE = Place()


class Crew(Protocol):
    """Processes at a place that do tasks; every task is known by a number."""

    def room(self) -> int:
        """Tasks that may be under way at once, now."""

    def start(self, tasks: Mapping[int, Any]) -> None:
        """Begin tasks; never more than there is room for."""

    def ended(self) -> Iterator[tuple[int, Outcome]]:
        """Wait until a task has ended; those that have, and what came of them."""


Gather = Callable[[Function[Any], Place], AbstractContextManager[Crew]]
"""``crew`` of a place's module."""


def run(function: Function[Task], tasks: Sequence[Task], place: Place = HERE) -> Iterator[int]:
    """Do all tasks; yields rows done as they are reported. An exception of a task ends the run and is raised here."""
    if place.on == LOCAL and (place.workers == 1 or len(tasks) <= 1):
        for task in tasks:
            yield from function(task)
    elif tasks:
        gather: Gather = load_module(PLACES, place.on, "place").crew
        with gather(function, place) as crew:
            yield from _shared_out(crew, tasks)


def _shared_out(crew: Crew, tasks: Sequence[Any]) -> Iterator[int]:
    """Give a crew what it has room for until all is done; a task whose process died is begun again, after the rest."""
    waiting, under_way, deaths = deque(range(len(tasks))), 0, Counter[int]()
    while waiting or under_way:
        given = [waiting.popleft() for _ in range(min(len(waiting), crew.room() - under_way))]
        if given:
            crew.start({number: tasks[number] for number in given})
            under_way += len(given)
        for number, outcome in crew.ended():
            under_way -= 1
            if outcome.error is not None:
                raise outcome.error
            if outcome.died:
                deaths[number] += 1
                if deaths[number] == ATTEMPTS:
                    raise _hopeless(tasks[number], outcome)
                waiting.append(number)
            else:
                yield outcome.rows


def _hopeless(task: Any, outcome: Outcome) -> Refusal:
    return Refusal(
        str(getattr(task, "source", task)),
        f"the process that worked on it died {ATTEMPTS} times ({outcome.died})",
        "it may need more memory than there is: use fewer --workers, or larger machines",
    )
