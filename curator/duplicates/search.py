"""The search for clusters: fingerprints in, the rows that are the same as another row out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from numba import types

from curator.batch import Batch
from curator.duplicates.components import Pairs, both, join_all, pairs_of, settle
from curator.duplicates.fingerprints import SHA256_BYTES
from curator.duplicates.groups import MAX_ROWS, Keyed, Nodes, Rows, group
from curator.duplicates.looks import INSETS
from curator.duplicates.near_looks import Looks, Seen, keys_of, near_looks, same_looks
from curator.duplicates.near_text import Banded, Rule, Texts, near_rows
from curator.duplicates.same_picture import Views, look_closely, same_picture
from curator.duplicates.scope import Scope
from curator.duplicates.spill import Entries, distinct
from curator.duplicates.words import Hashes, mix, stirred, words_in_steps
from curator.measure import sample_tables
from registry.compiled import INT64S, OUT_UINT64_ROWS, UINT64S, compiled
from registry.errors import Refusal
from registry.images import ImageStore
from registry.recipe import Alike
from registry.store import Home

if TYPE_CHECKING:
    import pyarrow as pa

Kind = TypeVar("Kind", bound=np.generic)
_LOOKED_AT = 512
"""Pictures that are kept in memory after a closer look."""
_K1, _K2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class _Pictured(NamedTuple):
    """The pictures of some rows, flat."""

    digests: npt.NDArray[np.uint8]
    hashes: Hashes
    """A row of hashes each."""
    flat: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    """For each row where its pictures begin; and one more."""


@dataclass(frozen=True)
class Part:
    """What is known of consecutive rows."""

    way: npt.NDArray[np.int64]
    """The first way by which a row is the same as another one; 0 where there is none."""
    cluster: npt.NDArray[np.int64]
    alone: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Clustered:
    """All rows that are the same as another one."""

    rows: Rows
    """Sorted."""
    way: npt.NDArray[np.int64]
    cluster: npt.NDArray[np.int64]
    names: npt.NDArray[np.object_]
    """Name of each cluster: the smallest id of its samples."""

    def between(self, begin: int, size: int) -> Part:
        """What is known of so many rows from ``begin`` on."""
        low, high = np.searchsorted(self.rows, np.array([begin, begin + size], np.uint64))
        at = self.rows[low:high].astype(np.int64) - begin
        found = Part(np.zeros(size, np.int64), np.zeros(size, np.int64), np.ones(size, np.bool_))
        found.way[at], found.cluster[at], found.alone[at] = self.way[low:high], self.cluster[low:high], False
        return found


def search(home: Home, scope: Scope, made: dict[str, list[Path]], work: Path) -> Clustered:
    """Find the clusters of a scope.

    Args:
        home: where the pictures lie.
        scope: the samples and what counts as the same.
        made: fingerprint -> its folder for each samples folder of the scope.
        work: an empty folder for what does not fit into memory.
    """
    return _Search(home, scope, made, work).run()


class _Search:
    def __init__(self, home: Home, scope: Scope, made: dict[str, list[Path]], work: Path) -> None:
        self._home = home
        self._scope = scope
        self._files = {
            name: [p for f in folders for p in sorted(f.glob("part-*.parquet"))] for name, folders in made.items()
        }
        self._text = "shingles" if "shingles" in made else "text"
        self._work = work
        self._rows = scope.rows
        if self._rows >= MAX_ROWS:
            raise Refusal("duplicates", f"{self._rows:,} samples are more than 2**32", "look at fewer datasets at once")
        self._near: Looks | None = None

    def run(self) -> Clustered:
        """Search by every way and join what was found."""
        ways = self._scope.ways()
        if any(way.image == "near" for way in ways):
            self._near = self._same_pictures()
        pairs = [self._pairs(way) for way in ways]
        ends = [both(found) for found in pairs]
        rows = distinct(np.concatenate([end for two in ends for end in two]))
        by = np.zeros(len(rows), np.int64)
        parents = np.arange(len(rows))
        for number in reversed(range(len(ways))):  # the first way has the last word
            positions = [np.searchsorted(rows, end) for end in ends[number]]
            for at in positions:
                by[at] = number
            join_all(pairs_of(*(at.astype(np.uint64) for at in positions)), parents)
        settle(parents)
        return self._named(rows, by, parents)

    def _text_of(self, way: Alike) -> str:
        """The fingerprint that says when texts are the same in a way."""
        return "identical" if way.text == "identical" else self._text

    def _pairs(self, way: Alike) -> Pairs:
        """Pairs of rows that hold together all rows which are the same in this way."""
        if way.text != "near":
            return group(self._keyed(way), self._rows, self._work).pairs
        wanted = self._scope.wanted
        with Nodes(self._work / "nodes", self._rows) as nodes:
            groups = group(self._keyed(way), self._rows, self._work, nodes)
            texts = partial(self._texts, nodes)
            rule = Rule(wanted.words, wanted.threshold)
            near = near_rows(self._banded(way, nodes), groups.nodes, texts, rule, self._work)
        return np.concatenate([groups.pairs, near])

    def _keyed(self, way: Alike) -> Iterator[Keyed]:
        """The rows to which a way applies, with what must be equal."""
        done = 0
        for tables in self._tables(way):
            count = next(iter(tables.values())).num_rows
            keys, applies = np.zeros((count, 2), np.uint64), np.ones(count, np.bool_)
            if way.text:
                keys = _numbers(tables[self._text_of(way)].column("digest").combine_chunks(), np.uint64, 2)
            if way.image:
                labels, pictured = self._labels(way, tables)
                keys = stirred((keys ^ labels).reshape(-1)).reshape(-1, 2)
                applies = applies if way.text else pictured
            rows = np.arange(done, done + count, dtype=np.uint64)
            done += count
            yield Keyed(rows[applies], keys[applies])

    def _banded(self, way: Alike, nodes: Nodes) -> Iterator[Banded]:
        reader, done = nodes.reader(), 0
        for tables in self._tables(way):
            count = tables[self._text].num_rows
            rows, found = reader.take(count)
            here = (rows - np.uint64(done)).astype(np.int64)
            done += count
            column = tables[self._text].column("bands").combine_chunks()
            bands = _numbers(column, np.uint32, self._scope.wanted.banding().bands)
            salt = self._labels(way, tables)[0][:, 0] if way.image else np.zeros(count, np.uint64)
            yield Banded(found, bands[here], salt[here])

    def _texts(self, nodes: Nodes, wanted: Rows) -> Iterator[Texts]:
        """The words of the wanted nodes."""
        reader, done = nodes.reader(), 0
        for samples in self._scope.samples:
            for path in samples.files():
                for table in sample_tables(path, ["messages"]):
                    rows, found = reader.take(table.num_rows)
                    at = np.minimum(np.searchsorted(wanted, found), len(wanted) - 1)
                    asked = wanted[at] == found
                    here = (rows[asked] - np.uint64(done)).astype(np.int64)
                    done += table.num_rows
                    taken, nodes_here, rows_here = table.take(here), found[asked], rows[asked]
                    for first, worded in words_in_steps(Batch(taken).texts, taken.num_rows):
                        some = slice(first, first + len(worded.starts) - 1)
                        yield Texts(nodes_here[some], rows_here[some], worded)

    def _labels(self, way: Alike, tables: dict[str, pa.Table]) -> tuple[Entries, npt.NDArray[np.bool_]]:
        """Two numbers a row that are equal where the pictures are the same, and whether it has any."""
        if way.image == "exact":
            column = tables["pictures"].column("digest").combine_chunks()
            pictured = ~np.asarray(column.is_null())
            return np.where(pictured[:, None], _numbers(column, np.uint64, 2), np.uint64(0)), pictured
        assert self._near is not None
        seen = _pictured(tables["looks"])
        labels = np.empty((len(seen.starts) - 1, 2), np.uint64)
        _label(self._near.label(keys_of(seen.digests)), seen.starts, labels)
        return labels, seen.starts[1:] > seen.starts[:-1]

    def _same_pictures(self) -> Looks:
        pairs = near_looks(self._looks(), self._rows, self._scope.wanted.distance, self._work)
        with contextlib.closing(ImageStore(self._home)) as images:
            files = self._files_of(distinct(pairs.reshape(-1)))

            @lru_cache(_LOOKED_AT)
            def looked(picture: int) -> Views | None:
                return look_closely(images.read(files[picture]))

            def same(one: int, other: int) -> bool:
                first, second = looked(one), looked(other)
                return first is not None and second is not None and same_picture(first, second)

            return same_looks(pairs, same)

    def _looks(self) -> Iterator[Seen]:
        """All pictures that have a look."""
        for seen in self._pictured():
            looks = seen.flat == 0
            yield Seen(keys_of(seen.digests[looks]), seen.hashes[looks])

    def _files_of(self, wanted: Hashes) -> dict[int, str]:
        """The sha256 of the wanted pictures."""
        found: dict[int, str] = {}
        for seen in self._pictured():
            keys = keys_of(seen.digests)
            asked = np.isin(keys, wanted)
            names = (digest.tobytes().hex() for digest in seen.digests[asked])
            found.update(zip(keys[asked].tolist(), names, strict=True))
        return found

    def _pictured(self) -> Iterator[_Pictured]:
        for path in self._files["looks"]:
            for table in sample_tables(path, ["pictures", "hashes", "flat"]):
                yield _pictured(table)

    def _tables(self, way: Alike) -> Iterator[dict[str, pa.Table]]:
        """The fingerprints that a way reads, side by side: all were written in the same batches."""
        image = {"exact": "pictures", "near": "looks", None: None}[way.image]
        names = [name for name in (self._text_of(way) if way.text else None, image) if name]
        for paths in zip(*(self._files[name] for name in names), strict=True):
            for tables in zip(*map(sample_tables, paths), strict=True):
                assert len({table.num_rows for table in tables}) == 1, f"{paths[0].name}: batches of other sizes"
                yield dict(zip(names, tables, strict=True))

    def _named(self, rows: Rows, by: npt.NDArray[np.int64], parents: npt.NDArray[np.int64]) -> Clustered:
        """Name the clusters by the smallest ids in them."""
        ids, done = [""] * len(rows), 0
        for path in next(iter(self._files.values())):
            for table in sample_tables(path, ["id"]):
                low, high = np.searchsorted(rows, np.array([done, done + table.num_rows], np.uint64))
                here = (rows[low:high] - np.uint64(done)).astype(np.int64)
                ids[low:high] = table.column("id").take(here).to_pylist()
                done += table.num_rows
        roots = np.flatnonzero(parents == np.arange(len(parents)))
        cluster = np.searchsorted(roots, parents)
        names = np.full(len(roots), None, np.object_)
        for number, one in zip(cluster.tolist(), ids, strict=True):
            names[number] = one if names[number] is None else min(one, names[number])
        return Clustered(rows, by, cluster, names)


@compiled(types.void, UINT64S, INT64S, OUT_UINT64_ROWS)
def _label(pictures: Hashes, starts: npt.NDArray[np.int64], labels: Entries) -> None:
    """Write one label a row: of its pictures in their order."""
    for row in range(len(labels)):
        first, second = _K1, _K2
        for i in range(starts[row], starts[row + 1]):
            first = mix(first ^ pictures[i]) * _K2
            second = mix(second + pictures[i]) * _K1
        labels[row, 0] = first
        labels[row, 1] = second


def _pictured(table: pa.Table) -> _Pictured:
    pictures = table.column("pictures").combine_chunks()
    flat = np.asarray(table.column("flat").combine_chunks().flatten().cast("uint8"))
    hashes = np.asarray(table.column("hashes").combine_chunks().flatten())
    starts = np.concatenate([[0], np.cumsum(np.asarray(pictures.value_lengths()).astype(np.int64))])
    digests = _numbers(pictures.flatten(), np.uint8, SHA256_BYTES)
    return _Pictured(digests, hashes.reshape(-1, len(INSETS)), flat, starts)


def _numbers(values: pa.Array, kind: type[Kind], width: int) -> npt.NDArray[Kind]:
    """The memory of fixed-size values as so many numbers a row."""
    size = values.type.byte_width
    data = np.frombuffer(values.buffers()[1], np.uint8)[values.offset * size : (values.offset + len(values)) * size]
    return data.view(kind).reshape(-1, width)
