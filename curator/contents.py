"""Check what lies in the data home to the last byte: published files, samples, measures, mixes, and every picture.

A disk or a copy may damage a file without a word. Published files and pictures carry the digest of their bytes, a
sample carries that of its content; everything else must be readable.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from curator.check import Findings
from curator.lineage import finished_folders
from curator.measure import sample_tables
from curator.normalise import REJECTED_FILE
from curator.pictures import safe_relative
from curator.raw_sample import Unusable
from curator.selection import LISTING
from registry.damage import damage_refused, damaged, table_of
from registry.errors import Refusal
from registry.identity import digest, file_digest, short
from registry.images import damaged_shard, read_index
from registry.sample import sample_id
from registry.store import Home, read_record

Advance = Callable[[int], None]
_OF_A_DATASET = ("raw", "samples")


@dataclass
class Contents:
    """What is to be read, and what was learnt on the way."""

    home: Home
    datasets: Sequence[str] = ()
    """Their published files, their samples and the pictures of these; empty = everything in the home."""
    advance: Advance = lambda _bytes: None
    """Told the bytes that were read."""
    named: dict[str, str] = field(default_factory=dict)
    """Picture that a sample names -> the folder of the sample."""
    kept: set[str] = field(default_factory=set)
    """Pictures that are in some shard."""

    def folders(self) -> list[Path]:
        """The finished folders that are read."""
        there = list(finished_folders(self.home))
        if not self.datasets:
            return there
        stages = [self.home.stage(stage) for stage in _OF_A_DATASET]
        return [path for path in there if path.parent in stages and path.name.partition("@")[0] in self.datasets]

    def shards(self) -> list[Path]:
        """The indexes of the picture shards; one without its tar is what a killed writer left, and nobody reads it."""
        return [path for path in sorted(self.home.images.glob("*.parquet")) if path.with_suffix(".tar").is_file()]

    def size(self) -> int:
        """Bytes that are read at most."""
        files = [path for folder in self.folders() for path in folder.rglob("*") if path.is_file()]
        tars = [index.with_suffix(".tar") for index in self.shards()]
        return sum(path.stat().st_size for path in [*files, *tars])

    def check(self, findings: Findings) -> None:
        """Read everything, and add what is wrong."""
        checks = {"raw": self._raw, "samples": self._samples}
        for folder in self.folders():
            findings.add("folders", partial(checks.get(folder.parent.name, self._tables), folder))
        for index in self.shards():
            findings.add("picture shards", partial(self._shard, index))
        self.missing(findings)

    def missing(self, findings: Findings) -> None:
        """Add the folders whose samples name pictures that are in no shard."""
        lost = Counter(folder for sha256, folder in self.named.items() if sha256 not in self.kept)
        for folder, count in sorted(lost.items()):
            what = f"{count:,} pictures of its samples are in no shard"
            way_out = f"run '{read_record(self.home.stage('samples') / folder).command}' again: it puts them back"
            findings.faults.append(Refusal(f"samples/{folder}", what, way_out))

    def _raw(self, folder: Path) -> Iterator[Refusal]:
        """The published files, by the digests that were taken when they were pulled."""
        try:
            listed = [json.loads(line) for line in (folder / LISTING).read_bytes().splitlines()]
            files = [(folder / safe_relative(one["path"]), one["sha256"]) for one in listed]
        except (OSError, ValueError, KeyError, TypeError, Unusable):
            yield damaged(folder / LISTING, "is no list of files")
            return
        for path, sha256 in files:
            if not path.is_file():
                yield damaged(path, "is not there")
            elif file_digest(path) != sha256:
                yield damaged(path, "is not the file that was pulled")
            self.advance(path.stat().st_size if path.is_file() else 0)

    def _samples(self, folder: Path) -> Iterator[Refusal]:
        """Samples by the digests that are their ids, and the rows that were rejected by their number."""
        record = read_record(folder)
        rows = 0
        for path in sorted(folder.glob("part-*.parquet")):
            for table in sample_tables(path):
                for row in table.to_pylist():
                    pictures = [(image or {}).get("sha256", "") for image in row.get("images") or ()]
                    if sample_id(row.get("messages"), pictures) != row.get("id"):
                        yield damaged(path, f"row {rows} is not the sample that its id names")
                        return
                    self.named.update(dict.fromkeys(pictures, folder.name))
                    rows += 1
            self.advance(path.stat().st_size)
        if rows != record.rows_out:
            yield damaged(folder / "part-*.parquet", f"{rows:,} samples, {record.rows_out:,} in the record")
        rejected = table_of(folder / REJECTED_FILE).num_rows
        if rejected != sum(record.rejected.values()):
            what = f"{rejected:,} rejected rows, {sum(record.rejected.values()):,} in the record"
            yield damaged(folder / REJECTED_FILE, what)

    def _tables(self, folder: Path) -> Iterator[Refusal]:
        """Tables of rows without digests of their own: they must be readable to the end."""
        import pyarrow.parquet as pq

        for path in sorted(folder.rglob("*.parquet")):
            with damage_refused(path), pq.ParquetFile(path) as file:
                for _batch in file.iter_batches():
                    pass
            self.advance(path.stat().st_size)
        yield from ()

    def _shard(self, index: Path) -> Iterator[Refusal]:
        """The pictures of one shard: a tar's header and then bytes of the digest that the index names."""
        columns = read_index(index).to_pydict()
        if short(digest(columns["sha256"])) != index.stem:
            yield damaged_shard(index, "damaged (lists other pictures than it was made with)")
            return
        self.kept.update(columns["sha256"])
        wrong = 0
        with index.with_suffix(".tar").open("rb") as tar:
            for sha256, offset, length in zip(columns["sha256"], columns["offset"], columns["length"], strict=True):
                if not self.datasets or sha256 in self.named:
                    wrong += not _is_whole(tar, sha256, offset, length)
                self.advance(length)
        if wrong:
            yield damaged_shard(index.with_suffix(".tar"), f"damaged ({wrong:,} of its pictures are not as stored)")


def _is_whole(tar: BinaryIO, sha256: str, offset: int, length: int) -> bool:
    """Whether a member is where the index says, under its name, and has the bytes that its name stands for."""
    start = offset - tarfile.BLOCKSIZE
    data = os.pread(tar.fileno(), tarfile.BLOCKSIZE + length, start) if start >= 0 and length >= 0 else b""
    try:
        header = tarfile.TarInfo.frombuf(data[: tarfile.BLOCKSIZE], "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError):
        return False
    named = header.name.partition(".")[0] == sha256 and header.size == length
    return named and hashlib.sha256(memoryview(data)[tarfile.BLOCKSIZE :]).hexdigest() == sha256
