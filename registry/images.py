"""The image store: every picture once, by the sha256 of its file bytes, in tar shards with a parquet index.

A shard is an ordinary tar (``<sha256>.<ext>`` members, fixed headers) that any tool can read, and an index
``<shard>.parquet`` beside it: sha256, offset, length, width, height, crc32. A picture is one positioned read. Shard
names are digests of their content, and a shard is renamed into place after its index, so a killed writer
leaves nothing half visible.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from registry.damage import table_of
from registry.errors import Refusal
from registry.identity import digest, short
from registry.image_decoder import MAX_PIXELS, BadImage, decoded
from registry.image_header import whole_picture
from registry.image_index import SUM, Found, ImageIndex
from registry.store import Home, fsync

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_BYTES = 256 * 1024 * 1024
SMALL_PIXELS = 256 * 256
"""Pictures up to this are always decoded when they are checked."""
MAX_IMAGE_BYTES = 64 * 1024 * 1024
OPEN_SHARDS = 256
"""Shards that a reader keeps open: a pool of millions of pictures has more of them than a process may open files."""


@dataclass(frozen=True)
class ImageRef:
    """A stored picture: digest, and size in pixels."""

    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class Place:
    """Where a picture's bytes lie."""

    shard: str
    offset: int
    length: int
    crc32: int | None = None
    """Of its bytes; None where the index has none."""


def inspect(data: bytes | memoryview) -> tuple[int, int, str]:
    """``(width, height, extension)`` of picture bytes; raises BadImage for what is damaged, or no picture at all.

    What its structure shows to be whole is not decoded; everything else is, to the last pixel, and so is whatever is
    so small that decoding costs nothing.
    """
    if not data:
        raise BadImage("image is empty")
    if len(data) > MAX_IMAGE_BYTES:
        raise BadImage("image file too large")
    whole = whole_picture(data)
    if whole is not None and SMALL_PIXELS < whole.width * whole.height <= MAX_PIXELS:
        return whole
    return decoded(bytes(data))


class ImageStore:
    """The pictures of one data home. Opening reads the indexes; reading is one ``pread`` a picture."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._index = ImageIndex()
        self._files: dict[str, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take in shards that were added since."""
        if not self.home.images.is_dir():
            return
        indexes = sorted(self.home.images.glob("*.parquet"))
        fresh = [path for path in indexes if path.stem not in self._index and path.with_suffix(".tar").is_file()]
        self._index.add((path.stem, read_index(path)) for path in fresh)

    def __contains__(self, sha256: str) -> bool:
        return self._index.find(sha256) is not None

    def ref(self, sha256: str) -> ImageRef:
        """The reference of a stored picture (KeyError when it is not here)."""
        found = self.find(sha256)
        if found is None:
            raise KeyError(sha256)
        return found

    def find(self, sha256: str) -> ImageRef | None:
        """The reference of a picture, None when it is not stored."""
        found = self._index.find(sha256)
        return None if found is None else ImageRef(sha256, found.width, found.height)

    def locate(self, sha256: str) -> Place:
        """Where a picture lies; raises Refusal when it is not in the store."""
        return _place(sha256, self._index.find(sha256))

    def locate_all(self, sha256s: Sequence[str]) -> list[Place]:
        """``locate`` of many pictures, at a fraction of the cost of each alone."""
        return [_place(*pair) for pair in zip(sha256s, self._index.find_all(sha256s), strict=True)]

    def read(self, sha256: str) -> bytes:
        """The file bytes of a picture, as they were published."""
        return self.read_at(self.locate(sha256))

    def read_at(self, place: Place) -> bytes:
        """The bytes of a picture that was located before."""
        kept = self._files.get(place.shard)
        if kept is not None:
            data = os.pread(kept, place.length, place.offset)
        else:
            with self._opened(place.shard) as descriptor:
                data = os.pread(descriptor, place.length, place.offset)
        if len(data) != place.length:
            raise damaged_shard(self.home.images / f"{place.shard}.tar", "is cut off")
        return data

    def read_into(self, sha256: str, place: Place, room: memoryview, *, thorough: bool = False) -> None:
        """Fill ``room`` with the picture that lies at ``place``, as long; Refusal when its bytes are not as stored.

        The checksum of the index finds what goes wrong by itself, at a fraction of the cost of the digest. It finds
        nothing that somebody hid: ``thorough`` asks for the digest, and so does an index without checksums.
        """
        with self._opened(place.shard) as descriptor:
            got = os.preadv(descriptor, [room], place.offset)
        if got != place.length:
            raise damaged_shard(self.home.images / f"{place.shard}.tar", "is cut off")
        if thorough or place.crc32 is None:
            whole = hashlib.sha256(room).hexdigest() == sha256
        else:
            whole = zlib.crc32(room) == place.crc32
        if not whole:
            raise damaged_shard(self.home.images / f"{place.shard}.tar", f"is damaged (picture {sha256[:12]})")

    def read_checked(self, sha256: str) -> bytearray:
        """A picture's bytes, which are as they were stored, or a Refusal."""
        place = self.locate(sha256)
        data = bytearray(place.length)
        self.read_into(sha256, place, memoryview(data))
        return data

    @contextlib.contextmanager
    def _opened(self, shard: str) -> Iterator[int]:
        """The descriptor of a shard, kept for the next picture unless too many are kept already."""
        kept = self._files.get(shard)
        if kept is not None:
            yield kept
            return
        path = self.home.images / f"{shard}.tar"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise damaged_shard(path, "is missing") from None
        if len(self._files) < OPEN_SHARDS and self._files.setdefault(shard, descriptor) == descriptor:
            yield descriptor
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Give the file descriptors back."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    @contextlib.contextmanager
    def writer(self) -> Iterator[ImageWriter]:
        """Add pictures; finished shards become visible as they fill and at the end of the block."""
        with self.home.workspace("images") as work:
            writer = ImageWriter(self, work)
            try:
                yield writer
                writer.flush()
            finally:
                writer.close()


