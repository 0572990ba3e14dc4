"""What became of addresses, looked up one by one: the table stays on disk, and of each address 16 bytes in memory.

A table of a hundred million addresses would not fit as a dictionary. Rows are asked for in about the order they were
fetched in, so a look-up mostly finds its row group read already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.fetching.shards import Row
from curator.fetching.status import ARRIVED
from registry.images import ImageRef

if TYPE_CHECKING:
    import pyarrow as pa

GROUPS_KEPT = 8
"""Row groups that are held in memory."""


class Outcomes:
    """Address -> its picture, or the word for why there is none; what arrived once has arrived."""

    def __init__(self, table: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(table)
        meta = self._file.metadata
        self._ends = np.cumsum([meta.row_group(i).num_rows for i in range(meta.num_row_groups)], dtype=np.int64)
        keys = np.empty(meta.num_rows, np.uint64)
        done = 0
        for batch in self._file.iter_batches(columns=["url"]):
            keys[done : done + len(batch)] = _keys(batch.column(0).to_pylist())
            done += len(batch)
        self._rows = np.argsort(keys, kind="stable")
        self._keys = keys[self._rows]
        self._group = lru_cache(GROUPS_KEPT)(self._read)

    def get(self, address: str) -> str | ImageRef | None:
        """What became of it; None for what was never asked for."""
        found: str | ImageRef | None = None
        key = _keys([address])[0]
        first, end = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
        for place in self._rows[first:end].tolist():
            row = self._row(place)
            if row["url"] == address:
                if row["status"] == ARRIVED:
                    found = ImageRef(row["sha256"], row["width"], row["height"])
                elif found is None:
                    found = row["status"]
        return found

    def close(self) -> None:
        """Close the table."""
        self._file.close()

    def _row(self, place: int) -> Row:
        number = int(np.searchsorted(self._ends, place, "right"))
        table = self._group(number)
        rows: list[Row] = table.slice(place - int(self._ends[number]) + table.num_rows, 1).to_pylist()
        return rows[0]

    def _read(self, number: int) -> pa.Table:
        return self._file.read_row_group(number, columns=["url", "status", "sha256", "width", "height"])


def _keys(addresses: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A number for each address; that two share one is rare and does no harm."""
    digests = (hashlib.blake2b((one or "").encode("utf-8", "replace"), digest_size=8).digest() for one in addresses)
    return np.frombuffer(b"".join(digests), np.uint64)
