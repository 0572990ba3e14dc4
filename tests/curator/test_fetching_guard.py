"""Where a downloader may connect, what it asks for and of whom it asks nothing: in this process, with real sockets."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curator.fetching import guard
from curator.fetching.guard import Limits, may_connect
from curator.fetching.opener import Opener, opted_out, requestable
from curator.fetching.status import Unfetched, known
from tests.curator.data_home import picture
from tests.curator.picture_server import METADATA, PictureServer

# fmt: off
PUBLIC = ["8.8.8.8", "192.88.99.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
PRIVATE = ["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "::1",
           "fc00::1", "fd12:3456::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:a00:1::1"]
CLOSED = ["0.0.0.1", "0.1.2.3", "169.254.169.254", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
          "192.0.2.1", "198.18.0.1", "100.100.100.200", "fd00:ec2::254", "::", "::127.0.0.1", "fe80::1", "fec0::1",
          "ff02::1", "2001:db8::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "64:ff9b:1::1", "100::1", "5f00::1",
          "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:0.0.0.0"]
# fmt: on


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as opened:
        yield opened


def status_of(opener: Opener, address: str) -> str:
    try:
        opener.open(address)
    except Unfetched as failure:
        return str(failure)
    return "arrived"


def refuse(tried: list[Any], where: Any) -> None:
    """Note where a connection was to lead, and do not make it."""
    tried.append(where)
    raise ConnectionRefusedError


def test_public_addresses_are_open_private_ones_when_allowed_and_others_never() -> None:
    for allowed in (False, True):
        assert [address for address in PUBLIC if not may_connect(address, allow_private=allowed)] == []
        assert [address for address in PRIVATE if may_connect(address, allow_private=allowed) != allowed] == []
        assert [address for address in CLOSED if may_connect(address, allow_private=allowed)] == []


def test_a_name_that_changes_its_address_after_it_was_looked_at_leads_nowhere(
    server: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up once; what was checked is what is connected to."""
    looked_up = []

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        where = "93.184.216.34" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port))]

    connected: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(guard._Plain, "connect", lambda _self, where: refuse(connected, where))
    address, opener = f"http://rebinding.example:{server.server_address[1]}/picture/1", Opener(Limits(retries=0))
    assert status_of(opener, address) == "connection"
    assert (looked_up, connected) == (["rebinding.example"], [("93.184.216.34", server.server_address[1])])
    assert status_of(opener, address) == "refused address", "now the name is this machine's"
    assert len(connected) == 1
    assert server.connections == 0


def test_of_several_addresses_only_the_public_ones_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, 80)) for where in ("10.0.0.1", "8.8.8.8", "127.0.0.1")]
    tried: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    monkeypatch.setattr(guard._Plain, "connect", lambda _self, where: refuse(tried, where))
    assert status_of(Opener(Limits(retries=0)), "http://a.example/") == "connection"
    assert tried == [("8.8.8.8", 80)]


