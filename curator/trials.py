"""Runs trials: asks trainer processes to train and score, a few at a time, and never does a finished one again.

A trainer process (``python -m trainers serve``) lives as long as the wave of trials it serves, so interpreter and
model libraries start once. It is spoken to in JSON lines; results are read from the data home.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self

from registry.errors import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from curator.laboratory import Bench
    from curator.models import Model
    from registry.assembly import Assembly
    from registry.store import Home
    from registry.trial import Runtime, Settings

Event = dict[str, Any]
Listener = Callable[[Event], None]

STDERR_LINES = 40
"""Last lines of a trainer's log that are kept to explain a crash."""


@dataclass(frozen=True)
class Request:
    """One thing a trainer process is asked to do."""

    body: dict[str, Any]
    label: str
    """For people: what this is."""


def train_request(
    home: Home, name: str, settings: Settings, mix: Path, base: Path, runtime: Runtime | None = None
) -> Request:
    """Train the trial of these settings on the mix in folder ``mix``, from the checkpoint in ``base``."""
    body: dict[str, Any] = {
        "do": "train",
        "home": str(home.path),
        "name": name,
        "base": str(base),
        "settings": settings.model_dump(mode="json"),
        "mix": mix.name,
    }
    if runtime is not None:
        body["runtime"] = runtime.model_dump(mode="json")
    return Request(body, name)


def score_request(home: Home, name: str, trial: Path, bench: Bench, rules: str) -> Request:
    """Score a trial on one benchmark; ``name`` is the trial's for people."""
    body = {"do": "score", "trial": trial.name, **_asked(home, bench, rules)}
    return Request(body, f"{name} · {bench.name}")


def model_score_request(home: Home, model: tuple[str, str, str | None], bench: Bench, rules: str) -> Request:
    """Score a model on one benchmark: its folder's name in ``models/``, its checkpoint, a template of ours or None."""
    name, checkpoint, template = model
    body = {"do": "score-model", "model": name, "checkpoint": checkpoint, "template": template}
    return Request(body | _asked(home, bench, rules), f"{name} · {bench.name}")


def _asked(home: Home, bench: Bench, rules: str) -> dict[str, Any]:
    return {
        "home": str(home.path),
        "benchmark": bench.name,
        "table": str(bench.table),
        "rules": rules,
        **bench.replying._asdict(),
    }


def measure_request(
    home: Home, name: str, columns: Mapping[str, str], model: Model, files: Sequence[tuple[Path, Path]], threads: int
) -> Request:
    """Measure files of samples with a model; see ``curator.model_measure``."""
    body = {
        "do": "measure",
        "home": str(home.path),
        "filter": name,
        "columns": dict(columns),
        "checkpoint": str(model.folder),
        "template": model.template,
        "files": [{"source": str(source), "target": str(target)} for source, target in files],
        "runtime": {"threads": threads},
    }
    return Request(body, name)


def assemble_request(home: Home, name: str, digest: str, base: Assembly, vision: Model, llm: Model) -> Request:
    """Join a vision encoder and a language model to the base checkpoint of this digest."""
    body = {
        "do": "assemble",
        "home": str(home.path),
        "name": name,
        "digest": digest,
        "assembly": base.model_dump(mode="json"),
        "vision": str(vision.folder),
        "llm": str(llm.folder),
        "inputs": {base.vision: vision.digest, base.llm: llm.digest},
    }
    return Request(body, f"join {name}")


