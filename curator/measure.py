"""Measure: run a filter over a samples folder once. Thresholds are applied later, when a mix is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from curator.batch import Batch, Column
from curator.samples import Samples
from registry.damage import damage_refused, table_of
from registry.discovery import load_module, names, package_folder
from registry.errors import Refusal, did_you_mean
from registry.identity import digest
from registry.images import ImageStore
from registry.recipe import Bounds
from registry.store import Home, Record, is_finished, read_record

if TYPE_CHECKING:
    import pyarrow as pa

FILTERS = "curator.filters"
BATCH_ROWS = 8192

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Measured:
    """A finished measure of one samples folder."""

    folder: Path
    record: Record
    already_there: bool

    def columns(self, wanted: list[str]) -> pa.Table:
        """Columns over all samples, in the order of the samples."""
        import pyarrow as pa

        parts = sorted(self.folder.glob("part-*.parquet"))
        return pa.concat_tables([table_of(part, wanted) for part in parts])


def filter_names() -> list[str]:
    """All filters."""
    return names(package_folder(FILTERS), ".py")


def load_filter(name: str) -> ModuleType:
    """The module of a filter; raises Refusal with the nearest name when there is none."""
    return load_module(FILTERS, name, "filter")


def checked_columns(name: str, wanted: dict[str, Bounds]) -> list[str]:
    """The columns of a filter that bounds are given for; raises Refusal for one it does not measure."""
    columns: dict[str, Column] = load_filter(name).COLUMNS
    for column in wanted:
        if column not in columns:
            hint = did_you_mean(column, columns)
            raise Refusal(f"filter '{name}'", f"measures no '{column}'{hint}", f"it measures: {', '.join(columns)}")
    return list(wanted)


def measure_digest(samples: Samples, name: str) -> str:
    """Identity of a measure: the filter, its version, and the samples."""
    return digest({"filter": name, "version": load_filter(name).VERSION, "samples": samples.record.digest})


def measure_folder(home: Home, samples: Samples, name: str, identity: str) -> Path:
    """Where a measure of these samples lies."""
    within = home.folder("measures", name, identity)
    return within.parent / samples.folder.name / within.name


def measure(home: Home, samples: Samples, name: str, advance: Advance | None = None) -> Measured:
    """Make (or find) one filter's measure of one samples folder; one output file for each samples file."""
    module = load_filter(name)
    identity = measure_digest(samples, name)
    folder = measure_folder(home, samples, name, identity)
    if is_finished(folder):
        return Measured(folder, read_record(folder), already_there=True)
    record = Record(
        kind="measures",
        name=f"{samples.folder.name}/{folder.name}",
        digest=identity,
        inputs={f"samples/{samples.folder.name}": samples.record.digest},
        rows_in=samples.record.rows_out,
        rows_out=samples.record.rows_out,
        settings={"filter": name, "columns": {c: v.unit for c, v in module.COLUMNS.items()}},
        versions={"filter": str(module.VERSION)},
        command=f"curator filter {samples.card.name} --filter {name}",
    )
    images = ImageStore(home) if module.NEEDS_PICTURES else None
    schema = _schema(module.COLUMNS)

    def measured(table: pa.Table) -> pa.Table:
        import pyarrow as pa

        values: dict[str, Any] = module.measure(Batch(table, images))
        return pa.table({"id": table.column("id"), **values}, schema=schema)

    try:
        with home.making(folder, record) as out:
            written = write_measure(samples, out, schema, measured, advance)
            assert written == record.rows_in, f"{folder.name}: {written} rows for {record.rows_in} samples"
    finally:
        if images is not None:
            images.close()
    return Measured(folder, record, already_there=False)


def write_measure(
    samples: Samples,
    out: Path,
    schema: pa.Schema,
    measured: Callable[[pa.Table], pa.Table],
    advance: Advance | None = None,
) -> int:
    """Write ``measured`` of every batch into files named like the samples files; returns the rows written."""
    import pyarrow.parquet as pq

    written = 0
    for path in samples.files():
        with pq.ParquetWriter(out / path.name, schema, compression="zstd") as writer:
            for table in sample_tables(path):
                writer.write_table(measured(table))
                written += table.num_rows
                (advance or (lambda _rows: None))(table.num_rows)
    return written


def sample_tables(path: Path) -> Iterator[pa.Table]:
    """One samples file in batches."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with damage_refused(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def keeps(values: pa.ChunkedArray, bounds: Bounds) -> pa.ChunkedArray:
    """True where a value is within the bounds, or null: what does not apply excludes nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = pc.is_null(values)
    inside = pa.chunked_array([pa.array([True] * len(values), pa.bool_())])
    if bounds.min is not None:
        inside = pc.and_(inside, pc.greater_equal(values, bounds.min))
    if bounds.max is not None:
        inside = pc.and_(inside, pc.less_equal(values, bounds.max))
    if bounds.equals is not None:
        inside = pc.and_(inside, pc.equal(values.cast(pa.string()), bounds.equals))
    return pc.or_kleene(kept, inside)


def _schema(columns: dict[str, Column]) -> pa.Schema:
    import pyarrow as pa

    types = {name: pa.type_for_alias(column.kind) for name, column in columns.items()}
    return pa.schema([("id", pa.string()), *types.items()])
