"""Connections of a downloader that may be sent anywhere: checked where they lead, timed and measured while they last.

The IP address is checked when it is connected to, not when a name is looked up, so neither a redirect nor a name that
changes its address in between leads into a private network. Time and bytes are counted at the socket, so headers that
drip, bodies without end and redirects with bodies all have the same bounds.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curator.fetching.status import CONNECTION, DNS, REFUSED_ADDRESS, TIMEOUT, TLS, TOO_LARGE, TOO_SLOW, Unfetched

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)
"""Where ``allow_private`` lets a connection go; link-local, multicast and reserved addresses stay closed."""
_NEVER = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::254")))
"""In private networks, and known for handing a machine's credentials to whoever asks."""
_UNICAST = ipaddress.ip_network("2000::/3")
"""The only part of IPv6 that is routed everywhere."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 behind a translator: the last four bytes say where it goes."""


def may_connect(address: str, *, allow_private: bool = False) -> bool:
    """Whether a picture may be fetched from an IP address."""
    return _may_connect(ipaddress.ip_address(address), allow_private)


def _may_connect(ip: IPAddress, allow_private: bool) -> bool:
    inner = _carried(ip)
    if inner is not None:
        return _may_connect(inner, allow_private)
    if any(ip in network for network in _PRIVATE):
        return allow_private and ip not in _NEVER
    public = ip.is_global and not (ip.is_multicast or ip.is_reserved)
    return public and (ip.version == 4 or ip in _UNICAST)


def _carried(ip: IPAddress) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4, or translated."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in _TRANSLATED:
        return ipaddress.IPv4Address(ip.packed[-4:])
    return ip.ipv4_mapped or ip.sixtofour


@dataclass(frozen=True)
class Limits:
    """What one picture may take."""

    seconds: float = 30.0
    """From the first look-up to the last byte, redirects included."""
    silence: float = 10.0
    """Without a single byte."""
    size: int = 64 << 20
    """Bytes of all answers together."""
    allow_private: bool = False
    retries: int = 1
    """Further attempts after a failure that may pass."""


class Budget:
    """What is left of the limits for one attempt at one picture."""

    def __init__(self, limits: Limits) -> None:
        self._silence = limits.silence
        self._end = time.monotonic() + limits.seconds
        self._left = limits.size

    def wait(self) -> float:
        """Seconds to wait for the next byte; raises Unfetched when all time is spent."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise Unfetched(TOO_SLOW)
        return min(left, self._silence)

    def announced(self, size: int) -> None:
        """Raise Unfetched when a body of this size cannot fit."""
        if size > self._left:
            raise Unfetched(TOO_LARGE)

    def took(self, size: int) -> None:
        """Count bytes that came; raises Unfetched beyond the limit."""
        self._left -= size
        if self._left < 0:
            raise Unfetched(TOO_LARGE)


class _Measured:
    """Of a socket: every read has the time that is left, and its bytes are counted."""

    budget: Budget

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """As the socket's own; ``http.client`` reads through this alone."""
        self.settimeout(self.budget.wait())  # type: ignore[attr-defined]  # the socket's that this is mixed into
        try:
            size: int = super().recv_into(buffer, nbytes or len(buffer), flags)  # type: ignore[misc]  # likewise
        except TimeoutError:
            self.budget.wait()
            raise Unfetched(TIMEOUT, passing=True) from None
        self.budget.took(size)
        return size


class _Plain(_Measured, socket.socket):
    """A measured TCP connection."""


class _Secure(_Measured, ssl.SSLSocket):
    """A measured TLS connection."""


def secure_context() -> ssl.SSLContext:
    """Certificates are checked against the machine's authorities."""
    context = ssl.create_default_context()
    context.sslsocket_class = _Secure
    return context


class Connection(http.client.HTTPConnection):
    """HTTP to a host that may be anywhere in public."""

    def __init__(self, host: str, port: int, limits: Limits, budget: Budget) -> None:
        super().__init__(host, port)
        self._limits = limits
        self._budget = budget

    def connect(self) -> None:
        """Connect to the first of the host's addresses that is allowed and answers."""
        refused = failed = None
        for family, where in _addresses(self.host, self.port):
            if not may_connect(where[0].partition("%")[0], allow_private=self._limits.allow_private):
                refused = Unfetched(REFUSED_ADDRESS)
                continue
            try:
                self.sock = _connected(family, where, self._budget)
            except TimeoutError:
                failed = Unfetched(TIMEOUT, passing=True)
            except OSError:
                failed = Unfetched(CONNECTION, passing=True)
            else:
                return
        raise failed or refused or Unfetched(DNS)


class SecureConnection(Connection):
    """The same over TLS."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, host: str, port: int, limits: Limits, budget: Budget, *, context: ssl.SSLContext) -> None:
        super().__init__(host, port, limits, budget)
        self._context = context

    def connect(self) -> None:
        """Connect, and check who is there."""
        super().connect()
        self.sock.settimeout(self._budget.wait())
        try:
            secure = self._context.wrap_socket(self.sock, server_hostname=self.host)
        except TimeoutError:
            raise Unfetched(TIMEOUT, passing=True) from None
        except (ssl.SSLError, ValueError):  # the latter for a name that no certificate can hold
            raise Unfetched(TLS) from None
        assert isinstance(secure, _Secure)
        secure.budget = self._budget
        self.sock = secure


def _addresses(host: str, port: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """``(family, socket address)`` of a host, in the order that the system prefers."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Unfetched(DNS, passing=error.errno == socket.EAI_AGAIN) from None
    except (UnicodeError, OverflowError):  # no name that could be looked up, no port that could be
        raise Unfetched(DNS) from None
    for family, _, _, _, where in found:
        yield family, where


def _connected(family: int, where: tuple[Any, ...], budget: Budget) -> _Plain:
    connection = _Plain(family, socket.SOCK_STREAM)
    try:
        connection.budget = budget
        connection.settimeout(budget.wait())
        connection.connect(where)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection
