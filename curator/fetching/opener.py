"""One picture by GET: redirects followed within bounds, the publisher's wishes heard, every failure in one word.

img2dataset asks ``urllib.request.urlopen`` for a picture; with this opener installed, that is what it gets. There are
no proxies (they would connect where the guard cannot look), no cookies, and no protocols but http and https.
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import time
import urllib.request
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from curator.fetching.guard import Budget, Connection, Limits, SecureConnection, secure_context
from curator.fetching.status import BAD_ADDRESS, CONNECTION, OPT_OUT, REDIRECT_LOOP, REFUSED_ADDRESS, TIMEOUT, Unfetched

NAME = "vlm-curator"
"""Our name to servers, also in their ``X-Robots-Tag``."""
HEADERS = {"User-Agent": f"{NAME} (pictures of published datasets; heeds X-Robots-Tag)", "Accept": "*/*"}
OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 8
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which another attempt may help."""
PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before the second attempt, doubled for each further one; and however long a server asks for."""
MAX_ADDRESS = 8192

_HOST = re.compile(r"[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\]")
_IN_PATH = "/%:@!$&'()*+,;=~"
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
"""Directives with a colon of their own: what stands before it names no agent."""


def requestable(address: str) -> str | None:
    """An address as it can be sent: no blanks around it, no user, everything outside ASCII escaped; None if it is none.

    Published lists hold addresses as people write them.
    """
    if len(address) > MAX_ADDRESS:
        return None
    try:
        parts = urlsplit(address.strip())
        host, port = parts.hostname, parts.port
        if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
            return None
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()
        path, query = quote(parts.path or "/", _IN_PATH), quote(parts.query, _IN_PATH + "?")
    except ValueError:  # UnicodeError is one
        return None
    if not _HOST.fullmatch(host):
        return None
    return urlunsplit((parts.scheme, host if port is None else f"{host}:{port}", path, query, ""))


def opted_out(headers: http.client.HTTPMessage) -> bool:
    """Whether a publisher does not want a picture used: ``X-Robots-Tag: noai``, to all or to us by name."""
    for value in headers.get_all("X-Robots-Tag", []):
        agent, colon, rest = value.lower().partition(":")
        is_agent = bool(colon) and "," not in agent and agent.strip() not in _VALUED
        if is_agent and agent.strip() != NAME:
            continue
        directives = rest if is_agent else value.lower()
        if OPT_OUTS & {directive.strip() for directive in directives.split(",")}:
            return True
    return False


class Opener(urllib.request.OpenerDirector):
    """What ``urlopen`` asks; safe to use from many threads."""

    def __init__(self, limits: Limits, context: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._limits = limits
        self._context = context or secure_context()
        self._lock = threading.Lock()
        self.finished = 0
        """Addresses that were asked to the end, for progress."""

    def open(self, fullurl: Any, data: Any = None, timeout: float | None = None) -> Picture:  # noqa: ARG002  the limits hold, whatever the caller's are
        """The whole answer of an address; raises Unfetched, whose text says in one word why there is none."""
        address = fullurl if isinstance(fullurl, str) else fullurl.full_url
        try:
            return Picture(self._persistently(address))
        finally:
            with self._lock:
                self.finished += 1

    def _persistently(self, address: str) -> bytes:
        for attempt in range(self._limits.retries):
            try:
                return self._get(address)
            except Unfetched as failure:
                if not failure.passing:
                    raise
                pause = PAUSE * 2**attempt if failure.pause is None else failure.pause
                time.sleep(min(pause, LONGEST_PAUSE))
        return self._get(address)

    def _get(self, address: str) -> bytes:
        """One attempt, over all redirects."""
        budget, here = Budget(self._limits), requestable(address)
        for _ in range(MAX_REDIRECTS + 1):
            if here is None:
                raise Unfetched(BAD_ADDRESS)
            connection = self._connection(here, budget)
            try:
                answer = self._asked(connection, here)
                if answer.status not in REDIRECTS or not answer.headers.get("Location"):
                    return _body(answer, budget)
                here = _next_address(here, answer.headers["Location"])
            except TimeoutError:  # while the question was sent
                raise Unfetched(TIMEOUT, passing=True) from None
            except (http.client.HTTPException, OSError, ValueError):  # the last: a chunk or length that is no number
                raise Unfetched(CONNECTION, passing=True) from None
            finally:
                connection.close()
        raise Unfetched(REDIRECT_LOOP)

    def _connection(self, address: str, budget: Budget) -> Connection:
        parts = urlsplit(address)
        assert parts.hostname
        if parts.scheme == "https":
            port = parts.port or http.client.HTTPS_PORT
            return SecureConnection(parts.hostname, port, self._limits, budget, context=self._context)
        return Connection(parts.hostname, parts.port or http.client.HTTP_PORT, self._limits, budget)

    @staticmethod
    def _asked(connection: Connection, address: str) -> http.client.HTTPResponse:
        parts = urlsplit(address)
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=HEADERS)
        return connection.getresponse()


class Picture:
    """The bytes of an answer, as ``urlopen``'s caller reads them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> bytes:
        """All of it."""
        return self._data


def _body(answer: http.client.HTTPResponse, budget: Budget) -> bytes:
    """The bytes of a good answer; nothing is read of a bad one, or of one that is not meant for us."""
    if answer.status != http.HTTPStatus.OK:
        raise Unfetched(f"http {answer.status}", passing=answer.status in PASSING, pause=_asked_to_wait(answer.headers))
    if opted_out(answer.headers):
        raise Unfetched(OPT_OUT)
    budget.announced(answer.length or 0)
    return answer.read()


def _asked_to_wait(headers: http.client.HTTPMessage) -> float | None:
    """Seconds of a ``Retry-After`` that gives seconds."""
    asked = headers.get("Retry-After", "")
    return float(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else None


def _next_address(here: str, location: str) -> str | None:
    """Where a redirect leads; a header is Latin-1 to Python and UTF-8 to most servers."""
    written = location.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        there = urljoin(here, written)
        scheme = urlsplit(there).scheme
    except ValueError:
        return None
    if scheme not in ("http", "https"):
        raise Unfetched(REFUSED_ADDRESS)
    return requestable(there)
