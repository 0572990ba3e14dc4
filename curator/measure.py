"""Measure: run a filter over a samples folder once. Thresholds are applied later, when a mix is built."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from curator.batch import Batch, Column
from curator.model_measure import measure_with_model
from curator.models import Model, find_model
from curator.runner import HERE, Function, Place, run
from curator.samples import Samples
from registry.damage import damage_refused, table_of
from registry.discovery import load_module, names, package_folder
from registry.errors import Refusal, did_you_mean
from registry.identity import digest
from registry.images import ImageStore
from registry.recipe import Bounds
from registry.store import Home, Record, is_finished, read_record, whole_file

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

    def columns(self, wanted: list[str] | None = None) -> pa.Table:
        """Columns (by default all) over all samples, in the order of the samples."""
        import pyarrow as pa

        parts = sorted(self.folder.glob("part-*.parquet"))
        return pa.concat_tables([table_of(part, wanted) for part in parts])


def filter_names() -> list[str]:
    """All filters."""
    return names(package_folder(FILTERS), ".py")


def load_filter(name: str) -> ModuleType:
    """The module of a filter; raises Refusal with the nearest name when there is none."""
    return load_module(FILTERS, name, "filter")


def ready_filters() -> list[str]:
    """The filters that can measure here without being given anything: their library is installed, no model needed."""
    return [name for name in filter_names() if not wanted_model(name) and not missing_library(load_filter(name))]


def wanted_model(name: str) -> str | None:
    """What has to be passed as the model of a filter; None for one that needs none."""
    found: str | None = getattr(load_filter(name), "MODEL", None)
    return found


def checked_model(name: str, given: bool) -> None:
    """Refuse a filter without the model it needs, and a model for a filter that has no use for it."""
    wanted = wanted_model(name)
    if wanted is None and given:
        raise Refusal(f"filter '{name}'", "measures without a model", "take its model away")
    if wanted is not None and not given:
        pass_it = f"--model {name}=FOLDER or {name}=ORG/NAME@REVISION, in a recipe models: {{{name}: …}}"
        raise Refusal(f"filter '{name}'", f"needs a model: {wanted}", f"pass it: {pass_it}")


def resolve_model(home: Home, name: str, given: str | None, *, fetch: bool = True) -> Model | None:
    """The model that a filter measures with, by its name; None for a filter that needs none.

    Raises:
        Refusal: it is missing, not wanted, not to be found, or does not say how it is asked.
    """
    checked_model(name, given is not None)
    if given is None:
        return None
    model = find_model(home, given, fetch=fetch)
    asked = getattr(load_filter(name), "NEEDS_TEMPLATE", False)
    if asked and model.template is None:
        what = "does not say with which chat template it was trained"
        raise Refusal(f"model {given}", what, f"say it after a #, for example {given}#vicuna_v1")
    return model if asked else replace(model, template=None)


def columns_read(name: str) -> list[str]:
    """The columns of the samples that a filter looks at, ``id`` first."""
    return ["id", *getattr(load_filter(name), "READS", ("messages",))]


def missing_library(module: ModuleType) -> str | None:
    """The extra that has to be installed before this filter can measure; None when nothing is missing."""
    library, extra = getattr(module, "LIBRARY", (None, None))
    return extra if library is not None and importlib.util.find_spec(library) is None else None


def checked_library(name: str) -> ModuleType:
    """The module of a filter that can measure here; raises Refusal naming what to install."""
    module = load_filter(name)
    extra = missing_library(module)
    if extra is not None:
        what = f"needs the library {module.LIBRARY[0]}"
        raise Refusal(f"filter '{name}'", what, f"pip install 'vlm-curator[{extra}]'")
    return module


def checked_columns(name: str, wanted: dict[str, Bounds]) -> list[str]:
    """The columns of a filter that bounds are given for; raises Refusal for one it does not measure."""
    columns: dict[str, Column] = load_filter(name).COLUMNS
    for column, bounds in wanted.items():
        if column not in columns:
            hint = did_you_mean(column, columns)
            raise Refusal(f"filter '{name}'", f"measures no '{column}'{hint}", f"it measures: {', '.join(columns)}")
        if columns[column].kind == "string" and bounds.model_fields_set != {"equals"}:
            raise Refusal(f"{name}.{column}", "is a name, no number", "bound it with 'equals' alone")
        if columns[column].kind != "string" and bounds.equals is not None and not _is_number(bounds.equals):
            raise Refusal(f"{name}.{column}", f"is a number, and never '{bounds.equals}'", "bound it with MIN:MAX")
    return list(wanted)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def measure_digest(samples: Samples, name: str, model: Model | None = None) -> str:
    """Identity of a measure: the filter, its version, the samples, and what the model is, wherever it lies."""
    measured_with = {"model": model.identity()} if model is not None else {}
    version = load_filter(name).VERSION
    return digest({"filter": name, "version": version, "samples": samples.record.digest, **measured_with})


def measure_folder(home: Home, samples: Samples, name: str, identity: str) -> Path:
    """Where a measure of these samples lies."""
    within = home.folder("measures", name, identity)
    return within.parent / samples.folder.name / within.name


@dataclass(frozen=True)
class MeasureFile:
    """One file of samples, and the file of measured columns that is made from it."""

    home: Home
    filter: str
    source: Path
    target: Path


def measure_file(task: MeasureFile) -> Iterator[int]:
    """Write one file of a measure; yields the rows done."""
    with _measuring(task.home, task.filter) as (schema, measured):
        yield from write_measure(task.source, task.target, schema, measured, columns_read(task.filter))


@contextmanager
def _measuring(home: Home, name: str) -> Iterator[tuple[pa.Schema, Callable[[pa.Table], pa.Table]]]:
    """The columns of a filter that needs no model, and what gives them for a table of samples."""
    module = checked_library(name)
    schema = _schema(module.COLUMNS)
    images = ImageStore(home) if module.NEEDS_PICTURES else None

    def measured(table: pa.Table) -> pa.Table:
        import pyarrow as pa

        values: dict[str, Any] = module.measure(Batch(table, images))
        return pa.table({"id": table.column("id"), **values}, schema=schema)

    try:
        yield schema, measured
    finally:
        if images is not None:
            images.close()


def measured_in_memory(home: Home, samples: Samples, name: str, advance: Advance | None = None) -> pa.Table:
    """What ``measure`` would write for a filter that needs no model, over all samples; nothing is written."""
    import pyarrow as pa

    with _measuring(home, name) as (schema, measured):
        made = [schema.empty_table()]
        for table in (table for path in samples.files() for table in sample_tables(path, columns_read(name))):
            made.append(measured(table))
            (advance or (lambda _rows: None))(table.num_rows)
    return pa.concat_tables(made)


def measure(
    home: Home,
    samples: Samples,
    name: str,
    advance: Advance | None = None,
    place: Place = HERE,
    model: Model | None = None,
) -> Measured:
    """Make (or find) one filter's measure of one samples folder; one output file for each samples file."""
    checked_model(name, model is not None)
    identity = measure_digest(samples, name, model)
    module = load_filter(name)
    record = Record(
        kind="measures",
        name=name,
        digest=identity,
        inputs={"model": model.digest} if model is not None else {},
        settings={"filter": name, "columns": {c: v.unit for c, v in module.COLUMNS.items()}}
        | ({"model": model.identity()} if model is not None else {}),
        versions={"filter": str(module.VERSION)},
        command=f"curator filter {samples.card.name} --filter {name}",
    )

    def write(out: Path) -> Generator[int]:
        checked_library(name)
        if model is not None:
            kinds = {column: about.kind for column, about in module.COLUMNS.items()}
            return measure_with_model(home, name, kinds, model, [(path, out / path.name) for path in samples.files()])
        tasks = [MeasureFile(home, name, path, out / path.name) for path in samples.files()]
        return run_files(measure_file, tasks, place)

    return make_measure(home, samples, record, write, advance)


