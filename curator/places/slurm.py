"""Slurm, by submitit: job arrays, one element a task.

Partition, account, time and memory are Slurm's business and are taken from its own variables (``SBATCH_PARTITION``,
``SBATCH_ACCOUNT``, ``SBATCH_TIMELIMIT``, ``SBATCH_MEM_PER_NODE`` …), which win over what is written in a job.
``address`` is nothing, or ``local``: submitit's own processes of this machine, to try a run out.

submitit hands functions and results over in pickles of its own. They are its files, written by our own jobs into a
private folder of the data home for the time of the run; no data of a dataset is ever read that way.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from curator.places.local import processors
from curator.runner import Function, Place
from curator.visit import Outcome, Ticket, attempt, ticket
from registry.errors import Refusal

HERE = "local"
ARRAY_TASKS = 1000
"""Elements of one array: Slurm's own bound is 1,001 unless a site raises it."""
DAY_MINUTES = 24 * 60
"""Time limit of a task where ``SBATCH_TIMELIMIT`` says nothing."""
LOOK_SECONDS = 1.0
LOOK_SECONDS_HERE = 0.05
QUEUE_SECONDS = 5.0
"""Seconds between two questions to Slurm."""
LATE_SECONDS = 15.0
"""Seconds after the end of a job in which its result may still be on its way through a network file system."""
LOG_LINES = 5


@contextlib.contextmanager
def crew(function: Function[Any], place: Place) -> Iterator[SlurmCrew]:
    """Jobs of a cluster, or of submitit's stand-in for one."""
    assert place.home is not None, "every node must see the data home, so it must be named"
    if place.address not in (None, HERE):
        way_out = f"run on a login node of the cluster without --address, or with '{HERE}' to try it here"
        raise Refusal(f"Slurm at '{place.address}'", "Slurm has no addresses", way_out)
    submitit = _library()
    with ticket(place.home) as checked:
        jobs = SlurmCrew(submitit, function, checked, place)
        try:
            yield jobs
        finally:
            jobs.cancel()


class SlurmCrew:
    """Jobs under way."""

    def __init__(self, submitit: ModuleType, function: Function[Any], checked: Ticket, place: Place) -> None:
        self._function = function
        self._ticket = checked
        self._here = place.address == HERE
        self._workers = place.workers or (processors() if self._here else ARRAY_TASKS)
        self._failed = submitit.core.utils.FailedJobError
        self._pause = LOOK_SECONDS_HERE if self._here else LOOK_SECONDS
        self._jobs: dict[int, Any] = {}
        self._queue = _Queue()
        self._missed: dict[str, float] = {}
        self._folder = checked.token.parent / "jobs"
        try:
            self._executor = submitit.AutoExecutor(self._folder, cluster="local" if self._here else "slurm")
        except RuntimeError:
            way_out = f"run on a login node of the cluster, or say --address {HERE} to try it on this machine"
            raise Refusal("--on slurm", "there is no Slurm here ('srun' is not found)", way_out) from None
        self._executor.update_parameters(
            name="vlm-curator",
            timeout_min=DAY_MINUTES,
            cpus_per_task=place.processors,
            **({"slurm_gpus_per_node": place.gpus} if place.gpus and not self._here else {}),
            stderr_to_stdout=True,
            slurm_array_parallelism=self._workers,
        )

    def room(self) -> int:
        """What one array holds: Slurm keeps to the number of workers itself. submitit's processes start at once."""
        return self._workers if self._here else ARRAY_TASKS

    def start(self, tasks: Mapping[int, Any]) -> None:
        """Submit tasks as one array."""
        try:
            with _silent_children() if self._here else contextlib.nullcontext(), self._executor.batch():
                jobs = [self._executor.submit(attempt, self._function, task, self._ticket) for task in tasks.values()]
        except RuntimeError as error:
            what = f"the jobs are not accepted ({_tail(str(error))})"
            way_out = "SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT … say what to ask for"
            raise Refusal("sbatch", what, way_out) from None
        self._jobs |= dict(zip(tasks, jobs, strict=True))

    def ended(self) -> Iterator[tuple[int, Outcome]]:
        """Look at all jobs until one has ended."""
        while True:
            with contextlib.suppress(OSError):  # a change, so that a network file system looks again
                self._folder.touch()
            whole = [number for number, job in self._jobs.items() if job.paths.result_pickle.exists()]
            for number in whole:
                yield number, self._result(self._jobs.pop(number))
            dead = [number for number, job in self._jobs.items() if self._is_dead(job)]
            for number in dead:
                yield number, _death(self._jobs.pop(number))
            if whole or dead:
                return
            time.sleep(self._pause)

    def cancel(self) -> None:
        """Take back what is queued or runs."""
        if self._here:
            for job in self._jobs.values():
                job.cancel()
            while not all(job.done() for job in self._jobs.values()):
                time.sleep(self._pause)
        elif self._jobs:
            arrays = {job.job_id.partition("_")[0] for job in self._jobs.values()}
            subprocess.run(["scancel", *sorted(arrays)], check=False)

    def _is_dead(self, job: Any) -> bool:
        """Whether a job has ended and will have no result."""
        if self._here:
            return bool(job.done()) and not job.paths.result_pickle.exists()
        if self._queue.holds(job.job_id):
            self._missed.pop(job.job_id, None)
            return False
        return time.monotonic() - self._missed.setdefault(job.job_id, time.monotonic()) > LATE_SECONDS

    def _result(self, job: Any) -> Outcome:
        try:
            outcome: Outcome = job.result()
        except self._failed as error:  # our own function raises nothing: it could not even be loaded
            what = f"cannot begin a task ({_tail(str(error))})"
            return Outcome(error=Refusal("a Slurm node", what, "install the same vlm-curator on every node"))
        return outcome


class _Queue:
    """What Slurm has of ours, waiting or running. ``squeue`` knows it everywhere; accounting is not kept everywhere."""

    def __init__(self) -> None:
        self._jobs: set[str] | None = None
        self._asked = float("-inf")

    def holds(self, job: str) -> bool:
        """Whether a job is in the queue, as far as is known."""
        if time.monotonic() - self._asked > QUEUE_SECONDS:
            command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i"]
            told = subprocess.run(command, capture_output=True, text=True, check=False)
            self._jobs = set(told.stdout.split()) if told.returncode == 0 else None
            self._asked = time.monotonic()
        return self._jobs is None or job in self._jobs


def _death(job: Any) -> Outcome:
    return Outcome(died=f"job {job.job_id} ended without a result: {_tail(job.stdout() or 'it said nothing')}")


@contextlib.contextmanager
def _silent_children() -> Iterator[None]:
    """What is started here has no stderr: submitit's own processes end with a traceback when they are cancelled."""
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


def _library() -> ModuleType:
    try:
        import submitit
    except ImportError:
        raise Refusal("--on slurm", "submitit is not installed", "pip install 'vlm-curator[slurm]'") from None
    logging.getLogger("submitit").setLevel(logging.CRITICAL)  # it would write to stdout, among our results
    return submitit


def _tail(text: str) -> str:
    """The last lines of a log, as one."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-LOG_LINES:] if line.strip())
