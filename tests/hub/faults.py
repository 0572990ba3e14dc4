"""Faults on request: which requests go wrong, how, and how often."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

Kind = Literal["status", "drop", "lost", "garbage", "hold"]
GARBAGE = b"<html><body>\xff\xfe not what you asked for"


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that match `route`, after `skip` of them went well.

    route        "METHOD path" with shell wildcards, on the decoded path without its query: "PUT /*/large/*"
    kind         status:  answer `status`, with Retry-After when `retry_after` is given
                 drop:    close the connection once `after_bytes` of the body went over the wire, in whichever
                          direction the body flows (the request's for PUT and POST, the answer's for GET)
                 lost:    carry the request out in full, then close the connection instead of answering
                 garbage: answer 200 with bytes that are neither JSON nor the file
                 hold:    wait until `release()` (30 s at most), then go on as if nothing was
    hits         how many requests it has struck so far; `struck` is set at the first
    """

    route: str
    kind: Kind = "status"
    times: int = 1
    skip: int = 0
    status: int = 429
    retry_after: int | None = None
    after_bytes: int = 0
    hits: int = 0
    struck: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request goes wrong; counts it when it does."""
        if not fnmatchcase(f"{method} {path}", self.route):
            return False
        with self._lock:
            if self.skip > 0:
                self.skip -= 1
                return False
            if self.hits >= self.times:
                return False
            self.hits += 1
        self.struck.set()
        return True

    def wait(self) -> None:
        """Hold a request until released."""
        self._released.wait(timeout=30)

    def release(self) -> None:
        """Let held requests go on."""
        self._released.set()


def parse(text: str) -> Fault:
    """A fault from the command line: "ROUTE=KIND[*TIMES]", KIND a status number, drop, lost or garbage."""
    route, _, rest = text.rpartition("=")
    kind, _, times = rest.partition("*")
    count = int(times or 1)
    if kind.isdigit():
        return Fault(route, "status", count, status=int(kind), retry_after=1 if kind == "429" else None)
    for known in ("drop", "lost", "garbage"):
        if kind == known:
            return Fault(route, known, count)
    raise ValueError(f"{text!r}: expected ROUTE=KIND[*TIMES] with KIND a status number, drop, lost or garbage")
