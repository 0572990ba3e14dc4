"""The loopback Hub itself: a threaded HTTP server over a folder, with accounts, faults and a log of requests."""

from __future__ import annotations

import hashlib
import io
import secrets
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.hub import reading, writing
from tests.hub.faults import GARBAGE, Fault
from tests.hub.messages import Account, Answer, Problem, Request
from tests.hub.routing import find
from tests.hub.storage import BLOCK, MissingError, Storage

WRITE_TOKEN = "hf_loopback_write"
READ_TOKEN = "hf_loopback_read"
STRANGER_TOKEN = "hf_loopback_stranger"
ROUTE_MODULES = (reading, writing)  # importing them fills the table of routes


class DroppedError(Exception):
    """A fault closed the connection."""


@dataclass(frozen=True)
class Seen:
    """One request that was answered: status 0 when the connection was dropped instead."""

    method: str
    path: str
    status: int
    received: int


class Body(io.RawIOBase):
    """A request's body, by Content-Length or in chunks; `drop_after` bytes it breaks off, for a fault."""

    def __init__(self, source: BinaryIO, length: int | None, drop_after: int | None) -> None:
        self._source, self._drop_after = source, drop_after
        self._chunked = length is None
        self._left = length or 0
        self._ended = False
        self.received = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def _next_chunk(self) -> None:
        self._left = int(self._source.readline().split(b";")[0] or b"0", 16)
        if self._left == 0:
            self._ended = True
            while self._source.readline().strip():
                pass

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the stub wants typeshed's Buffer
        """As io.RawIOBase."""
        if self._drop_after is not None and self.received >= self._drop_after:
            raise DroppedError
        if self._chunked and self._left == 0 and not self._ended:
            self._next_chunk()
        data = self._source.read(min(len(buffer), self._left, BLOCK))
        if self._left and not data:
            raise DroppedError  # the client went away
        buffer[: len(data)] = data
        self._left -= len(data)
        self.received += len(data)
        if self._chunked and self._left == 0 and data:
            self._source.readline()  # the line end after each chunk
        return len(data)


class Connection(BaseHTTPRequestHandler):
    """One client connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Listener

    def _serve(self) -> None:
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        hub.begin()
        fault = hub.strike(self.command, path)
        body = self._body(fault)
        status = 0
        try:
            answer = self._answer(hub, fault, io.BufferedReader(body, BLOCK))
            while body.readinto(bytearray(BLOCK)):
                pass  # what a route did not read, so that the connection can carry the next request
            if fault and fault.kind == "lost":
                raise DroppedError
            status = answer.status
            self._send(answer, fault)
        except (DroppedError, ConnectionError):
            status = 0
            self._hang_up()
        finally:
            hub.note(Seen(self.command, path, status, body.received))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815  the names http.server looks for

    def _body(self, fault: Fault | None) -> Body:
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        length = None if chunked else int(self.headers.get("Content-Length") or 0)
        breaks = fault is not None and fault.kind == "drop" and self.command in ("POST", "PUT")
        return Body(cast(BinaryIO, self.rfile), length, fault.after_bytes if fault and breaks else None)

    def _answer(self, hub: Hub, fault: Fault | None, body: io.BufferedReader) -> Answer:
        if fault and fault.kind == "hold":
            fault.wait()
        if fault and fault.kind == "garbage":
            return Answer(GARBAGE, headers={"Content-Type": "text/html"})
        if fault and fault.kind == "status":
            after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return Problem(fault.status, "a fault was asked for", headers=after).answer()
        split = urlsplit(self.path)
        try:
            route, parts = find(self.command, split.path)
            request = Request(
                self.command,
                split.path,
                dict(parse_qsl(split.query)),
                cast(Mapping[str, str], self.headers),
                cast(BinaryIO, body),
                hub.account(self.headers.get("Authorization")),
                hub.url,
            )
            return route(hub, request, **parts)
        except Problem as problem:
            return problem.answer()
        except MissingError as missing:
            return Problem(404, str(missing), f"{missing.what}NotFound").answer()
        except (DroppedError, ConnectionError):
            raise
        except Exception:  # noqa: BLE001  a server answers 500 and says why, whatever went wrong
            traceback.print_exc(file=sys.stderr)
            return Problem(500, "the loopback Hub failed, see its standard error").answer()

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(answer.length), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        left = 0 if self.command == "HEAD" else answer.length
        if fault and fault.kind == "drop":
            left = min(left, fault.after_bytes)
        with answer.open() as stream:
            while left and (block := stream.read(min(left, BLOCK))):
                self.wfile.write(block)
                left -= len(block)
        self.wfile.flush()
        if fault and fault.kind == "drop":
            raise DroppedError

    def _hang_up(self) -> None:
        self.close_connection = True
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client was faster

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, ARG002  the signature of http.server
        """One line a request on standard error, when the Hub is talkative."""
        if self.server.hub.talkative:
            print(f"{self.command} {self.path.split('?')[0]} {arguments[1:]}", file=sys.stderr, flush=True)


class Listener(ThreadingHTTPServer):
    """The socket, on 127.0.0.1 only."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: Hub, port: int) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", port), Connection)