class ImageWriter:
    """Adds pictures that are not in the store yet. Used inside ``ImageStore.writer()``."""

    def __init__(self, store: ImageStore, work: Path) -> None:
        self._store = store
        self._work = work
        self._rows: list[dict[str, Any]] = []
        self._fresh: dict[str, ImageRef] = {}
        self._file: BinaryIO | None = None
        self._end = 0
        """Bytes of the shard so far."""
        self._waiting: list[bytes | memoryview] = []
        """What of them is not written yet."""

    def add(self, data: bytes | memoryview, *, min_side: int = 1) -> ImageRef:
        """Store picture bytes once; raises BadImage when they are no usable picture, or one with a shorter side."""
        sha = hashlib.sha256(data).hexdigest()
        known = self._fresh.get(sha) or self._store.find(sha)
        width, height, extension = (known.width, known.height, "") if known else inspect(data)
        if min(width, height) < min_side:
            raise BadImage("image is too small")
        if known:
            return known
        self._append(sha, extension, data, width, height)
        return ImageRef(sha, width, height)

    def _append(self, sha: str, extension: str, data: bytes | memoryview, width: int, height: int) -> None:
        if self._file is None:
            self._file, self._end = (self._work / "shard.tar").open("wb", buffering=0), 0
        offset = self._end + tarfile.BLOCKSIZE
        padding = -len(data) % tarfile.BLOCKSIZE
        self._waiting += [_member_header(f"{sha}.{extension}", len(data)), data, _ZEROS[:padding]]
        self._end = offset + len(data) + padding
        if len(self._waiting) >= _WRITTEN_TOGETHER:
            self._write()
        row = {"sha256": sha, "offset": offset, "length": len(data), "width": width, "height": height}
        self._rows.append(row | {SUM: zlib.crc32(data)})
        self._fresh[sha] = ImageRef(sha, width, height)
        if self._end >= SHARD_BYTES:
            self.flush()

    def _write(self) -> None:
        """Hand everything that waits to the system in as few calls as it takes."""
        assert self._file is not None
        pending = self._waiting
        while pending:
            written = os.writev(self._file.fileno(), pending[:_WRITTEN_TOGETHER])
            done = 0
            while done < len(pending) and written >= len(pending[done]):
                written -= len(pending[done])
                done += 1
            pending = pending[done:]
            if written:
                pending[0] = memoryview(pending[0])[written:]
        self._waiting = []

    def flush(self) -> None:
        """Close the current shard and make it visible: index first, then the tar that makes it count."""
        if self._file is None:
            return
        self._waiting += [_ZEROS, _ZEROS]
        self._write()
        self.close()
        name = short(digest([row["sha256"] for row in self._rows]))
        index = self._work / "shard.parquet"
        _write_index(index, name, self._rows)
        self._store.home.images.mkdir(parents=True, exist_ok=True)
        fsync(index)
        fsync(self._work / "shard.tar")
        index.replace(self._store.home.images / f"{name}.parquet")
        (self._work / "shard.tar").replace(self._store.home.images / f"{name}.tar")
        fsync(self._store.home.images)
        self._rows = []
        self._store.refresh()
        self._fresh = {}  # the store knows them now

    def close(self) -> None:
        """Close the shard that is being written, without making it visible."""
        if self._file is not None:
            self._file.close()
            self._file, self._waiting = None, []


