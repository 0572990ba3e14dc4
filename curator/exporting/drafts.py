"""Rows as a form writes them, made in the order in which samples lie and read in the order of the mix.

They wait in one file of the work folder, so that a mix of any size takes a few bytes of memory a row. What a form
cannot express is left out, counted by reason and listed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from curator.exporting.source import Sample, Source, Told, Unfit

LEFT_OUT_FILE = "left_out.jsonl"
"""In an export: every row of the mix that is not in it, with the reason."""

Row = Callable[[Sample], Any]
"""A row as JSON; raises ``Unfit``."""
Notes = Callable[[Sample], list[str]]
"""What a reader should know of a sample that is in the export, in words that can be counted."""


def _nothing(_sample: Sample) -> list[str]:
    return []


def look(source: Source, row: Row, notes: Notes = _nothing) -> Told:
    """What an export would hold and leave out; nothing is written."""
    told = Told()
    for _ in _fitting(source, row, notes, told, []):
        pass
    return told


class Drafts:
    """The rows of an export, each found by its place in the mix."""

    def __init__(self, source: Source, row: Row, notes: Notes = _nothing) -> None:
        """Make them all; `row` is called once a sample, in the order in which samples lie."""
        self.told = Told()
        self._left_out: list[tuple[int, dict[str, Any]]] = []
        self._path = source.work / "drafts"
        self._starts = np.zeros(len(source.reader), np.int64)
        self._lengths = np.full(len(source.reader), -1, np.int64)
        end = 0
        with self._path.open("wb") as file:
            for sample, made in _fitting(source, row, notes, self.told, self._left_out):
                data = json_line(made)
                file.write(data)
                self._starts[sample.position], self._lengths[sample.position] = end, len(data)
                end += len(data)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Place in the mix and JSON (with a line end) of each row, in the order of the mix."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for position in np.flatnonzero(self._lengths >= 0).tolist():
                yield position, os.pread(descriptor, int(self._lengths[position]), int(self._starts[position]))
        finally:
            os.close(descriptor)

    def write_left_out(self, folder: Path) -> None:
        """List what is not in the export, if anything."""
        if self._left_out:
            lines = [json_line(line) for _, line in sorted(self._left_out, key=lambda one: one[0])]
            (folder / LEFT_OUT_FILE).write_bytes(b"".join(lines))


def json_line(value: Any) -> bytes:
    """One value as a line of JSON; its keys keep their order."""
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _fitting(
    source: Source, row: Row, notes: Notes, told: Told, left_out: list[tuple[int, dict[str, Any]]]
) -> Iterator[tuple[Sample, Any]]:
    """Samples that the form can express, as it does; the others are counted and listed."""
    for sample in source.samples():
        try:
            made = row(sample)
        except Unfit as reason:
            told.left_out[str(reason)] += 1
            left_out.append((sample.position, {"reason": str(reason), "position": sample.position, **sample.origin()}))
            continue
        told.take(sample, notes(sample))
        yield sample, made
