"""Where every picture of a data home lies, in arrays: 64 bytes a picture, and no Python object for any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

DIGEST_BYTES = 32
DIGEST = f"S{DIGEST_BYTES}"
"""Bytes of a sha256. numpy drops the zeros at the end of such a value: as all are equally long, none become equal."""


SUM = "crc32"
"""Column that an index may lack: checksums of the pictures' bytes."""
_NONE = -1


class Found(NamedTuple):
    """A picture: its shard, where in it, its size in pixels, and its checksum if the index has one."""

    shard: str
    offset: int
    length: int
    width: int
    height: int
    crc32: int | None


@dataclass(frozen=True)
class Segment:
    """Pictures sorted by digest, each once."""

    digests: npt.NDArray[np.bytes_]
    shards: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int32]
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    sums: npt.NDArray[np.int64]

    @classmethod
    def of(cls, index: pa.Table, shard: int) -> Self:
        """The index of one shard, as it lies on disk: not sorted."""
        digests = np.frombuffer(bytes.fromhex("".join(index.column("sha256").to_pylist())), DIGEST)
        lengths, widths, heights = (
            index.column(name).to_numpy().astype(np.int32) for name in ("length", "width", "height")
        )
        known = index.column(SUM).to_numpy() if SUM in index.column_names else np.full(len(digests), _NONE)
        return cls(
            digests,
            np.full(len(digests), shard, np.int32),
            index.column("offset").to_numpy().astype(np.int64),
            lengths,
            widths,
            heights,
            known.astype(np.int64),
        )

    def find(self, digest: bytes) -> int:
        """The place of a picture, -1 when it is not among these."""
        wanted = np.bytes_(digest.rstrip(b"\0"))
        place = int(self.digests.searchsorted(wanted))
        return place if place < len(self.digests) and self.digests[place] == wanted else -1

    def find_all(self, digests: npt.NDArray[np.bytes_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which of these are among the pictures, and the place of each of those."""
        places = np.minimum(self.digests.searchsorted(digests), max(len(self.digests) - 1, 0))
        at = np.flatnonzero(self.digests[places] == digests) if len(self.digests) else np.empty(0, np.int64)
        return at, places[at]

    def numbers(self, place: int) -> tuple[int, int, int, int, int | None]:
        """Offset, length, width, height and checksum of the picture at this place."""
        columns = (self.offsets, self.lengths, self.widths, self.heights, self.sums)
        offset, length, width, height, crc32 = (int(column[place]) for column in columns)
        return offset, length, width, height, None if crc32 == _NONE else crc32

    def __len__(self) -> int:
        return len(self.digests)


def merged(segments: Iterable[Segment]) -> Segment:
    """All of these as one; of a picture that several have, the first one counts."""
    parts = list(segments)
    digests, first = np.unique(np.concatenate([part.digests for part in parts]), return_index=True)
    others = (np.concatenate([getattr(part, one.name) for part in parts])[first] for one in fields(Segment)[1:])
    return Segment(digests, *others)


class ImageIndex:
    """All shards that were taken in. A shard that comes later is merged into what is no larger than itself."""

    def __init__(self) -> None:
        self._shards: set[str] = set()
        self._names: list[str] = []
        self._segments: list[Segment] = []

    def add(self, tables: Iterable[tuple[str, pa.Table]]) -> None:
        """Take in shards: their names and indexes, in the order in which they count."""
        names = list(self._names)
        fresh = []
        for name, table in tables:
            fresh.append(Segment.of(table, len(names)))
            names.append(name)
        if not fresh:
            return
        segments = [*self._segments, merged(fresh)]
        while len(segments) > 1 and len(segments[-2]) <= 2 * len(segments[-1]):
            segments[-2:] = [merged(segments[-2:])]
        self._names = names  # other threads look things up meanwhile: names first
        self._segments = segments
        self._shards = set(names)

    def __contains__(self, shard: str) -> bool:
        return shard in self._shards

    def find(self, sha256: str) -> Found | None:
        """Where a picture lies and how large it is, None when no shard has it."""
        try:
            digest = bytes.fromhex(sha256)
        except ValueError:
            return None
        if len(digest) != DIGEST_BYTES:
            return None
        for segment in self._segments:
            place = segment.find(digest)
            if place >= 0:
                return Found(self._names[segment.shards[place]], *segment.numbers(place))
        return None

    def find_all(self, sha256s: Sequence[str]) -> list[Found | None]:
        """``find`` of many pictures, at a fraction of the cost of each alone."""
        try:
            wanted = np.frombuffer(bytes.fromhex("".join(sha256s)), DIGEST)
        except ValueError:
            wanted = np.empty(0, DIGEST)
        if len(wanted) != len(sha256s):  # one of them is no digest
            return [self.find(sha256) for sha256 in sha256s]
        found: list[Found | None] = [None] * len(wanted)
        for segment in reversed(self._segments):  # what the first ones have counts
            at, places = segment.find_all(wanted)
            names = [self._names[shard] for shard in segment.shards[places].tolist()]
            sizes = (segment.offsets, segment.lengths, segment.widths, segment.heights)
            sums = [None if crc32 == _NONE else crc32 for crc32 in segment.sums[places].tolist()]
            columns = (names, *(column[places].tolist() for column in sizes), sums)
            for place, one in zip(at.tolist(), map(Found, *columns), strict=True):
                found[place] = one
        return found
