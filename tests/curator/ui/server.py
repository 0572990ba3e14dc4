"""``curator ui`` as a process of its own, and what one asks it."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[3]


class Server:
    """A server on a free port; use it as a context manager."""

    def __init__(self, home: Path, *options: str) -> None:
        command = [sys.executable, "-m", "curator", "ui", "--port", "0", "--home", str(home), *options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, encoding="utf-8"
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        self.port = urlsplit(self.address).port
        self.log = ""
        """What it printed, once it has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            out, err = self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self.log = out + err
        assert self._process.returncode == 0, self.log

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers (small letters) and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host="Host" in (headers or {}))
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read().decode("utf-8", errors="replace")
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body
        finally:
            connection.close()

    def page(self, path: str) -> str:
        """A page that is there."""
        status, _, body = self.ask(path)
        assert status == 200, (path, status, body[-500:])
        return body
