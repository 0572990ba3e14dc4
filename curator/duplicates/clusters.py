"""Clusters: which samples of some datasets are the same, as a measure beside each of them.

Rows are numbered through all samples folders of the scope. Each way of being the same gives pairs of rows, the ways
of being exactly the same first; connected rows are a cluster, named by its smallest sample id. Nothing that is kept
depends on the numbers of the rows: the same samples in other files or another order form the same clusters.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curator.duplicates.fingerprints import fingerprint
from curator.duplicates.scope import NAME, VERSION, Scope
from curator.measure import Advance, Measured, make_measure, write_measure
from curator.runner import HERE, Place
from curator.samples import Samples
from registry.store import Home, Record, read_record

if TYPE_CHECKING:
    import pyarrow as pa

    from curator.duplicates.search import Clustered


def clusters(home: Home, scope: Scope, advance: Advance | None = None, place: Place = HERE) -> dict[str, Measured]:
    """Make (or find) the clusters of a scope: samples folder -> its measure (``id``, ``cluster``, ``way``).

    Args:
        home: where samples and measures lie.
        scope: what is looked at.
        advance: is told the samples that fingerprints were made of.
        place: where fingerprints are made; clusters are found in this process.
    """
    folders = {one.folder.name: scope.folder(home, one) for one in scope.samples}
    if not scope.missing(home):
        return {name: Measured(folder, read_record(folder), already_there=True) for name, folder in folders.items()}
    made = {
        kind.name: [fingerprint(home, samples, kind, advance, place) for samples in scope.samples]
        for kind in scope.fingerprints()
    }
    from curator.duplicates.search import search

    with home.workspace("dedup") as work:
        found = search(home, scope, {name: [one.folder for one in measured] for name, measured in made.items()}, work)
    first = next(iter(made.values()))
    inputs = {f"measures/{one.record.name}": one.record.digest for measured in made.values() for one in measured}
    written = {}
    begin = 0
    for samples, measured in zip(scope.samples, first, strict=True):
        written[samples.folder.name] = _write(home, scope, samples, _Source(measured.folder, found, begin), inputs)
        begin += samples.record.rows_out
    return written


@dataclass(frozen=True)
class _Source:
    """Where the clusters of one samples folder come from."""

    ids: Path
    """A folder of fingerprints, for the sample ids."""
    found: Clustered
    begin: int
    """The number of its first row."""


def _write(home: Home, scope: Scope, samples: Samples, source: _Source, inputs: dict[str, str]) -> Measured:
    record = Record(
        kind="measures",
        name=NAME,
        digest=scope.digest(),
        inputs=inputs,
        settings={"by": list(map(str, scope.ways())), "dedup": scope.wanted.model_dump(mode="json")},
        versions={NAME: str(VERSION)},
        command=f"curator dedup {' '.join(one.card.name for one in scope.samples)}",
    )
    return make_measure(home, samples, record, lambda out: _rows(out, source, scope))


def _rows(out: Path, source: _Source, scope: Scope) -> Generator[int]:
    """Write the clusters of every row, file by file; yields the rows done."""
    import pyarrow as pa

    schema = pa.schema([("id", pa.string()), ("cluster", pa.string()), ("way", pa.string())])
    ways = pa.array(list(map(str, scope.ways())), pa.string())
    names = pa.array(source.found.names, pa.string())
    at = source.begin

    def measured(table: pa.Table) -> pa.Table:
        nonlocal at
        entries = source.found.between(at, table.num_rows)
        at += table.num_rows
        columns = {
            "id": table.column("id"),
            "cluster": names.take(pa.array(entries.cluster, mask=entries.alone)),
            "way": ways.take(pa.array(entries.way, mask=entries.alone)),
        }
        return pa.table(columns, schema=schema)

    for path in sorted(source.ids.glob("part-*.parquet")):
        yield from write_measure(path, out / path.name, schema, measured, ["id"])