class Hub:
    """A running loopback Hub. `url` is its endpoint; use it as a context manager or call `close`.

    Accounts: WRITE_TOKEN is `tester`, who may write to `tester` and the organisation `acme`; READ_TOKEN is the
    same account without the right to write; STRANGER_TOKEN is an account of its own.
    """

    def __init__(self, data: Path, port: int = 0, talkative: bool = False) -> None:
        self.storage = Storage(data)
        self.talkative = talkative
        self.page_size = 1000
        self.accounts = {
            WRITE_TOKEN: Account("tester", "write", ("acme",)),
            READ_TOKEN: Account("tester", "read", ("acme",)),
            STRANGER_TOKEN: Account("stranger"),
        }
        self.seen: list[Seen] = []
        self._open = 0
        self._over = threading.Condition()
        self.faults: list[Fault] = []
        self._secret = secrets.token_hex(16)
        self._listener = Listener(self, port)
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"
        serve = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        serve.start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown()
        self._listener.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def account(self, authorization: str | None) -> Account | None:
        """Who an Authorization header stands for; Problem 401 for a token that nobody has."""
        if not authorization:
            return None
        account = self.accounts.get(authorization.removeprefix("Bearer "))
        if account is None:
            raise Problem(401, "Invalid credentials in Authorization header")
        return account

    def sign(self, oid: str) -> str:
        """What makes the upload address of an object valid."""
        return hashlib.sha256(f"{self._secret}/{oid}".encode()).hexdigest()[:24]

    def begin(self) -> None:
        """A request came; `note` says that it is over."""
        with self._over:
            self._open += 1

    def note(self, seen: Seen) -> None:
        """Keep a request in `seen`."""
        with self._over:
            self.seen.append(seen)
            self._open -= 1
            self._over.notify_all()

    def strike(self, method: str, path: str) -> Fault | None:
        """The first fault that this request runs into."""
        return next((fault for fault in list(self.faults) if fault.strikes(method, path)), None)

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """Switch a fault on inside a with block."""
        self.faults.append(fault)
        try:
            yield fault
        finally:
            fault.release()
            self.faults.remove(fault)

    @contextmanager
    def watch(self) -> Iterator[list[Seen]]:
        """The requests of a with block, filled in when it ends."""
        start = len(self.seen)
        during: list[Seen] = []
        yield during
        with self._over:  # a client has its answer a moment before the request is over here
            self._over.wait_for(lambda: not self._open, timeout=5)
            during.extend(self.seen[start:])

    def seed(
        self,
        repo_id: str,
        files: Mapping[str, bytes],
        *,
        kind: str = "datasets",
        tag: str | None = None,
        private: bool = False,
        gated: bool = False,
    ) -> str:
        """Put files into a repository (made when missing) without HTTP, in one commit; the commit's id."""
        try:
            repo = self.storage.create(kind, repo_id, private=private, gated=gated)
        except FileExistsError:
            repo = self.storage.repo(kind, repo_id)
        entries = {}
        for path, data in files.items():
            if writing.is_large(path, len(data), data[:512]):
                sha256 = hashlib.sha256(data).hexdigest()
                repo.add_large(io.BytesIO(data), sha256)
                entries[path] = repo.large_entry(sha256)
            else:
                entries[path] = repo.add_small(data)
        commit = self.storage.change(repo, "refs/heads/main", entries, title="seed")
        if tag:
            repo.set_ref(f"refs/tags/{tag}", commit.id)
        return commit.id

    def tree(self, repo_id: str, revision: str = "main", kind: str = "datasets") -> dict[str, str]:
        """Path -> content digest (sha256 of a large object, git blob id of a small file) at a revision."""
        files = self.storage.repo(kind, repo_id).commit(revision).files
        return {path: entry.sha256 or entry.oid for path, entry in files.items()}

    def read(self, repo_id: str, path: str, revision: str = "main", kind: str = "datasets") -> bytes:
        """A file's bytes at a revision."""
        repo = self.storage.repo(kind, repo_id)
        return repo.blob(repo.commit(revision).files[path]).read_bytes()

    def environment(self, cache: Path, token: str | None = WRITE_TOKEN) -> dict[str, str]:
        """What a child process needs to take this Hub for the real one, with a cache of its own."""
        settings = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(cache),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return settings | ({"HF_TOKEN": token} if token else {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"})
