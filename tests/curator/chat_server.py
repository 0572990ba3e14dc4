"""An OpenAI-compatible server on the loopback, with every fault that a real one has."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Request = dict[str, Any]
Say = Callable[[Request], "str | Fault"]


class Fault:
    """An answer that is no reply: a status and a body, perhaps later, perhaps in drips."""

    def __init__(
        self, status: int, body: bytes | Request = b"", seconds: float = 0, drip: float = 0, **headers: str
    ) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.seconds = seconds
        self.drip = drip
        self.headers = headers


def completion(content: Any, **more: Any) -> Request:
    """A whole answer."""
    return {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": content, **more}}]}


class Answering(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append(request)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.paths.append(self.path)
            server.under_way += 1
            server.most_at_once = max(server.most_at_once, server.under_way)
            said = server.say(request)
        try:
            if server.latency:
                time.sleep(server.latency)
            self.send(said if isinstance(said, Fault) else Fault(200, completion(said)))
        finally:
            with server.lock:
                server.under_way -= 1

    def send(self, answer: Fault) -> None:
        time.sleep(answer.seconds)
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        pieces = [answer.body[at : at + 1] for at in range(len(answer.body))] if answer.drip else [answer.body]
        for piece in pieces:
            self.wfile.write(piece)
            time.sleep(answer.drip)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        pass


class ChatServer(ThreadingHTTPServer):
    """Serves while it is open; ``say`` answers a request, one at a time; what was asked is kept."""

    daemon_threads = True

    def __init__(self, say: Say) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.say = say
        self.latency = 0.0
        self.lock = threading.Lock()
        self.requests: list[Request] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.under_way = 0
        self.most_at_once = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of what is tested."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def in_turn(*answers: str | Fault) -> Say:
    """Each answer once, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
