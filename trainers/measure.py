"""Measure samples with a model: a file of columns for each file of samples.

A file is written aside and renamed when it is whole; one that is there already is never made again. Values are rounded:
which samples a model sees together changes the last digits of its floats, and what is stored should not show it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.discovery import load_module
from registry.errors import Refusal
from registry.sample import Message
from registry.store import Home, write_aside
from trainers.features import ReadPicture
from trainers.loop import Tell
from trainers.requests import MeasureRequest
from trainers.train import prepare_torch
from trainers.workshop import Workshop

if TYPE_CHECKING:
    import pyarrow as pa

MEASURES = "trainers.measures"
WINDOW = 512
"""Samples that are measured together: sorted by length in batches, each of their pictures encoded once."""
DECIMALS = 4


@dataclass(frozen=True)
class Sample:
    """What a measure may look at."""

    id: str
    messages: list[Message]
    images: tuple[str, ...]
    """sha256 of each picture."""


@dataclass(frozen=True)
class Tools:
    """What a measure works with."""

    workshop: Workshop
    checkpoint: Path
    template: str | None
    read: ReadPicture


Values = Mapping[str, Sequence[float | None]]
"""A value a sample, for each column."""
Measure = Callable[[Sequence[Sample]], Values]


def measure_files(workshop: Workshop, request: MeasureRequest, tell: Tell) -> bool:
    """Make every file that is not there; whether there was one to be made."""
    import pyarrow.parquet as pq

    module = load_module(MEASURES, request.filter, "measure")
    measure: Measure | None = None
    for file in request.files:
        source, target = Path(file.source), Path(file.target)
        if target.is_file():
            tell({"event": "progress", "rows": pq.read_metadata(target).num_rows})
            continue
        if measure is None:
            prepare_torch(request.runtime)
            read = workshop.store(Home(Path(request.home))).read
            measure = module.prepare(Tools(workshop, Path(request.checkpoint), request.template, read))
        tables = []
        for samples in _windows(source):
            tables.append(_table(samples, measure(samples), request.columns))
            tell({"event": "progress", "rows": len(samples)})
        _write(target, tables, request.columns)
    return measure is not None


def _windows(source: Path) -> Iterator[list[Sample]]:
    """A file's samples, some at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(WINDOW, columns=["id", "images", "messages"]):
            yield [
                Sample(row["id"], row["messages"], tuple(image["sha256"] for image in row["images"] or ()))
                for row in batch.to_pylist()
            ]


def _table(samples: Sequence[Sample], values: Values, columns: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa

    schema = _schema(columns)
    measured = {column: _rounded(samples, values[column], column) for column in columns}
    return pa.table({"id": [sample.id for sample in samples], **measured}, schema=schema)


def _rounded(samples: Sequence[Sample], values: Sequence[float | None], column: str) -> list[float | None]:
    """The values as they are stored; Refusal where a model has no number for a sample."""
    for sample, value in zip(samples, values, strict=True):
        if value is not None and not math.isfinite(value):
            what = f"the model gives {value} as its {column}"
            raise Refusal(f"sample {sample.id}", what, "its weights are damaged, or this is no model for such samples")
    # Adding 0 makes a -0.0 a 0.0: they are equal, and so should be their bytes.
    return [None if value is None else round(value, DECIMALS) + 0 for value in values]


def _write(target: Path, tables: Sequence[pa.Table], columns: Mapping[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = pa.concat_tables([_schema(columns).empty_table(), *tables]).combine_chunks()
    buffer = io.BytesIO()
    pq.write_table(whole, buffer, compression="zstd")
    write_aside(target, buffer.getvalue())


def _schema(columns: Mapping[str, str]) -> Any:
    import pyarrow as pa

    return pa.schema([("id", pa.string()), *((name, pa.type_for_alias(kind)) for name, kind in columns.items())])
