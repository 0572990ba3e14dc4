"""WebDataset shards: the files of a sample one behind the other, named by its place in the mix, nothing else in them.

``000000042.json`` and, for one picture, ``000000042.jpg``; for several ``000000042.0.jpg``, ``000000042.1.png`` …:
numbers in the order of the image parts. Owner, time and mode are the same for every file, so equal mixes give
equal bytes.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curator.export import picture_extension
from curator.exporting.drafts import Drafts
from curator.exporting.source import Sample, Source, parts
from registry.images import ImageStore

KEY_DIGITS = 9
"""At least: keys of equal length sort in the order of the mix."""
DIGESTS = "images"
"""Key of the pictures' sha256s in the JSON of a sample."""
_BLOCK = tarfile.BLOCKSIZE
_RECORD = tarfile.RECORDSIZE


@dataclass
class TarShard:
    """One shard: its name, and where in it each sample begins."""

    name: str
    starts: list[int] = field(default_factory=list)
    end: int = 0
    """Where the last sample ends."""


def row(sample: Sample) -> dict[str, Any]:
    """What stands in the JSON of a sample: everything but the bytes of its pictures."""
    messages = [{"role": message["role"], "content": parts(message)} for message in sample.messages]
    return {**sample.origin(), "messages": messages, DIGESTS: sample.digests}


def write_shards(source: Source, drafts: Drafts, folder: Path) -> list[TarShard]:
    """Write ``train-00000.tar`` and so on, each of about the size asked for; what a killed run finished stays."""
    digits = max(KEY_DIGITS, len(str(len(source.reader))))
    shards: list[TarShard] = []
    for number, rows in enumerate(_cut(source, drafts)):
        shard = TarShard(f"train-{number:05d}.tar")
        target = folder / shard.name
        if target.is_file():
            for _, data, digests in rows:
                _count(shard, source.images, data, digests)
        else:
            with source.whole(target) as aside, aside.open("wb") as tar:
                for position, data, digests in rows:
                    for piece in _files(source.images, f"{position:0{digits}d}", data, digests):
                        tar.write(piece)
                    _count(shard, source.images, data, digests)
                    assert tar.tell() == shard.end, "a sample is as long as its files say"
                tar.write(bytes(2 * _BLOCK + -(shard.end + 2 * _BLOCK) % _RECORD))
        shards.append(shard)
    return shards


Rows = list[tuple[int, bytes, list[str]]]


def _cut(source: Source, drafts: Drafts) -> Iterator[Rows]:
    """Rows of one shard after the other; a shard holds one at least."""
    rows: Rows = []
    weight = 0
    for position, line in drafts:
        data = line.rstrip(b"\n")
        digests = json.loads(data)[DIGESTS]
        added = _size(source.images, data, digests)
        if rows and weight + added > source.shard_bytes:
            yield rows
            rows, weight = [], 0
        rows.append((position, data, digests))
        weight += added
    if rows:
        yield rows


def _size(images: ImageStore, data: bytes, digests: list[str]) -> int:
    """Bytes of a sample's files, headers and padding included."""
    lengths = [len(data), *(images.locate(sha256).length for sha256 in digests)]
    return sum(_BLOCK + length + -length % _BLOCK for length in lengths)


def _count(shard: TarShard, images: ImageStore, data: bytes, digests: list[str]) -> None:
    shard.starts.append(shard.end)
    shard.end += _size(images, data, digests)


def _files(images: ImageStore, key: str, data: bytes, digests: list[str]) -> Iterator[bytes | bytearray]:
    """Headers, contents and padding of a sample's files."""
    yield from _file(f"{key}.json", data)
    for number, sha256 in enumerate(digests):
        picture = images.read_checked(sha256)
        name = f"{key}.{number}" if len(digests) > 1 else key
        yield from _file(f"{name}.{picture_extension(picture)}", picture)


def _file(name: str, data: bytes | bytearray) -> Iterator[bytes | bytearray]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    yield member.tobuf(tarfile.USTAR_FORMAT)
    yield data
    yield bytes(-len(data) % _BLOCK)
