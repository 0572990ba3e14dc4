"""Who may ask the web app, and what its answers may do in a browser: around every page, before any of them runs.

The app shows texts and pictures of strangers, so a page may load from this server alone and runs one script of ours.
It listens on this machine, where any website that is open in the browser could try to reach it: by a name that is made
to point here (DNS rebinding), by an image or a frame. Neither gets an answer.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load: from this server alone; ``connect-src`` is how a running trial's curve renews itself."""
HEADERS = {
    b"content-security-policy": CONTENT.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""Sent with every answer, unless the page has its own."""
METHODS = ("GET", "HEAD")
TOKEN = "token"  # noqa: S105 - the name of a field
COOKIE = "curator_token"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Denied:
    """An answer in place of a page."""

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Guard:
    """Wraps the app."""

    def __init__(self, app: ASGIApp, names: frozenset[str], *, addresses: bool, token: str | None) -> None:
        """Guard ``app``.

        Args:
            app: what is guarded.
            names: host names that it may be asked by.
            addresses: whether it may be asked by any IP address too; a name that is made to point here is none.
            token: what has to be known, if anything.
        """
        self._app, self._names, self._addresses, self._token = app, names, addresses, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in HEADERS.items() if pair[0] not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        denied = self._denied(scope)
        if denied is None:
            await self._app(scope, receive, guarded)
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *denied.headers]
        await guarded({"type": "http.response.start", "status": denied.status, "headers": headers})
        await guarded({"type": "http.response.body", "body": denied.text.encode()})

    def _denied(self, scope: Scope) -> Denied | None:
        if scope["method"] not in METHODS:
            return Denied(405, "this app only reads: GET and HEAD\n", ((b"allow", b"GET, HEAD"),))
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        if not self._is_here(headers.get(b"host", [])):
            return Denied(421, "this app is not known by that name: use the address that it printed\n")
        if _is_foreign(headers):
            return Denied(403, "another website may not load this\n")
        return self._without_token(scope, headers) if self._token is not None else None

    def _is_here(self, hosts: list[bytes]) -> bool:
        """Whether the ``Host`` that was asked for is one of ours."""
        if len(hosts) != 1:
            return False
        name = host_name(hosts[0].decode("latin-1"))
        return name in self._names or (self._addresses and _is_address(name))

    def _without_token(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> Denied | None:
        """None for who knows the token; who brings it in the address gets a cookie and an address without it."""
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        brought = next((value for name, value in asked if name == TOKEN), None)
        if brought is not None and self._is_token(brought):
            rest = urlencode([pair for pair in asked if pair[0] != TOKEN])
            path = "/" + quote(scope["path"].lstrip("/"))  # never '//elsewhere', which would leave this server
            cookie = f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            where = (b"location", (path + (f"?{rest}" if rest else "")).encode("latin-1"))
            return Denied(303, "", (where, (b"set-cookie", cookie.encode("latin-1"))))
        kept = _cookie(headers.get(b"cookie", []))
        if kept is not None and self._is_token(kept):
            return None
        return Denied(401, "this app asks for a token: open the address that 'curator ui' printed\n")

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


def host_name(host: str) -> str:
    """The name in a ``Host`` header: without its port, brackets and the dot at the end."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_foreign(headers: dict[bytes, list[bytes]]) -> bool:
    """Whether another website's page asks, for anything but to be left for ours (a link that was followed)."""
    site = headers.get(b"sec-fetch-site", [b"none"])
    followed = headers.get(b"sec-fetch-mode") == [b"navigate"] and headers.get(b"sec-fetch-dest") == [b"document"]
    return site[0] not in (b"none", b"same-origin") and not followed


def _cookie(lines: list[bytes]) -> str | None:
    try:
        found = SimpleCookie(b"; ".join(lines).decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value
