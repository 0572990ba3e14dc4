"""What ``--from`` names, as a folder: a folder, one data file, an archive, or the http(s) address of one of these two.

A download is kept unfinished under the address and the server's ETag, and continued by the next run. An archive is
unpacked beside the home's work and thrown away after the pull; no member can leave that folder or fill the disk.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from curator.pictures import MAX_MEMBERS, safe_relative
from curator.raw_sample import Unusable
from curator.reading import DATA_SUFFIXES
from curator.selection import HUB_CACHE
from registry.errors import Refusal
from registry.identity import digest, short
from registry.store import Home

DOWNLOADS = "downloads"
"""Folder of the home where unfinished downloads stay, to be continued by the next run."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
HUB_DATA = "data"
"""A folder's name that is part of how datasets are laid out on the Hub."""
HTTP_ERROR = 400
_BLOCK = 1 << 20


@dataclass(frozen=True)
class LocalCopy:
    """A folder with published files, and which of them are meant (None = all)."""

    folder: Path
    only: list[str] | None = None


def is_address(given: str) -> bool:
    """Whether ``--from`` names something to download."""
    return given.startswith(("http://", "https://"))


@contextlib.contextmanager
def local_copy(home: Home, given: str) -> Iterator[LocalCopy]:
    """The files that ``given`` names, as a folder that stays for the block; Refusal when they are not to be had."""
    path = _downloaded(home, given) if is_address(given) else Path(given)
    if path.is_dir():
        yield LocalCopy(_snapshot(path))
    elif not path.is_file():
        raise Refusal(f"--from {given}", "is no folder, file or http address", "name the dataset's files")
    elif path.suffix in DATA_SUFFIXES:
        yield LocalCopy(path.parent, [path.name])
    elif path.name.lower().endswith(ARCHIVES):
        with home.workspace("unpacked") as room:
            inside = room / "files"
            inside.mkdir()
            try:
                unpack(path, inside)
            except Refusal:
                if is_address(given):
                    path.unlink(missing_ok=True)  # so that the next run fetches it again
                raise
            yield LocalCopy(_top(inside))
    else:
        known = ", ".join((*DATA_SUFFIXES, *ARCHIVES))
        raise Refusal(f"--from {given}", "is no kind of file that is read", f"name a folder or a file of: {known}")
    if is_address(given):
        path.unlink(missing_ok=True)


def _snapshot(folder: Path) -> Path:
    """The published files of a repository in the Hub client's cache; any other folder is itself."""
    if not folder.resolve().name.startswith(HUB_CACHE) or not (folder / "snapshots").is_dir():
        return folder
    there = sorted(path for path in (folder / "snapshots").iterdir() if path.is_dir())
    if len(there) != 1:
        named = ", ".join(str(path) for path in there) or "none is there"
        raise Refusal(f"--from {folder}", f"is a cache with {len(there)} snapshots", f"name one of them: {named}")
    return there[0]


def _top(folder: Path) -> Path:
    """The folder that an archive was made of: an only folder at the top holds everything, and names nothing."""
    there = list(folder.iterdir())
    while len(there) == 1 and there[0].is_dir() and there[0].name != HUB_DATA:
        folder, there = there[0], list(there[0].iterdir())
    return folder


def unpack(archive: Path, into: Path) -> None:
    """Unpack an archive into an empty folder; Refusal for a damaged one, unsafe names, or more than the disk holds."""
    try:
        if archive.suffix.lower() == ".zip":
            _unpack_zip(archive, into)
        else:
            _unpack_tar(archive, into)
    except (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        # zipfile raises the last two for a compression that it has not, and for a password
        raise Refusal(archive.name, f"is no readable archive ({error})", "get it again") from None
    except OSError as error:
        raise Refusal(archive.name, f"cannot be unpacked ({error.strerror or error})", "get it again") from None


def _unpack_zip(archive: Path, into: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = [member for member in packed.infolist() if not member.is_dir()]
        _check_room(archive, len(members), sum(member.file_size for member in members), into)
        for member in members:
            target = _target(archive, member.filename, into)
            with packed.open(member) as source:
                _write(target, source, member.file_size)


def _unpack_tar(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as tar:
        for number, member in enumerate(tar):
            source = tar.extractfile(member) if member.isreg() else None
            if source is not None:  # links and devices are no data
                _check_room(archive, number, member.size, into)
                _write(_target(archive, member.name.removeprefix("./"), into), source, member.size)


def _target(archive: Path, name: str, into: Path) -> Path:
    try:
        return into / safe_relative(name)
    except Unusable:
        raise Refusal(archive.name, f"has a file outside its folder: {name!r}", "do not use this archive") from None


def _check_room(archive: Path, members: int, size: int, into: Path) -> None:
    """Refuse more files than ``MAX_MEMBERS``, or more bytes than are free now."""
    if members > MAX_MEMBERS:
        raise Refusal(archive.name, f"lists more than {MAX_MEMBERS:,} files", "unpack it yourself and name the folder")
    free = shutil.disk_usage(into).free
    if size > free:
        raise Refusal(archive.name, f"unpacks to {size:,} bytes and {free:,} are free", "free some space")


def _write(target: Path, source: IO[bytes], size: int) -> None:
    """Copy no more than ``size`` bytes, whatever the archive's stream would give."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = size
    with target.open("wb") as out:
        while left > 0 and (block := source.read(min(_BLOCK, left))):
            left -= out.write(block)


def _downloaded(home: Home, address: str) -> Path:
    """The file at an address, under its own name, in a folder of its version."""
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import get_session

    name = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name
    if not name.lower().endswith((*DATA_SUFFIXES, *ARCHIVES)):
        known = ", ".join((*DATA_SUFFIXES, *ARCHIVES))
        raise Refusal(f"--from {address}", f"names no file of a known kind ({known})", "download it and name the file")
    try:
        answer = get_session().head(address, follow_redirects=True)
        told = answer.headers if answer.status_code < HTTP_ERROR else {}  # some servers answer GET alone
        version = told.get("etag") or told.get("last-modified") or ""
        folder = home.path / DOWNLOADS / f"address-{short(digest([address, version]))}"
        folder.mkdir(parents=True, exist_ok=True)
        whole, part = folder / safe_relative(name), folder / "unfinished"
        if not version:  # nothing tells whether what is here is of the same file
            whole.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
        if whole.is_file():
            return whole
        size = told.get("content-length")
        with part.open("ab") as out:
            http_get(
                address,
                out,
                resume_size=out.tell(),
                expected_size=int(size) if size and size.isdecimal() else None,
            )
    except (HTTPError, OfflineModeIsEnabled, OSError) as error:
        what = f"cannot be downloaded ({type(error).__name__})"
        raise Refusal(f"--from {address}", what, "check the address and the network, and run it again") from None
    part.rename(whole)
    return whole
