"""A file at an http(s) address: asked about, downloaded so that a killed run is continued, and known again later.

What tells one content of an address from another is what its server says of it: ETag, or else the date of its last
change, and the length. A server that says the same of two contents would have the first taken for the second; one that
says nothing has its file downloaded every time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from curator.hub import problem_in_words, progress_bars
from curator.known import recall, remember
from registry.card import Card, Source
from registry.errors import Refusal
from registry.identity import digest, short
from registry.store import DOWNLOADS, Home

_PART = "unfinished"
_AS_IT_IS = {"Accept-Encoding": "identity"}
"""Packed on its way, a file could not be continued, and its length would not be the one that is told."""
_HTTP_ERROR = 400


@dataclass(frozen=True)
class Remote:
    """What the server says of an address."""

    address: str
    name: str
    """The file's own name."""
    version: str
    """What tells this content from another; empty when nothing does."""
    size: int | None

    def known(self, home: Home, card: Card) -> Path | None:
        """The finished raw folder that a card's pull of exactly this content made."""
        name = recall(home, *self._key(card)) if self.version else None
        return next((folder for folder in home.finished("raw") if folder.name == name), None)

    def remember(self, home: Home, card: Card, folder: Path) -> None:
        """Note that this content is in a raw folder now."""
        if self.version:
            remember(home, folder.name, *self._key(card))

    def _key(self, card: Card) -> list[Any]:
        """A card that asks for other files finds others at the same address."""
        sources = [source.model_dump(mode="json") for source in _sources(card)]
        return ["raw", self.address, self.version, self.size, card.name, sources]


def _sources(card: Card) -> list[Source]:
    return [card.source, *(form.source for form in card.alternates if form.source is not None)]


def is_address(given: str) -> bool:
    """Whether ``--from`` names something to download."""
    return given.startswith(("http://", "https://"))


def ask(address: str, endings: tuple[str, ...]) -> Remote:
    """What the server says of an address, without its content; ``endings`` are those of files that can be read."""
    from huggingface_hub.utils import get_session

    name = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name
    if not name.lower().endswith(endings) or {"\\", "\0"} & set(name):
        what = f"names no file of a known kind ({', '.join(endings)})"
        raise Refusal(f"--from {address}", what, "download it and name the file")
    with _refusals(address):
        answer = get_session().head(address, follow_redirects=True, headers=_AS_IT_IS)
    told = answer.headers if answer.status_code < _HTTP_ERROR else {}  # some servers answer GET alone
    size = told.get("content-length") or ""
    version = told.get("etag") or told.get("last-modified") or ""
    return Remote(address, name, version, int(size) if size.isdecimal() else None)


@contextlib.contextmanager
def downloaded(home: Home, remote: Remote) -> Iterator[Path]:
    """The file at an address, for the block; it is kept when the block fails, so that nothing is fetched twice."""
    folder = home.path / DOWNLOADS / f"address-{short(digest(remote.address))}"
    with _alone(folder):
        version = folder / short(digest([remote.version, remote.size]))
        for other in folder.iterdir():  # what is left of contents that the address has no more
            if other != version or not remote.version:
                shutil.rmtree(other)
        version.mkdir(exist_ok=True)
        whole = version / remote.name
        try:
            if not whole.is_file():
                _fetch(remote, version / _PART)
                (version / _PART).rename(whole)
            yield whole
            whole.unlink(missing_ok=True)
        finally:
            _remove_empty(version, folder)


def _fetch(remote: Remote, part: Path) -> None:
    """Download what ``part`` lacks."""
    from huggingface_hub.file_download import http_get

    with part.open("ab") as out:
        if remote.size is not None and out.tell() > remote.size:  # a server that changed its mind
            out.truncate(0)
            out.seek(0)
        if remote.size is not None and out.tell() == remote.size:
            return
        with _refusals(remote.address), progress_bars(shown=sys.stderr.isatty()):
            http_get(remote.address, out, resume_size=out.tell(), headers=dict(_AS_IT_IS))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder, for one process at a time; whoever had it before may have removed it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.is_dir() and os.path.samestat(folder.stat(), os.fstat(descriptor)):
                yield
                return
        finally:
            os.close(descriptor)


def _remove_empty(version: Path, folder: Path) -> None:
    """Leave nothing behind that the next run could not go on with."""
    part = version / _PART
    if part.is_file() and not part.stat().st_size:
        part.unlink()
    with contextlib.suppress(OSError):  # something is in it, and stays
        version.rmdir()
        folder.rmdir()


@contextlib.contextmanager
def _refusals(address: str) -> Iterator[None]:
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    try:
        yield
    except (HTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:
        what = f"cannot be downloaded: {problem_in_words(error)}"
        raise Refusal(f"--from {address}", what, "check the address and the network, and run it again") from None