def make_measure(
    home: Home,
    samples: Samples,
    record: Record,
    write: Callable[[Path], Generator[int]],
    advance: Advance | None = None,
) -> Measured:
    """Make (or find) the measure that ``record`` names and identifies; ``write`` fills its folder and yields rows.

    The folder may hold files that a killed run had finished: see ``run_files``. Inputs and row counts of the record
    are filled in here: a measure has one row for each sample.
    """
    folder = measure_folder(home, samples, record.name, record.digest)
    if is_finished(folder):
        return Measured(folder, read_record(folder), already_there=True)
    rows = samples.record.rows_out
    record.name = f"{samples.folder.name}/{folder.name}"
    record.inputs = {f"samples/{samples.folder.name}": samples.record.digest, **record.inputs}
    record.rows_in = record.rows_out = rows
    with home.continuing(folder, record) as out:
        if out is None:
            return Measured(folder, read_record(folder), already_there=True)
        written = 0
        with closing(write(out)) as steps:  # whatever goes wrong, no process is left at work
            for done in steps:
                written += done
                (advance or (lambda _rows: None))(done)
        assert written == rows, f"{folder.name}: {written} rows for {rows} samples"
    return Measured(folder, record, already_there=False)


class FileTask(Protocol):
    """A task that makes one file from one file of samples."""

    @property
    def source(self) -> Path:
        """The file of samples."""

    @property
    def target(self) -> Path:
        """The file; it appears when it is whole (``registry.store.whole_file``)."""


SomeFile = TypeVar("SomeFile", bound=FileTask)


def run_files(function: Function[SomeFile], tasks: Sequence[SomeFile], place: Place) -> Generator[int]:
    """Do the tasks whose file is not there; yields rows, those of the files that a killed run had finished first."""
    import pyarrow.parquet as pq

    left = []
    for task in tasks:
        if task.target.is_file():
            yield pq.read_metadata(task.source).num_rows
        else:
            left.append(task)
    yield from run(function, left, place)


def write_measure(
    source: Path,
    target: Path,
    schema: pa.Schema,
    measured: Callable[[pa.Table], pa.Table],
    columns: list[str] | None = None,
) -> Iterator[int]:
    """Write ``measured`` of every batch of a samples file; yields the rows done. The file appears when it is whole.

    ``columns`` are those that ``measured`` reads, by default all.
    """
    import pyarrow.parquet as pq

    with whole_file(target) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        for table in sample_tables(source, columns):
            writer.write_table(measured(table))
            yield table.num_rows


def sample_tables(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """One samples file (or some of its columns) in batches."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with damage_refused(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            yield pa.Table.from_batches([batch])


def _schema(columns: dict[str, Column]) -> pa.Schema:
    import pyarrow as pa

    types = {name: pa.type_for_alias(column.kind) for name, column in columns.items()}
    return pa.schema([("id", pa.string()), *types.items()])
