"""Picture files of a pulled dataset: loose, members of its zip and tar archives, or in a folder that the user names.

Never outside these folders; only links that the user made in his own are followed. What a row names is put into the
card's path templates (``coco/train2017/{}``), and the first path that is there is taken.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import posixpath
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from curator.raw_sample import Unusable, plain
from registry.card import PLACE
from registry.errors import Refusal
from registry.images import MAX_IMAGE_BYTES, ImageRef

if TYPE_CHECKING:
    from curator.fetching.outcomes import Outcomes

MAX_MEMBERS = 20_000_000
"""An archive that lists more members than this is refused."""
ARCHIVE_SUFFIXES = (".zip", ".tar")
COMPRESSED_SUFFIXES = (".tar.gz", ".tgz")
"""Unpacked once to a plain tar for the time of the run: a member cannot be reached without all before it."""
MISSING = "image file is missing"
ADDRESS = "image is an address that was not fetched"
NOT_ARRIVED = "image did not arrive"
"""Of a picture that was fetched from its address; what became of it follows."""

_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_BLOCK = 1 << 20


def safe_relative(name: str) -> str:
    """``name`` as a clean relative posix path; raises Unusable when it could leave its folder."""
    path = PurePosixPath(name)
    if not name or "\0" in name or "\\" in name or path.is_absolute() or ".." in path.parts:
        raise Unusable("image path is not safe", name)
    return path.as_posix()


class Pictures:
    """Reads picture bytes by what a row names, relative to the dataset's folder or to the user's."""

    def __init__(
        self,
        folder: Path,
        files: list[str],
        templates: Sequence[str] = (),
        given: Path | None = None,
        unpack_into: Path | None = None,
        fetched: Outcomes | None = None,
    ) -> None:
        """Pictures of one dataset.

        Args:
            folder: where the dataset's files are.
            files: their names.
            templates: of a picture's path.
            given: the user's folder of pictures.
            unpack_into: an empty folder for unpacked archives.
            fetched: what became of addresses.
        """
        self._folder = folder.resolve()
        self._given = given
        self._templates = tuple(templates) or ("{}",)
        self._archives = [folder / name for name in files if PurePosixPath(name).suffix in ARCHIVE_SUFFIXES]
        self._compressed = [folder / name for name in files if name.endswith(COMPRESSED_SUFFIXES)]
        self._unpack_into = unpack_into
        self._fetched = fetched
        self._members: dict[str, tuple[Path, int, int]] | None = None
        self._zips: dict[Path, zipfile.ZipFile] = {}
        self._taken: Any = None

    def fetched(self, name: str) -> ImageRef | None:
        """The picture of an address; None for what was never asked for. Raises Unusable when it did not arrive."""
        found = None if self._fetched is None else self._fetched.get(plain(name))
        if isinstance(found, str):
            raise Unusable(f"{NOT_ARRIVED}: {found}", name)
        return found

    def read(self, name: str) -> bytes:
        """The bytes of one picture; raises Unusable when it is not there, not safe, or too large."""
        paths = self.paths(name)
        for path in paths:
            try:
                data = _read_inside(self._folder, path)
                if data is None and self._given is not None:
                    data = self._from_given(path)
            except (OSError, ValueError):
                raise Unusable("image cannot be read", name) from None
            if data is not None:
                return data
        for path in paths:
            data = self._from_archive(path)
            if data is not None:
                return data
        raise Unusable(MISSING, paths[0])

    def paths(self, name: str) -> list[str]:
        """Where a picture may lie, most likely first; raises Unusable for an address or an unsafe path."""
        if _PROTOCOL.match(name):
            raise Unusable(ADDRESS, name)
        return [safe_relative(_filled(template, name)) for template in self._templates]

    def given_digest(self) -> str | None:
        """Digest of what was read of the user's folder so far, names and bytes in their order; None for nothing."""
        return self._taken.hexdigest() if self._taken is not None else None

    def _from_given(self, path: str) -> bytes | None:
        """A picture of the user's folder; what is read there, or cannot be, is noted."""
        assert self._given is not None
        try:
            data = _read(self._given / path)
        except (OSError, ValueError, Unusable):
            self._note(path, b"cannot be read")
            raise
        if data is not None:
            self._note(path, hashlib.sha256(data).digest())
        return data

    def _note(self, path: str, found: bytes) -> None:
        self._taken = self._taken or hashlib.sha256()
        self._taken.update(plain(f"{len(path)} {path} ").encode() + found)

    def close(self) -> None:
        """Close what is open."""
        if self._fetched is not None:
            self._fetched.close()
        for archive in self._zips.values():
            archive.close()

    def _from_archive(self, path: str) -> bytes | None:
        if self._members is None:
            self._members = self._index()
        inside = next((name for name in _inside_archives(path) if name in self._members), None)
        if inside is None:
            return None
        archive, offset, size = self._members[inside]
        if size > MAX_IMAGE_BYTES:
            raise Unusable("image file too large", path)
        if archive.suffix == ".tar":
            with archive.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        try:
            return self._zip(archive).read(inside)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):  # the last: a compression it has not
            raise Unusable("image cannot be read", inside) from None
        except RuntimeError:  # what zipfile raises for a password
            raise Refusal(archive.name, "is encrypted", "unpack it and name its folder with --images") from None

    def _index(self) -> dict[str, tuple[Path, int, int]]:
        """Member -> (archive, offset, size) over all archives; the first archive that has a name wins."""
        members: dict[str, tuple[Path, int, int]] = {}
        for archive in [*self._archives, *self._unpacked()]:
            try:
                for name, offset, size in self._listed(archive):
                    members.setdefault(name, (archive, offset, size))
            except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
                raise Refusal(archive.name, f"is no readable archive ({error})", "pull the dataset again") from None
            if len(members) > MAX_MEMBERS:
                raise Refusal(archive.name, f"lists more than {MAX_MEMBERS:,} members", "unpack the pictures beside it")
        return members

    def _unpacked(self) -> Iterator[Path]:
        """The compressed tars as plain ones."""
        for number, archive in enumerate(self._compressed):
            if self._unpack_into is None:
                raise Refusal(archive.name, "is a compressed tar, and there is no room to unpack it", "unpack it")
            plain = self._unpack_into / f"{number}.tar"
            try:
                with gzip.open(archive, "rb") as packed, plain.open("wb") as out:
                    shutil.copyfileobj(packed, out, _BLOCK)
            except (EOFError, OSError, zlib.error) as error:  # BadGzipFile and a full disk are OSErrors
                raise Refusal(archive.name, f"is no readable archive ({error})", "pull the dataset again") from None
            yield plain

    def _listed(self, archive: Path) -> Iterator[tuple[str, int, int]]:
        if archive.suffix == ".zip":
            yield from ((info.filename, 0, info.file_size) for info in self._zip(archive).infolist())
            return
        places: dict[str, tuple[int, int]] = {}
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                place = (member.offset_data, member.size) if member.isreg() else places.get(linked_member(member))
                if place is not None:  # folders, devices and links to nothing are no pictures: a row misses them
                    places[name] = place
                    yield name, *place
            refuse_open_end(tar)

    def _zip(self, archive: Path) -> zipfile.ZipFile:
        if archive not in self._zips:
            self._zips[archive] = zipfile.ZipFile(archive)
        return self._zips[archive]