def test_redirects_to_the_metadata_of_a_machine_stay_closed_when_private_addresses_are_allowed(
    server: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    real = guard._connected

    def connected(family: int, where: tuple[Any, ...], budget: guard.Budget) -> guard._Plain:
        tried.append(where[0])
        return real(family, where, budget)

    monkeypatch.setattr(guard, "_connected", connected)
    opener = Opener(Limits(allow_private=True))
    assert status_of(opener, f"{server.url}/to-metadata") == "refused address"
    assert status_of(opener, METADATA) == "refused address"
    assert tried == ["127.0.0.1"]


def test_urlopen_gives_what_the_opener_fetched(server: PictureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is how img2dataset asks."""
    monkeypatch.setattr(urllib.request, "_opener", None)
    urllib.request.install_opener(Opener(Limits(allow_private=True)))
    request = urllib.request.Request(f"{server.url}/hop/3", headers={"User-Agent": "Mozilla"})  # noqa: S310  a loopback
    with urllib.request.urlopen(request, timeout=None) as answer:  # noqa: S310  likewise
        assert answer.read() == picture(3, server.size)
    assert {headers["user-agent"].split()[0] for headers in server.headers} == {"vlm-curator"}


def test_a_server_that_asks_to_wait_is_waited_for(server: PictureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    opener = Opener(Limits(allow_private=True, retries=3))
    assert status_of(opener, f"{server.url}/status/503") == "http 503"
    assert pauses == [0.5, 1.0, 2.0]
    assert status_of(opener, f"{server.url}/status/404") == "http 404"
    assert len(pauses) == 3, "what is gone is not asked for again"


@pytest.mark.parametrize(
    ("tags", "meant"),
    [
        (["noai"], True),
        (["noarchive, NoImageAI"], True),
        (["all", "noindex"], True),
        (["none"], True),
        (["vlm-curator: noai"], True),
        (["otherbot: noai"], False),
        (["noarchive, nofollow"], False),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], False),
        (["noindex, unavailable_after: 25 Jun 2030 15:00:00 PST"], True),
        (["max-snippet: 20, noai"], True),
        ([""], False),
        ([], False),
    ],
)
def test_the_wishes_of_publishers(tags: list[str], meant: bool) -> None:
    headers = http.client.HTTPMessage()
    for tag in tags:
        headers["X-Robots-Tag"] = tag
    assert opted_out(headers) == meant


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (" HTTP://A.Example/x.png\n", "http://a.example/x.png"),
        ("https://a.example", "https://a.example/"),
        ("http://a.example/ä b.png?q=ü&x=1#part", "http://a.example/%C3%A4%20b.png?q=%C3%BC&x=1"),
        ("http://a.example/100%25.png", "http://a.example/100%25.png"),
        ("http://bücher.example:8080/", "http://xn--bcher-kva.example:8080/"),
        ("http://[2606:4700::1111]:81/x", "http://[2606:4700::1111]:81/x"),
        ("http://a.example/x\r\nHost: b.example", "http://a.example/xHost:%20b.example"),
        ("//a.example/x.png", None),
        ("a.example/x.png", None),
        ("data:image/png;base64,AAAA", None),
        ("file:///etc/passwd", None),
        ("http://a.example:99999/", None),
        ("http://user@a.example/", None),
        ("http://a b.example/", None),
        ("http://" + "a" * 70 + ".example/", None),
        ("http://a.example/\ud800", None),
        ("http://a.example/" + "x" * 9000, None),
    ],
)
def test_addresses_are_sent_as_people_meant_them(written: str, sent: str | None) -> None:
    assert requestable(written) == sent


def test_words_from_a_server_never_get_into_an_account() -> None:
    assert [known(word) for word in ("http 404", "dns", "arrived")] == ["http 404", "dns", "arrived"]
    assert {known(word) for word in ("http 40400", "HTTP Error 404: \x1b[31m", "", "BAD_ADDRESS")} == {"other"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of this machine's own making."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    signed = path.with_suffix(".crt")
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(path), "-out", str(signed)]
    subprocess.run([openssl, "req", *options, *subject], check=True, capture_output=True)
    path.write_text(path.read_text() + signed.read_text())
    return path


def test_tls_is_checked_timed_and_measured_like_everything_else(certificate: Path) -> None:
    trusting = guard.secure_context()
    trusting.load_verify_locations(certificate.with_suffix(".crt"))
    limits = Limits(seconds=0.6, silence=0.3, size=1 << 20, allow_private=True, retries=0)
    with PictureServer(certificate) as server:
        assert status_of(Opener(limits), f"{server.url}/picture/1") == "tls", "nobody vouches for it"
        known_to_us = Opener(limits, trusting)
        assert known_to_us.open(f"{server.url}/picture/1").read() == picture(1, server.size)
        found = {path: status_of(known_to_us, server.url + path) for path in ("/endless", "/drip", "/silent", "/hop/2")}
        assert found == {"/endless": "too large", "/drip": "too slow", "/silent": "timeout", "/hop/2": "arrived"}
        assert status_of(known_to_us, server.url.replace("https", "http") + "/picture/1") != "arrived"
    with PictureServer() as plain:
        assert status_of(known_to_us, plain.url.replace("http", "https") + "/picture/1") in ("tls", "timeout")
