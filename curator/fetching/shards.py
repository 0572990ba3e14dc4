"""A shard of addresses: what is asked of img2dataset, and what came of each row."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from curator.fetching.child import COLUMNS, EXTENSION, SHARD
from curator.fetching.opener import requestable
from curator.fetching.status import (
    ARRIVED,
    BAD_ADDRESS,
    CHANGED,
    DAMAGED_IMAGE,
    NOT_AN_IMAGE,
    OTHER,
    TOO_LARGE,
    TOO_MANY_PIXELS,
    TOO_SMALL,
    known,
)
from registry.image_decoder import BadImage
from registry.images import ImageWriter
from registry.store import write_aside

if TYPE_CHECKING:
    import pyarrow as pa

DIGESTS = ("sha256", "md5")
ASKED = ("key", "url", *DIGESTS)
"""Columns of a table of addresses; the digests are optional, and null where none is known."""
_REASONS = {
    "image is empty": NOT_AN_IMAGE,
    "not a picture": NOT_AN_IMAGE,
    "image cannot be decoded": DAMAGED_IMAGE,
    "image file too large": TOO_LARGE,
    "image has too many pixels": TOO_MANY_PIXELS,
    "image is too small": TOO_SMALL,
}

Row = dict[str, Any]


def outcome_schema() -> pa.Schema:
    """Columns of ``realised.parquet``: what became of every address, in the order they were asked for."""
    import pyarrow as pa

    return pa.schema(
        [
            ("key", pa.string()),
            ("url", pa.string()),
            ("status", pa.string()),
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("bytes", pa.int64()),
        ]
    )


def rows_of(table: Path) -> Iterator[Row]:
    """The rows of a table of addresses, one after the other."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(table) as file:
        columns = [name for name in ASKED if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()


@dataclass(frozen=True)
class Shard:
    """Consecutive rows that are downloaded together."""

    number: int
    rows: list[Row]

    @cached_property
    def _addresses(self) -> list[str | None]:
        """Of each row what is asked for."""
        return [requestable(row["url"]) if isinstance(row["url"], str) else None for row in self.rows]

    @cached_property
    def _positions(self) -> dict[str, int]:
        """Address -> its place in img2dataset's table, which holds each once."""
        return {address: i for i, address in enumerate(dict.fromkeys(filter(None, self._addresses)))}

    @property
    def addresses(self) -> int:
        """How many are asked for."""
        return len(self._positions)

    def write(self, table: Path) -> None:
        """Write what img2dataset reads."""
        import pyarrow as pa

        columns = [pa.array(range(len(self._positions)), pa.int64()), pa.array(self._positions, pa.string())]
        with pa.ipc.new_file(table, pa.schema(zip(COLUMNS, (pa.int64(), pa.string()), strict=True))) as out:
            out.write_table(pa.table(columns, names=list(COLUMNS)))

    def take_in(self, folder: Path, store: ImageWriter, min_side: int) -> list[Row]:
        """What became of each row; pictures go into the store in the order of the rows."""
        if not self.addresses:
            return [_outcome(row, BAD_ADDRESS) for row in self.rows]
        outcomes = []
        with _Downloaded(folder) as downloaded:
            for row, address in zip(self.rows, self._addresses, strict=True):
                if address is None:
                    outcomes.append(_outcome(row, BAD_ADDRESS))
                    continue
                status, data = downloaded.of(self._positions[address])
                outcomes.append(_outcome(row, status) if data is None else _taken(row, data, store, min_side))
        return outcomes


def write_outcomes(path: Path, rows: list[Row]) -> None:
    """Write the account of a shard such that it is there whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=outcome_schema()), buffer, compression="zstd")
    write_aside(path, buffer.getvalue())


def _taken(row: Row, data: bytes, store: ImageWriter, min_side: int) -> Row:
    for name in DIGESTS:
        expected = row.get(name)
        if expected and hashlib.new(name, data, usedforsecurity=False).hexdigest() != expected.lower():
            return _outcome(row, CHANGED)
    try:
        ref = store.add(data, min_side=min_side)
    except BadImage as error:
        return _outcome(row, _REASONS.get(str(error), OTHER))
    return {
        **_outcome(row, ARRIVED),
        "sha256": ref.sha256,
        "width": ref.width,
        "height": ref.height,
        "bytes": len(data),
    }


def _outcome(row: Row, status: str) -> Row:
    return {"key": row["key"], "url": row["url"], "status": status}


class _Downloaded:
    """What img2dataset wrote of one shard: a table in the order of arrival, and a tar of the bytes."""

    def __init__(self, folder: Path) -> None:
        import pyarrow.parquet as pq

        table = pq.read_table(folder / f"{SHARD}.parquet", columns=["position", "key", "status", "error_message"])
        self._rows = {row["position"]: row for row in table.to_pylist()}
        self._tar = folder / f"{SHARD}.tar"

    def __enter__(self) -> Self:
        with tarfile.open(self._tar, "r:") as tar:
            places = {member.name: (member.offset_data, member.size) for member in tar}
        self._places = {key.removesuffix(f".{EXTENSION}"): place for key, place in places.items() if _is_picture(key)}
        self._descriptor = os.open(self._tar, os.O_RDONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def of(self, position: int) -> tuple[str, bytes | None]:
        """The bytes at a place of the table, or else the word for why there are none."""
        row = self._rows.get(position)
        if row is None:  # img2dataset drops a row when its own code raises
            return OTHER, None
        if row["status"] != "success":
            return known(row["error_message"] or OTHER), None
        offset, size = self._places[row["key"]]
        return ARRIVED, os.pread(self._descriptor, size, offset)


def _is_picture(member: str) -> bool:
    return member.endswith(f".{EXTENSION}")
