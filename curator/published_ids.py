"""The ordered ids of a mix as parquet: what stands where, and no word and no picture of it.

With the recipe and the lock, whoever has the sources builds the mix again and compares it row by row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.publication import Large
from registry.damage import table_of
from registry.errors import Refusal
from registry.mix import MixReader

if TYPE_CHECKING:
    import pyarrow as pa

IDS_VERSION = 1
"""Raised whenever the files of a given mix change."""
ROWS_PER_FILE = 1_000_000
ROWS_PER_GROUP = 65_536
_TAKEN = ("id", "copy", "dataset", "part", "category")


def ids_schema() -> pa.Schema:
    """Columns of the ordered ids; ``images`` are the sha256 of a sample's pictures, in their order."""
    import pyarrow as pa

    text = [(name, pa.string()) for name in ("dataset", "part", "category", "source_id")]
    order = [("id", pa.string()), ("copy", pa.int32()), ("position", pa.int64())]
    return pa.schema([*order, *text, ("images", pa.list_(pa.string()))])


def ids_features() -> dict[str, Any]:
    """The same columns as `datasets` names them."""
    text = {"dtype": "string", "_type": "Value"}
    numbers = {"copy": {"dtype": "int32", "_type": "Value"}, "position": {"dtype": "int64", "_type": "Value"}}
    names = dict.fromkeys(("dataset", "part", "category", "source_id"), text)
    return {"id": text, **numbers, **names, "images": [text]}


def write_ids(reader: MixReader, work: Path) -> Iterator[tuple[str, Path, Large]]:
    """Path in the repository, local file and account of each file, in the order of the mix."""
    import pyarrow.parquet as pq

    rows = reader.rows()
    files = max(1, -(-rows.num_rows // ROWS_PER_FILE))
    local = work / "ids.parquet"
    for number in range(files):
        part = _with_columns(reader, rows.slice(number * ROWS_PER_FILE, ROWS_PER_FILE), number * ROWS_PER_FILE)
        pq.write_table(part, local, row_group_size=ROWS_PER_GROUP, compression="zstd")
        with local.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        known = Large(local.stat().st_size, sha256, {"rows": part.num_rows, "content": part.nbytes}, part.num_rows)
        yield f"ids/ids-{number:05d}-of-{files:05d}.parquet", local, known
    local.unlink(missing_ok=True)


def _with_columns(reader: MixReader, rows: pa.Table, first: int) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    images = rows.column("images").combine_chunks()
    flat = pc.struct_field(images.flatten(), "sha256")
    counts = np.cumsum([0, *pc.list_value_length(images).fill_null(0).to_pylist()])
    columns = {name: rows.column(name) for name in _TAKEN}
    columns["position"] = pa.array(np.arange(first, first + rows.num_rows))
    columns["source_id"] = _source_ids(reader, rows)
    columns["images"] = pa.ListArray.from_arrays(pa.array(counts, pa.int32()), flat)
    schema = ids_schema()
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _source_ids(reader: MixReader, rows: pa.Table) -> pa.Array:
    """What each row is called in its source, read a samples file at a time."""
    import pyarrow as pa

    found = np.empty(rows.num_rows, dtype=object)
    keys = [f"{folder}/{file}" for folder, file in zip(*_lists(rows, "folder", "file"), strict=True)]
    numbers, own = np.asarray(rows.column("row")), np.asarray(keys, dtype=object)
    for key in sorted(set(keys)):
        path = reader.home.stage("samples") / key
        if not path.is_file():
            dataset = key.partition("@")[0]
            raise Refusal(str(path), "the mix refers to samples that are not here", f"pull '{dataset}' again")
        places = np.flatnonzero(own == key)
        taken = table_of(path, ["id", "source_id"]).take(pa.array(numbers[places]))
        if not taken.column("id").equals(rows.column("id").take(pa.array(places))):
            raise Refusal(str(path), "samples are not those that the mix was built from", "build the mix again")
        found[places] = taken.column("source_id").to_pylist()
    return pa.array(found, pa.string())


def _lists(rows: pa.Table, *names: str) -> Iterator[list[Any]]:
    return (rows.column(name).to_pylist() for name in names)
