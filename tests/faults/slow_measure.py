"""A measure that takes its time, for tests that kill it.

    python -m tests.faults.slow_measure HOME DATASET WORKERS FOLDER

Files named ``<part>.<process>`` in FOLDER tell which process has begun which file.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from curator.measure import Measured, make_measure, run_files, write_measure
from curator.runner import Place
from curator.samples import Samples, find_samples
from registry.identity import digest
from registry.store import Home, Record

SECONDS_A_FILE = 0.1


@dataclass(frozen=True)
class SlowFile:
    """One file of the measure."""

    source: Path
    target: Path
    told: Path


def measure_slowly(task: SlowFile) -> Iterator[int]:
    """The ids of a file, with a sleep before and after they are half written."""
    (task.told / f"{task.target.name}.{os.getpid()}").touch()

    def measured(table: pa.Table) -> pa.Table:
        time.sleep(SECONDS_A_FILE)
        return table.select(["id"])

    yield from write_measure(task.source, task.target, pa.schema([("id", pa.string())]), measured)


def make(home: Home, samples: Samples, told: Path, workers: int) -> Measured:
    """Make the measure."""
    record = Record(kind="measures", name="slow", digest=digest({"slow": 1, "samples": samples.record.digest}))

    def write(out: Path) -> Generator[int]:
        tasks = [SlowFile(path, out / path.name, told) for path in samples.files()]
        return run_files(measure_slowly, tasks, Place(workers))

    return make_measure(home, samples, record, write)


if __name__ == "__main__":
    data_home = Home(Path(sys.argv[1]))
    make(data_home, find_samples(data_home, sys.argv[2]), Path(sys.argv[4]), int(sys.argv[3]))