class Trainer:
    """One trainer process and the conversation with it."""

    COMMAND: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "trainers", "serve")

    def __init__(self, threads: int = 1) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        self._process = subprocess.Popen(
            self.COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",  # what a native library logs may be anything
            env=environment,
        )
        self._log: deque[str] = deque(maxlen=STDERR_LINES)
        self._ids = itertools.count(1)
        self._reader = threading.Thread(target=self._drain, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    def ask(self, request: Request, listen: Listener) -> Event:
        """Send one request and wait for its end; progress goes to ``listen``.

        Raises Refusal when the request is refused or the process dies.
        """
        for event in self.events(request):
            if event["event"] == "done":
                return event
            listen({**event, "label": request.label})
        raise AssertionError("unreachable: the events of a request end with 'done'")

    def events(self, request: Request) -> Iterator[Event]:
        """Send one request; its progress as it comes, and ``done`` last. Raises as ``ask`` does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        number = next(self._ids)
        try:
            self._process.stdin.write(json.dumps({**request.body, "id": number}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died(request) from None
        for line in self._process.stdout:
            event = self._event(line)
            if event is None or event.get("id") != number:
                continue
            if event["event"] == "refused":
                raise Refusal(event["where"], event["what"], event["way_out"])
            yield event
            if event["event"] == "done":
                return
        raise self._died(request)

    def kill(self) -> None:
        """End the process at once; what it had not finished is not there."""
        self._process.kill()

    def close(self, kill: bool = False) -> None:
        """End the process: politely by closing its input, or at once."""
        if kill:
            self.kill()
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _event(self, line: str) -> Event | None:
        """The event on a line; None for what a library printed between them, which is kept with the log."""
        with contextlib.suppress(json.JSONDecodeError):
            event = json.loads(line)
            if isinstance(event, dict):
                return event
        self._log.append(line.rstrip())
        return None

    def _drain(self, stream: IO[str] | None) -> None:
        assert stream is not None
        for line in stream:
            self._log.append(line.rstrip())

    def _died(self, request: Request) -> Refusal:
        status = self._process.wait()
        self._reader.join()
        told = next((line for line in reversed(self._log) if line.strip()), "it left no message")
        return Refusal(
            f"trainer process, {request.label}",
            f"ended with status {status}: {told}",
            "see that 'pip install vlm-curator[train]' was done and memory is free, then run the command again",
        )


class Workers:
    """A fixed number of trainer processes, started when they are first needed."""

    def __init__(self, count: int = 2, threads: int = 1) -> None:
        self.count = count
        self._threads = threads
        self._trainers: list[Trainer] = []
        self._idle: queue.SimpleQueue[Trainer] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._end(kill=kind is not None)

    def _end(self, kill: bool) -> None:
        """End every process and wait for it; the next run starts fresh ones."""
        for trainer in self._trainers:
            trainer.close(kill)
        self._trainers = []
        self._idle = queue.SimpleQueue()

    def warm_up(self) -> None:
        """Start the processes now, so that they import their libraries while something else is prepared."""
        while len(self._trainers) < self.count:
            self._trainers.append(Trainer(self._threads))
            self._idle.put(self._trainers[-1])

    def run(self, jobs: Sequence[Sequence[Request]], listen: Listener) -> list[list[Event]]:
        """Do all ``jobs``; the requests of one job go to one process in their order. Results in the order of the jobs.

        ``listen`` is called with every event, one at a time. The first refusal ends all processes at once and is
        raised: what was finished stays, what was running is not there, what had not begun never does.
        """
        if not jobs:
            return []
        self.warm_up()
        lock, stop = threading.Lock(), threading.Event()

        def tell(event: Event) -> None:
            with lock:
                listen(event)

        pool = ThreadPoolExecutor(self.count)
        try:
            futures = [pool.submit(self._one_job, number, job, tell, stop) for number, job in enumerate(jobs)]
            done = wait(futures, return_when=FIRST_EXCEPTION).done
            for future in [future for future in futures if future in done]:
                future.result()  # raises a refusal at once, whatever the jobs before it are still doing
            answers = [future.result() for future in futures]
        except BaseException:
            stop.set()
            for trainer in self._trainers:  # a thread that waits for a trainer ends when the trainer does
                trainer.kill()
            pool.shutdown(cancel_futures=True)
            self._end(kill=True)
            raise
        pool.shutdown()
        return answers

    def _one_job(self, number: int, requests: Sequence[Request], tell: Listener, stop: threading.Event) -> list[Event]:
        """The answers of one job. A job that fails keeps all others from beginning another request."""
        trainer = self._idle.get()
        answers = []
        try:
            for request in requests:
                if stop.is_set():
                    break
                tell({"event": "started", "label": request.label, "job": number})
                answer = trainer.ask(request, lambda event: tell({**event, "job": number}))
                answers.append(answer)
                tell({**answer, "label": request.label, "job": number})
        except BaseException:
            stop.set()
            raise
        finally:
            self._idle.put(trainer)
        return answers
