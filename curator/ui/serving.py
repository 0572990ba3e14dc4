"""Start the web app: bind first, then say where it is, then serve until it is interrupted."""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curator.ui.guard import LOOPBACK, TOKEN, Guard, host_name
from registry.errors import Refusal
from registry.store import Home

LIBRARIES = ("starlette", "uvicorn", "jinja2")
WAITING = 64
"""Requests that are worked on or wait; beyond them a browser is told to come back."""


@dataclass(frozen=True)
class Listening:
    """Where and for whom the app listens."""

    host: str = "127.0.0.1"
    port: int = 8765
    """0: any that is free."""
    names: Sequence[str] = ()
    """Further names that people reach this machine by."""
    token: bool = False
    """Ask for a token on this machine alone too."""

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def serve(home: Home, listening: Listening, announce: Callable[[str], None]) -> None:
    """Serve the app until it is interrupted; ``announce`` gets its address once it listens.

    Raises:
        Refusal: a library is not installed, or nothing can listen there.
    """
    check_libraries()
    import uvicorn

    from curator.ui.app import make_app

    bound = _bound(listening)
    token = secrets.token_urlsafe(32) if listening.token or not listening.is_local else None
    names = LOOPBACK | {host_name(name) for name in (listening.host, socket.gethostname(), *listening.names)}
    app = Guard(
        make_app(home), LOOPBACK if listening.is_local else names, addresses=not listening.is_local, token=token
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # a page that breaks says so on one line
        access_log=False,  # an address may hold the token
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        limit_concurrency=WAITING,
        timeout_graceful_shutdown=2,
    )
    announce(_address(listening, bound.getsockname()[1], token))
    with bound, contextlib.suppress(KeyboardInterrupt):  # how it is ended
        uvicorn.Server(config).run(sockets=[bound])


def check_libraries() -> None:
    """Raise Refusal when the extra is not installed."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise Refusal("curator ui", f"needs {', '.join(missing)}", "pip install 'vlm-curator[ui]'")


def _bound(listening: Listening) -> socket.socket:
    where = f"{listening.host}:{listening.port}"
    way_out = "choose another with --port; --port 0 takes any that is free"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listening.host, listening.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Refusal(f"--host {listening.host}", f"is no address here ({error.strerror})", "give an address") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise Refusal(where, f"nothing can listen there ({error.strerror})", way_out) from None
    return bound


def _address(listening: Listening, port: int, token: str | None) -> str:
    """The address to open: of a server that listens everywhere, by the name of this machine."""
    host = socket.gethostname() if listening.host in ("0.0.0.0", "::", "") else listening.host  # noqa: S104 - compared
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?{TOKEN}={token}" if token else "")
