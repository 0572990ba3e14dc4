"""What ``--from`` names, as a folder: a folder, one data file, an archive, or the http(s) address of one of these two.

An archive is unpacked beside the home's work and thrown away after the pull; no member can leave that folder or fill
the disk.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from curator.address import Remote, ask, downloaded, is_address
from curator.pictures import MAX_MEMBERS, linked_member, refuse_open_end, safe_relative
from curator.raw_sample import Unusable
from curator.reading import DATA_SUFFIXES
from curator.selection import HUB_CACHE
from registry.errors import Refusal
from registry.store import Home

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
READABLE = (*DATA_SUFFIXES, *ARCHIVES)
"""Endings of files that can be pulled on their own."""
HUB_DATA = "data"
"""A folder's name that is part of how datasets are laid out on the Hub."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class LocalCopy:
    """A folder with published files, and which of them are meant (None = all)."""

    folder: Path
    only: list[str] | None = None
    left_out: tuple[str, ...] = ()
    """Members of an archive that are no files."""


@contextlib.contextmanager
def local_copy(home: Home, given: str, remote: Remote | None = None) -> Iterator[LocalCopy]:
    """The files that ``given`` names, as a folder that stays for the block; Refusal when they are not to be had.

    ``remote`` is what the server of an address said of it, where it was asked already.
    """
    if not is_address(given):
        with _opened(home, Path(given), given) as copy:
            yield copy
        return
    with downloaded(home, remote or ask(given, READABLE)) as path:
        try:
            with _opened(home, path, given) as copy:
                yield copy
        except _NoArchive:
            path.unlink(missing_ok=True)  # so that the next run fetches it again
            raise


@contextlib.contextmanager
def _opened(home: Home, path: Path, given: str) -> Iterator[LocalCopy]:
    """A folder, a file or an archive as a folder."""
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
            left_out = unpack(path, inside)
            yield LocalCopy(_top(inside), left_out=tuple(left_out))
    else:
        known = ", ".join(READABLE)
        raise Refusal(f"--from {given}", "is no kind of file that is read", f"name a folder or a file of: {known}")


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


class _NoArchive(Refusal):
    """An archive whose content is of no use, however often it is looked at."""


def unpack(archive: Path, into: Path) -> list[str]:
    """Unpack an archive into an empty folder; Refusal for a damaged one, unsafe names, or more than the disk holds.

    Returns the names that are no files: devices, and links to anything but a file before them.
    """
    try:
        return _unpack_zip(archive, into) if archive.suffix.lower() == ".zip" else _unpack_tar(archive, into)
    except (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        # zipfile raises the last two for a compression that it has not, and for a password
        raise _NoArchive(
            archive.name, f"is no readable archive ({' '.join(str(error).split())})", "get it again"
        ) from None
    except OSError as error:
        raise Refusal(archive.name, f"cannot be unpacked ({error.strerror or error})", "get it again") from None


def _unpack_zip(archive: Path, into: Path) -> list[str]:
    with zipfile.ZipFile(archive) as packed:
        members = [member for member in packed.infolist() if not member.is_dir()]
        _check_room(archive, len(members), sum(member.file_size for member in members), into)
        for member in members:
            target = _target(archive, member.filename, into)
            with packed.open(member) as source:
                _write(target, source, member.file_size)
    return []


def _unpack_tar(archive: Path, into: Path) -> list[str]:
    left_out = []
    with tarfile.open(archive) as tar:
        for number, member in enumerate(tar):
            target = _target(archive, member.name.removeprefix("./"), into)
            source = tar.extractfile(member) if member.isreg() else None
            if source is not None:
                _check_room(archive, number, member.size, into)
                _write(target, source, member.size)
            elif not member.isdir() and not _linked(into, linked_member(member), target):
                left_out.append(member.name)
        refuse_open_end(tar)
    return left_out


def _linked(into: Path, earlier: str, target: Path) -> bool:
    """Give a file that is unpacked already another name; False for links to anything else, and for devices."""
    if not earlier or not (into / earlier).is_file():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(into / earlier, target)
    return True


def _target(archive: Path, name: str, into: Path) -> Path:
    try:
        return into / safe_relative(name)
    except Unusable:
        raise _NoArchive(archive.name, f"has a file outside its folder: {name!r}", "do not use this archive") from None


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
