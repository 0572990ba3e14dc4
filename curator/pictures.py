"""Picture files of a pulled dataset: loose, or members of its zip and tar archives. Never outside its folder."""

from __future__ import annotations

import contextlib
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from curator.raw_sample import Unusable
from registry.errors import Refusal
from registry.images import MAX_IMAGE_BYTES

MAX_MEMBERS = 20_000_000
"""An archive that lists more members than this is refused."""
ARCHIVE_SUFFIXES = (".zip", ".tar")
"""Compressed tars are not read: a picture inside one cannot be reached without unpacking all before it."""


def safe_relative(name: str) -> str:
    """``name`` as a clean relative posix path; raises Unusable when it could leave its folder."""
    path = PurePosixPath(name)
    if not name or "\0" in name or "\\" in name or path.is_absolute() or ".." in path.parts:
        raise Unusable("image path is not safe", name)
    return path.as_posix()


class Pictures:
    """Reads picture bytes by the path that a row names, relative to the dataset's folder."""

    def __init__(self, folder: Path, files: list[str]) -> None:
        self._folder = folder.resolve()
        self._archives = [name for name in files if PurePosixPath(name).suffix in ARCHIVE_SUFFIXES]
        self._members: dict[str, tuple[str, int, int]] | None = None
        self._zips: dict[str, zipfile.ZipFile] = {}

    def read(self, name: str) -> bytes:
        """The bytes of one picture; raises Unusable when it is not there, not safe, or too large."""
        path = safe_relative(name)
        try:
            data = _read_inside(self._folder, path)
        except (OSError, ValueError):
            raise Unusable("image cannot be read", name) from None
        if data is None:
            data = self._from_archive(path)
        if data is None:
            raise Unusable("image file is missing", name)
        return data

    def close(self) -> None:
        """Close the archives."""
        for archive in self._zips.values():
            archive.close()

    def _from_archive(self, path: str) -> bytes | None:
        if self._members is None:
            self._members = self._index()
        found = self._members.get(path) or self._members.get(f"images/{path}")
        if found is None:
            return None
        archive, offset, size = found
        if size > MAX_IMAGE_BYTES:
            raise Unusable("image file too large", path)
        if archive.endswith(".tar"):
            with (self._folder / archive).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        with contextlib.suppress(KeyError):
            return self._zip(archive).read(path)
        return self._zip(archive).read(f"images/{path}")

    def _index(self) -> dict[str, tuple[str, int, int]]:
        """Member -> (archive, offset, size) over all archives; the first archive that has a name wins."""
        members: dict[str, tuple[str, int, int]] = {}
        for archive in self._archives:
            try:
                for name, offset, size in self._listed(archive):
                    members.setdefault(name, (archive, offset, size))
            except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
                raise Refusal(archive, f"is no readable archive ({error})", "pull the dataset again") from None
            if len(members) > MAX_MEMBERS:
                raise Refusal(archive, f"lists more than {MAX_MEMBERS:,} members", "unpack the pictures beside it")
        return members

    def _listed(self, archive: str) -> Iterator[tuple[str, int, int]]:
        if archive.endswith(".zip"):
            yield from ((info.filename, 0, info.file_size) for info in self._zip(archive).infolist())
            return
        with tarfile.open(self._folder / archive, "r:") as tar:
            for member in tar:
                if member.isreg():
                    yield member.name.removeprefix("./"), member.offset_data, member.size

    def _zip(self, archive: str) -> zipfile.ZipFile:
        if archive not in self._zips:
            self._zips[archive] = zipfile.ZipFile(self._folder / archive)
        return self._zips[archive]


def _read_inside(folder: Path, path: str) -> bytes | None:
    """A regular file below ``folder``, or None. A link that leaves the folder counts as not there."""
    full = folder / path
    if not full.is_file() or not full.resolve().is_relative_to(folder):
        return None
    if full.stat().st_size > MAX_IMAGE_BYTES:
        raise Unusable("image file too large", path)
    return full.read_bytes()