def _place(sha256: str, found: Found | None) -> Place:
    if found is None:
        way = "pull its dataset again with 'curator pull'"
        raise Refusal(f"image {sha256[:12]}", "is not in the image store", way)
    return Place(found.shard, found.offset, found.length, found.crc32)


def read_index(path: Path) -> pa.Table:
    """The index of a shard; raises Refusal when it is damaged."""
    try:
        table = table_of(path)
    except Refusal as damage:
        raise damaged_shard(path, damage.what) from None
    if not set(table.column_names) >= _INDEX or any(column.null_count for column in table.columns):
        raise damaged_shard(path, "damaged (it lacks columns or values)")
    if not all(map(_SHA256.fullmatch, table.column("sha256").to_pylist())):
        raise damaged_shard(path, "damaged (a sha256 is none)")
    return table


def damaged_shard(path: Path, what: str) -> Refusal:
    """The refusal of a shard, or of its index, and how to have its pictures again."""
    both = f"{path.with_suffix('.parquet').name} and {path.with_suffix('.tar').name}"
    way_out = f"remove {both} from {path.parent} and pull its datasets again: missing pictures are put back"
    return Refusal(str(path), what, way_out)


def _member_header(name: str, size: int) -> bytes:
    """The tar header of a file, as ``tarfile`` writes it for these fields, at a tenth of its cost."""
    header = bytearray(_HEADER)
    header[: len(name)] = name.encode()
    header[124:135] = b"%011o" % size
    header[148:156] = b"%06o\0 " % (_HEADERSUM + sum(header[: len(name)]) + sum(header[124:135]))
    return bytes(header)


def _empty_header() -> bytes:
    """A header without name, size and checksum: mode, owner and time are the same for every picture."""
    header = bytearray(tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT))
    header[148:156] = bytes(8)
    return bytes(header)


_HEADER = _empty_header()
_HEADERSUM = sum(_HEADER) - sum(_HEADER[124:135]) + 8 * 0x20
"""Of what is the same for every picture; the checksum itself counts as eight blanks."""
_INDEX = {"sha256", "offset", "length", "width", "height"}
"""Columns of an index that are read."""
_SHA256 = re.compile("[0-9a-f]{64}")
_ZEROS = bytes(tarfile.BLOCKSIZE)
_WRITTEN_TOGETHER = 48
"""Pieces (three a picture) that are written with one call."""


def _write_index(path: Path, shard: str, rows: Iterable[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("sha256", pa.string()),
            ("shard", pa.string()),
            ("offset", pa.int64()),
            ("length", pa.int64()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            (SUM, pa.uint32()),
        ]
    )
    table = pa.Table.from_pylist([{**row, "shard": shard} for row in rows], schema=schema)
    pq.write_table(table, path, compression="zstd")
