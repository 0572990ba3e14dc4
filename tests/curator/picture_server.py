"""A web server of pictures on the loopback, with every fault that an address in a published list may have."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from tests.curator.data_home import picture

METADATA = "http://169.254.169.254/latest/meta-data/"
ENDLESS = 10 << 30
"""Bytes of the body that an honest server announces and a dishonest one does not."""
_BLOCK = bytes(1 << 16)


def bomb() -> bytes:
    """A small PNG file that says it is 100,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


class Answering(BaseHTTPRequestHandler):
    """Answers by the first part of the path; ``/picture/7/…`` is picture number 7."""

    server: PictureServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        with self.server.lock:
            self.server.hits[path] += 1
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.close_connection = True
        if self.server.latency:
            time.sleep(self.server.latency)
        if path in self.server.files:
            self.send(self.server.files[path])
            return
        kind, _, rest = path.strip("/").partition("/")
        answer: Callable[[str], None] = getattr(self, f"answer_{kind.replace('-', '_')}", self.answer_status)
        answer(rest)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        pass

    def send(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Type": "image/png", "Content-Length": str(len(data)), **given}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def picture(self, rest: str) -> bytes:
        return picture(int(rest.split("/")[0] or 0), self.server.size)

    def answer_picture(self, rest: str) -> None:
        self.send(self.picture(rest))

    def answer_status(self, rest: str) -> None:
        """The status that the path names, else 404."""
        status = rest.split("/")[0]
        self.send(b"<html>no</html>", int(status) if status.isdecimal() else 404, Content_Type="text/html")

    def answer_once_busy(self, rest: str) -> None:
        """503 the first time."""
        if self.server.hits[unquote(self.path)] == 1:
            self.send(b"", 503, Retry_After="0")
        else:
            self.send(self.picture(rest))

    def answer_wrong_type(self, rest: str) -> None:
        self.send(self.picture(rest), Content_Type="text/html; charset=utf-8")

    def answer_html(self, _rest: str) -> None:
        self.send(b"<html><body>This picture has moved.</body></html>", Content_Type="image/png")

    def answer_corrupt(self, rest: str) -> None:
        self.send(self.picture(rest)[:-30])

    def answer_empty(self, _rest: str) -> None:
        self.send(b"")

    def answer_small(self, _rest: str) -> None:
        self.send(picture(1, (1, 1)))

    def answer_bomb(self, _rest: str) -> None:
        self.send(bomb())

    def answer_opt_out(self, _rest: str) -> None:
        self.send(self.picture("1"), X_Robots_Tag="noarchive, NoAI")

    def answer_opt_out_of_others(self, rest: str) -> None:
        self.send(self.picture(rest), X_Robots_Tag="otherbot: noai")

    def answer_short(self, rest: str) -> None:
        """Less than was announced."""
        data = self.picture(rest)
        self.send(data[:40], Content_Length=str(len(data)))

    def answer_hop(self, rest: str) -> None:
        self.send(b"moved", 302, Location=f"/picture/{rest}")

    def answer_loop(self, rest: str) -> None:
        self.send(b"", 301, Location=f"/loop/{int(rest or 0) + 1}")

    def answer_to_metadata(self, _rest: str) -> None:
        self.send(b"", 302, Location=METADATA)

    def answer_to_file(self, _rest: str) -> None:
        self.send(b"", 302, Location="file:///etc/passwd")

    def answer_hop_with_a_body(self, rest: str) -> None:
        """A redirect whose body never ends."""
        self.send(b"", 302, Location=f"/picture/{rest}", Content_Length=str(ENDLESS))
        self.stream()

    def answer_huge(self, _rest: str) -> None:
        """Announces ten gigabytes, and sends them."""
        self.send(b"", Content_Length=str(ENDLESS))
        self.stream()

    def answer_endless(self, _rest: str) -> None:
        """Announces nothing, and sends for ever."""
        self.send_response(200)
        self.end_headers()
        self.stream()

    def answer_silent(self, _rest: str) -> None:
        """Says nothing until the other side is tired."""
        self.connection.settimeout(30)
        self.connection.recv(1)

    def answer_drip(self, _rest: str) -> None:
        """A byte of the body at a time."""
        self.send(b"", Content_Length="1000000")
        self.slowly(b"x")

    def answer_drip_of_headers(self, _rest: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self.slowly(b"x")

    def answer_nonsense(self, _rest: str) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    def answer_reset(self, _rest: str) -> None:
        """The connection breaks."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def stream(self) -> None:
        with self.server.lock:
            self.server.streamed.setdefault(self.path, 0)
        try:
            while True:
                self.wfile.write(_BLOCK)
                self.server.streamed[self.path] += len(_BLOCK)
        except OSError:  # the other side has had enough
            return

    def slowly(self, piece: bytes) -> None:
        try:
            while True:
                self.wfile.write(piece)
                time.sleep(0.05)
        except OSError:
            return


class PictureServer(ThreadingHTTPServer):
    """Serves while it is open; counts what was asked for."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, certificate: Path | None = None, size: tuple[int, int] = (24, 18)) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server_address[1]}"
        self.size = size
        self.files: dict[str, bytes] = {}
        """Path -> what is there instead of a made answer."""
        self.latency = 0.0
        """Seconds before every answer."""
        self.lock = threading.Lock()
        self.hits: Counter[str] = Counter()
        """Path -> requests."""
        self.headers: list[dict[str, str]] = []
        """Of every request."""
        self.connections = 0
        self.streamed: dict[str, int] = {}
        """Path -> bytes of a body without end that were sent."""

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of what is tested."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
