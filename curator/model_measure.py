"""Measuring with a model: a trainer process reads files of samples and writes files of measured columns."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from curator.models import Model
from curator.trials import Trainer, measure_request
from registry.errors import Refusal
from registry.store import Home

Files = Sequence[tuple[Path, Path]]
"""A file of samples and the file that is made of it, each."""


def measure_with_model(home: Home, name: str, columns: Mapping[str, str], model: Model, files: Files) -> Generator[int]:
    """Make the files that are not there yet; yields rows as they are measured, or found.

    Args:
        home: where the pictures are.
        name: the filter.
        columns: what it measures -> Arrow type.
        model: what it measures with.
        files: what is read and what is written; a file appears when it is whole.
    """
    if model.folder is None:
        what = "is known by its digest alone, and these samples are not measured with it yet"
        raise Refusal(f"model {model.digest[:12]}", what, f"measure them: curator filter … --model {name}=FOLDER")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    trainer = Trainer(threads)
    try:
        for event in trainer.events(measure_request(home, name, columns, model, files, threads)):
            yield int(event.get("rows", 0))
    except BaseException:
        trainer.close(kill=True)
        raise
    trainer.close()
