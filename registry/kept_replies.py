"""Replies of a model that is being asked, kept as they come: a run that is killed goes on with those it has.

They lie in one file of JSON lines beside the score that they are for. A line that was cut off is no reply; what a
reply answers is named by the digest of its prompt, so the order of the questions and the number of runs do not matter.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from registry.store import alone

KEEP_SECONDS = 1.0
"""Replies of so many seconds, at most, are lost with a killed run."""


class KeptReplies:
    """The replies so far, and those that join them. One process at a time holds the file."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self.said, whole = _read(path)
        """Digest of the prompt -> reply."""
        file.truncate(whole)
        self._waiting: list[bytes] = []
        self._kept_at = time.monotonic()

    def add(self, replies: Mapping[str, str]) -> None:
        """Take replies; they are on the disk within ``KEEP_SECONDS`` of work."""
        self.said.update(replies)
        self._waiting += [_line(prompt, reply) for prompt, reply in replies.items()]
        if time.monotonic() - self._kept_at >= KEEP_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Put what waits on the disk."""
        if self._waiting:
            self._file.write(b"".join(self._waiting))
            self._file.flush()
            os.fsync(self._file.fileno())
        self._waiting.clear()
        self._kept_at = time.monotonic()


@contextlib.contextmanager
def kept_replies(score: Path) -> Iterator[KeptReplies]:
    """The kept replies of the score that will lie at ``score``; waits for another process that makes the same.

    They are removed when the block ends with the score there; otherwise they stay for the next run, if there are any.
    """
    path = score.with_name(f".{score.stem}.replies")
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path) as file:
        kept = KeptReplies(file, path)
        try:
            yield kept
        finally:
            kept.flush()
            if score.is_file() or not kept.said:
                path.unlink()


def _line(prompt: str, reply: str) -> bytes:
    # Half a surrogate pair, which some tokenizers decode to, is no UTF-8: escapes hold anything.
    return json.dumps([prompt, reply]).encode() + b"\n"


def _read(path: Path) -> tuple[dict[str, str], int]:
    """The whole lines, and where they end."""
    said: dict[str, str] = {}
    end = 0
    with path.open("rb") as file:
        for line in file:
            try:
                prompt, reply = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            said[prompt] = reply
            end += len(line)
    return said, end
