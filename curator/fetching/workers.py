"""The processes that download, seen from ours: started when needed, spoken to in JSON lines, ended with us."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
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


class Downloader:
    """One process and the conversation with it."""

    def __init__(self, limits: Limits, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "curator.fetching.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",  # what a native library logs may be anything
            start_new_session=True,  # Ctrl-C is for us; we end it
        )
        self._log: deque[str] = deque(maxlen=STDERR_LINES)
        self._reader = threading.Thread(target=self._drain, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        self._finished = 0
        self._first = {"limits": dataclasses.asdict(limits), "threads": threads}

    def download(self, table: Path, folder: Path, rows: int, advance: Advance) -> None:
        """Download one shard into a folder; raises Refusal when it fails or the process ends."""
        request = {"table": str(table), "folder": str(folder), "rows": rows}
        first, self._first = self._first, {}
        try:
            assert self._process.stdin is not None
            for told in (first, request) if first else (request,):
                self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # the latter for a stream that was closed because we end
            raise self._ended() from None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: dict[str, Any] = json.loads(line)
            advance(answer["finished"] - self._finished)
            self._finished = answer["finished"]
            if answer["event"] == "done":
                return
            if answer["event"] == "failed":
                raise Refusal(LIBRARY, f"could not write a shard: {self._told()}", _AGAIN)
        raise self._ended()

    def kill(self) -> None:
        """End the process at once; the shard it was at is not there."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _drain(self, stream: IO[str] | None) -> None:
        assert stream is not None
        for line in stream:
            self._log.append(line.rstrip())

    def _told(self) -> str:
        return next((line for line in reversed(self._log) if line.strip()), "it left no message")

    def _ended(self) -> Refusal:
        status = self._process.wait()
        self._reader.join()
        return Refusal(LIBRARY, f"ended with status {status}: {self._told()}", _AGAIN)


_AGAIN = "see that memory and disk are free, and run the command again: it goes on where it was"


class Downloaders:
    """A fixed number of such processes; each serves one shard at a time, asked by a thread of ours."""

    def __init__(self, limits: Limits, count: int, threads: int) -> None:
        self._limits, self._threads = limits, threads
        self._all: list[Downloader] = []
        self._idle: queue.SimpleQueue[Downloader] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._count = count
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
        for process in self._all:
            process.kill()

    def download(self, table: Path, folder: Path, rows: int, advance: Advance) -> None:
        """Download one shard with whichever process is free."""
        process = self._free()
        try:
            process.download(table, folder, rows, advance)
        finally:
            self._idle.put(process)

    def _free(self) -> Downloader:
        with self._lock:
            if self._closed:
                raise Refusal(LIBRARY, "was ended", _AGAIN)
            if self._idle.empty() and len(self._all) < self._count:
                self._all.append(Downloader(self._limits, self._threads))
                return self._all[-1]
        return self._idle.get()
