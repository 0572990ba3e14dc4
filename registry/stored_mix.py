"""A mix of a data home, read by position: references into samples and pictures that lie there once for all mixes.

Held in memory are the references and, of each samples file that was read from, its conversations: all as Arrow
columns, which processes that are forked later share. Pictures are one positioned read each.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.errors import Refusal
from registry.images import ImageStore, Place, damaged_shard
from registry.mix import MixReader
from registry.mix_stream import Mix, Sample, samples_of
from registry.permutation import Indices, Order
from registry.store import Home

if TYPE_CHECKING:
    import pyarrow as pa

_REPEATING = ("dataset", "part", "category", "folder", "file")


class StoredMix(Mix):
    """A finished mix in a data home, with its pictures."""

    def __init__(self, home: Home, folder: Path, *, check: bool = False) -> None:
        self._home, self._folder, self._check = home, folder, check
        self._reader = MixReader(home, folder)
        self.name = self._reader.info.name
        self._images = ImageStore(home)
        self._rows = _compact(self._reader.rows())
        if self._rows.num_rows != len(self._reader):
            what = f"has {self._rows.num_rows:,} rows, its mix.json says {len(self._reader):,}"
            raise Refusal(str(folder), what, "remove the mix and build it again")

    def __reduce__(self) -> Any:
        """A process that is started afresh opens files of its own."""
        return _reopened, (str(self._home.path), str(self._folder), self._check)

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def order(self, seed: int | None = None, together: int | None = None) -> Order:  # noqa: ARG002 - no row groups here
        """As ``Mix.order``."""
        return Order(len(self), seed)

    def samples(self, positions: Sequence[int] | Indices) -> Iterator[Sample]:
        """As ``Mix.samples``."""
        wanted = np.asarray(positions, np.int64)
        rows = self._rows.take(wanted)
        return samples_of(wanted, rows, self._reader.messages(rows), self._pictures(rows.column("images")))

    def _pictures(self, images: pa.ChunkedArray) -> Iterator[list[bytes]]:
        """The picture files of each row: all are looked up together, and read one row after another."""
        import pyarrow.compute as pc

        digests: list[str] = pc.struct_field(pc.list_flatten(images), "sha256").to_pylist()
        found = zip(digests, self._images.locate_all(digests), strict=True)
        read = self._checked if self._check else self._read
        for count in pc.fill_null(pc.list_value_length(images), 0).to_pylist():
            yield [read(sha256, place) for sha256, place in itertools.islice(found, count)]

    def _read(self, sha256: str, place: Place) -> bytes:  # noqa: ARG002 - as ``_checked``
        return self._images.read_at(place)

    def _checked(self, sha256: str, place: Place) -> bytes:
        data = self._images.read_at(place)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise damaged_shard(self._home.images / f"{place.shard}.tar", f"picture {sha256[:12]} is damaged")
        return data


def _reopened(home: str, folder: str, check: bool) -> StoredMix:
    return StoredMix(Home(Path(home)), Path(folder), check=check)


def _compact(rows: pa.Table) -> pa.Table:
    """The rows in one piece, with names that repeat written once."""
    for name in _REPEATING:
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, rows.column(name).dictionary_encode())
    return rows.unify_dictionaries().combine_chunks()
