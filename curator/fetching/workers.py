"""The processes that download, seen from ours: started when needed, spoken to in JSON lines, ended with us."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Self

from curator.fetching.guard import Limits
from registry.errors import Refusal

STDERR_LINES = 40
"""Last lines of a process's log that are kept to explain its end."""
LIBRARY = "img2dataset"

Advance = Callable[[int], None]


def refuse_without_library() -> None:
    """Raise Refusal when what downloads is not installed."""
    if find_spec(LIBRARY) is None:
        raise Refusal("--fetch", f"needs {LIBRARY}, which is not installed", "pip install 'vlm-curator[download]'")


_AGAIN = "see that memory and disk are free, and run the command again: it goes on where it was"


class Downloader:
    """One process and the conversation with it."""

    def __init__(self, limits: Limits, threads: int, advance: Advance) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "curator.fetching.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",  # what a native library logs may be anything
            start_new_session=True,  # Ctrl-C is for us; we end it
        )
        self._advance = advance
        self._log: deque[str] = deque(maxlen=STDERR_LINES)
        self._waiting: dict[int, Future[None]] = {}
        self._ended: Refusal | None = None
        self._lock = threading.Lock()
        self._logger = threading.Thread(target=self._keep_log, args=(self._process.stderr,), daemon=True)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._logger.start()
        self._reader.start()
        self._write({"limits": dataclasses.asdict(limits), "threads": threads})

    @property
    def load(self) -> int:
        """Shards that it is at."""
        return len(self._waiting)

    def submit(self, number: int, table: Path, folder: Path, rows: int) -> Future[None]:
        """Have one shard downloaded into a folder; the result is a Refusal when that fails or the process ends."""
        future: Future[None] = Future()
        with self._lock:
            if self._ended is not None:
                future.set_exception(self._ended)
                return future
            self._waiting[number] = future
        self._write({"number": number, "table": str(table), "folder": str(folder), "rows": rows})
        return future

    def kill(self) -> None:
        """End the process at once; the shards it was at are not there."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # a line that nobody will read
                    stream.close()

    def _write(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which its reader tells all who wait
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()

    def _read(self, stream: IO[str] | None) -> None:
        assert stream is not None
        finished = 0
        for line in stream:
            answer: dict[str, Any] = json.loads(line)
            self._advance(max(0, answer["finished"] - finished))  # lines of several threads may change places
            finished = max(finished, answer["finished"])
            if answer["event"] == "done":
                self._waiting.pop(answer["number"]).set_result(None)
            elif answer["event"] == "failed":
                told = Refusal(LIBRARY, f"could not write a shard: {self._told()}", _AGAIN)
                self._waiting.pop(answer["number"]).set_exception(told)
        status = self._process.wait()
        self._logger.join()
        with self._lock:
            self._ended = Refusal(LIBRARY, f"ended with status {status}: {self._told()}", _AGAIN)
            for future in self._waiting.values():
                future.set_exception(self._ended)

    def _keep_log(self, stream: IO[str] | None) -> None:
        assert stream is not None
        for line in stream:
            self._log.append(line.rstrip())

    def _told(self) -> str:
        return next((line for line in reversed(self._log) if line.strip()), "it left no message")


class Downloaders:
    """At most so many such processes, started when there is something to do for them."""

    def __init__(self, limits: Limits, count: int, threads: int, advance: Advance) -> None:
        self._limits, self._count, self._threads, self._advance = limits, count, threads, advance
        self._all: list[Downloader] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.kill()

    def submit(self, number: int, table: Path, folder: Path, rows: int) -> Future[None]:
        """Have one shard downloaded by the process that has least to do."""
        process = min(self._all, key=lambda process: process.load, default=None)
        if process is None or (process.load and len(self._all) < self._count):
            process = Downloader(self._limits, self._threads, self._advance)
            self._all.append(process)
        return process.submit(number, table, folder, rows)
