"""Processes of this machine. One that is killed takes its task with it and nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from curator.runner import Function, Place
from curator.visit import Outcome, attempt


@contextlib.contextmanager
def crew(function: Function[Any], place: Place) -> Iterator[LocalCrew]:
    """Processes that are started when there is something to do, and killed at the end."""
    processes = LocalCrew(function, place.workers or processors())
    try:
        yield processes
    finally:
        processes.kill()


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: a container or a batch system may give fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection[Any, Any]

    def outcome(self) -> Outcome | None:
        """What it sent, or how it died; None when neither has happened."""
        alive = self.process.is_alive()  # asked first: what it sent before it died is then in the pipe
        try:
            if self.pipe.poll():
                sent: Outcome = self.pipe.recv()
                return sent
        except (EOFError, OSError):  # it died before or while it sent
            self.process.join()
            alive = False
        return None if alive else Outcome(died=_how(self.process.exitcode or 0))


class LocalCrew:
    """A process for each task that is under way, used again for the next one."""

    def __init__(self, function: Function[Any], workers: int) -> None:
        self._function = function
        self._workers = workers
        self._idle: list[_Worker] = []
        self._busy: dict[int, _Worker] = {}

    def room(self) -> int:
        """As many as there are to be processes."""
        return self._workers

    def start(self, tasks: Mapping[int, Any]) -> None:
        """Give each task to a process that is idle, or to a new one."""
        for number, task in tasks.items():
            worker = self._idle.pop() if self._idle else self._new()
            self._busy[number] = worker
            with contextlib.suppress(OSError):  # it died while it was idle: found as any death is
                worker.pipe.send(task)

    def ended(self) -> Iterator[tuple[int, Outcome]]:
        """Wait for a reply or a death."""
        wait([item for worker in self._busy.values() for item in (worker.pipe, worker.process.sentinel)])
        for number, worker in list(self._busy.items()):
            outcome = worker.outcome()
            if outcome is None:
                continue
            del self._busy[number]
            if not outcome.died:
                self._idle.append(worker)
            yield number, outcome

    def kill(self) -> None:
        """End every process, whatever it does: what it has not renamed into place is not there."""
        workers = [*self._idle, *self._busy.values()]
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.pipe.close()

    def _new(self) -> _Worker:
        context = get_context("spawn")  # a fork of a process with threads (pyarrow's) may hang
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._function), daemon=True)
        with _without_interrupts():
            process.start()
        theirs.close()
        return _Worker(process, ours)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here never sees Ctrl-C (the mask is inherited): this process alone answers it, and kills."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection[Any, Any], function: Function[Any]) -> None:
    """The life of a process: a task in, an outcome out, until there is no parent any more."""
    Thread(target=_die_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        while True:
            pipe.send(attempt(function, pipe.recv()))


def _die_with_parent() -> None:
    """A parent that was killed leaves nobody at work: the same command may be running again already."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _how(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"