def linked_member(member: tarfile.TarInfo) -> str:
    """The member that a link of a tar is another name of; empty for what is no link, or leaves the archive."""
    if not (member.islnk() or member.issym()):
        return ""
    folder = posixpath.dirname(member.name) if member.issym() else ""
    path = posixpath.normpath(posixpath.join(folder, member.linkname))
    return "" if path.startswith(("/", "..")) else path


def refuse_open_end(tar: tarfile.TarFile) -> None:
    """Refuse a tar, read to its end, that stops between two members: nobody knows how many should follow.

    A compressed one has a sum over all of it, which the decompressor looks at.
    """
    if isinstance(tar.fileobj, io.BufferedReader):
        tar.fileobj.seek(tar.offset)
        block = tar.fileobj.read(tarfile.BLOCKSIZE)
        if not block or block.strip(b"\0"):
            raise tarfile.ReadError("it is cut off")


def _inside_archives(path: str) -> Iterator[str]:
    """Names that a picture may have inside an archive: its path, one below ``images/``, or one without leading folders.

    Publishers pack a folder from inside or from above it.
    """
    yield path
    yield f"images/{path}"
    parts = path.split("/")
    yield from ("/".join(parts[start:]) for start in range(1, len(parts)))


def _filled(template: str, name: str) -> str:
    """``name`` in its place; a number is written with the zeros that the template asks for."""
    place = PLACE.search(template)
    if place is None:
        return template
    width = place.group(1)
    if width is not None:
        if not name.isdecimal():
            raise Unusable("image name is no number", name)
        name = name.zfill(int(width))
    return template[: place.start()] + name + template[place.end() :]


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """``(path, bytes, time)`` of every file below the user's folder, sorted; his own links are followed, each once.

    The time is that of the last change of the file's entry, which nobody can set back.
    """
    found: list[tuple[str, int, int]] = []
    seen: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()  # of two names of one folder, the same one is taken every time
        here = Path(root)
        there = [here / name for name in files if (here / name).is_file()]  # a link that leads nowhere is no file
        states = [(path.relative_to(folder).as_posix(), path.stat()) for path in there]
        found += [(plain(name), state.st_size, state.st_ctime_ns) for name, state in states]
    return sorted(found)


def _read_inside(folder: Path, path: str) -> bytes | None:
    """A regular file below ``folder``, or None. A link that leaves the folder counts as not there."""
    full = folder / path
    return _read(full) if full.resolve().is_relative_to(folder) else None


def _read(path: Path) -> bytes | None:
    """A regular file's bytes; None when there is none."""
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise Unusable("image file too large", path.name)
    return path.read_bytes()
