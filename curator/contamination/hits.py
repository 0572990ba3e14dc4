"""What of a benchmark each sample holds, as a measure: one for each samples folder and published table.

Numbers are measured, and judged later: a *leak* is a question of the benchmark together with its picture (or alone,
where it has none); *picture* is its picture with another text; *text* is its text, if that is long enough to say
something, with another picture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.batch import Batch
from curator.contamination.questions import BenchmarkTable, picture_bytes
from curator.duplicates.fingerprints import Fingerprint, fingerprint
from curator.measure import Advance, Measured, make_measure, run_files, sample_tables, write_measure
from curator.runner import HERE, Place
from curator.samples import Samples
from registry.benchmark import Question
from registry.identity import digest
from registry.images import ImageStore
from registry.store import Home, Record

if TYPE_CHECKING:
    import pyarrow as pa

    from curator.contamination.text_index import Found
    from curator.duplicates.same_picture import Views

VERSION = 2
NAME = "contamination"
DISTANCE = 12
"""Bits of 64 in which the perceptual hashes of pictures differ at most that are then compared closely."""
OVERLAP = 0.7
"""Share of a question that is found in a sample from which on the sample holds it."""
TELLING_WORDS = 8
"""Words that a question must have to be recognised by its text alone."""
_KEPT_VIEWS = 1024
"""Pictures of a benchmark that are kept looked at: 70 MB."""
_LEAST = 0.3
"""Smaller shares are not stored."""
LOOKS = Fingerprint("looks")


def verdicts(hits: pa.Table, overlap: float = OVERLAP) -> list[str | None]:
    """``leak``, ``picture``, ``text`` or None for each sample of a measure."""
    found: list[str | None] = []
    for leak, bits, text in zip(
        *(hits.column(name).to_pylist() for name in ("leak_overlap", "picture_bits", "text_overlap")), strict=True
    ):
        if leak is not None and leak >= overlap:
            found.append("leak")
        elif bits is not None:
            found.append("picture")
        else:
            found.append("text" if text is not None and text >= overlap else None)
    return found


def identity_of(samples: Samples, table: BenchmarkTable) -> str:
    """Identity of what this table has in common with these samples."""
    named = {"benchmark": table.name, "version": table.version, "table": table.digest}
    return digest({NAME: VERSION, **named, "distance": DISTANCE, "samples": samples.record.digest})


def measure_name(table: BenchmarkTable) -> str:
    """Human name of the measure."""
    return f"{NAME}-{table.name}"


def hits(
    home: Home, samples: Samples, table: BenchmarkTable, advance: Advance | None = None, place: Place = HERE
) -> Measured:
    """Make (or find) the measure of one samples folder against one benchmark."""
    looks = fingerprint(home, samples, LOOKS, None, place)
    record = Record(
        kind="measures",
        name=measure_name(table),
        digest=identity_of(samples, table),
        inputs={f"measures/{looks.record.name}": looks.record.digest},
        settings={"benchmark": table.name, "table": table.digest, "distance": DISTANCE},
        versions={NAME: str(VERSION), "benchmark": str(table.version)},
        command=f"curator decontaminate {samples.card.name} --benchmark {table.name}",
    )

    def write(out: Path) -> Generator[int]:
        tasks = [
            HitsFile(home, table.name, table.path, path, looks.folder / path.name, out / path.name)
            for path in samples.files()
        ]
        return run_files(hits_file, tasks, place)

    return make_measure(home, samples, record, write, advance)


@dataclass(frozen=True)
class HitsFile:
    """One file of samples with its looks, and the file of what it has in common with a table."""

    home: Home
    benchmark: str
    table: Path
    source: Path
    looks: Path
    target: Path


def hits_file(task: HitsFile) -> Iterator[int]:
    """Write one file of the measure; yields the rows done."""
    search = _search(task.benchmark, task.table)
    looks = sample_tables(task.looks)
    images = ImageStore(task.home)

    def measured(table: pa.Table) -> pa.Table:
        return search.measure(table, next(looks), images)

    try:
        yield from write_measure(task.source, task.target, schema(), measured, ["id", "images", "messages"])
    finally:
        images.close()


def schema() -> pa.Schema:
    """Columns of the measure; null where nothing was found."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("leak_overlap", pa.float32()),
            ("leak_question", pa.string()),
            ("picture_bits", pa.int32()),
            ("picture_question", pa.string()),
            ("text_overlap", pa.float32()),
            ("text_question", pa.string()),
        ]
    )


@cache
def _search(benchmark: str, path: Path) -> _Search:
    return _Search(BenchmarkTable(benchmark, path))


class _Search:
    """A table's indexes, kept for all files of a process."""

    def __init__(self, table: BenchmarkTable) -> None:
        from curator.contamination.text_index import TextIndex

        self._table = table
        self._texts = TextIndex(table.texts)
        self._telling = self._texts.lengths >= TELLING_WORDS
        self._names: dict[int, str] = {}
        self._about: dict[int, list[tuple[int, str]]] = {}
        self._first: dict[int, Question] = {}
        self._closely: dict[int, Views | None] = {}
        for (text, picture), question in table.asked.items():
            self._names.setdefault(text, str(question.index))
            self._about.setdefault(picture, []).append((text, str(question.index)))
            self._first.setdefault(picture, question)

    def measure(self, table: pa.Table, looks: pa.Table, images: ImageStore) -> pa.Table:
        """The hits of one batch of samples."""
        import pyarrow as pa

        rows = [_Row() for _ in range(table.num_rows)]
        overlaps = self._add_texts(rows, self._texts.find(Batch(table).texts, table.num_rows, _LEAST))
        for sample, picture, bits in self._shared_pictures(table, looks, images):
            held = overlaps.get(sample, {})
            asked = [(held.get(text, 0.0), name) for text, name in self._about[picture]]
            overlap, name = max(asked, key=lambda one: one[0])
            rows[sample].look(bits, name)
            rows[sample].leak(overlap, name)
        columns = {name: [getattr(row, name) for row in rows] for name in schema().names[1:]}
        return pa.table({"id": table.column("id"), **columns}, schema=schema())

    def _add_texts(self, rows: list[_Row], found: Found) -> dict[int, dict[int, float]]:
        """Texts that are held; sample -> text -> share."""
        overlaps: dict[int, dict[int, float]] = {}
        for sample, text, overlap in zip(*(values.tolist() for values in found), strict=True):
            overlaps.setdefault(sample, {})[text] = overlap
            if not self._telling[text]:
                continue
            rows[sample].hold(overlap, self._names[text])
            alone = self._table.asked.get((text, -1))
            if alone is not None:
                rows[sample].leak(overlap, str(alone.index))
        return overlaps

    def _shared_pictures(self, table: pa.Table, looks: pa.Table, images: ImageStore) -> Iterator[tuple[int, int, int]]:
        """``(sample, picture of the benchmark, bits in which they differ)`` of pictures that are the same."""
        import pyarrow.compute as pc

        from curator.contamination.picture_index import near_pictures
        from curator.duplicates.looks import INSETS
        from curator.duplicates.same_picture import look_closely, same_picture

        lists = looks.column("flat").combine_chunks()
        owners, flat = np.asarray(pc.list_parent_indices(lists)), np.asarray(pc.list_flatten(lists), np.bool_)
        inside = np.asarray(pc.list_flatten(looks.column("hashes").combine_chunks()), np.uint64)
        files = pc.struct_field(pc.list_flatten(table.column("images")), "sha256")
        digests = np.array([int(sha256[:16], 16) for sha256 in files.to_pylist()], np.uint64)
        hashes = np.where(flat, digests, inside.reshape(-1, len(INSETS))[:, 0])
        near = near_pictures(hashes, flat, self._table.looks, DISTANCE)
        seen, mine = -1, None
        for position, picture, bits in zip(*(values.tolist() for values in near), strict=True):
            if position != seen:
                seen, mine = position, look_closely(images.read(files[position].as_py()))
            theirs = self._views(picture)
            if mine is not None and theirs is not None and same_picture(mine, theirs):
                yield int(owners[position]), picture, bits

    def _views(self, picture: int) -> Views | None:
        """A picture of the benchmark, looked at closely; the last ones are kept."""
        from curator.duplicates.same_picture import look_closely

        if picture not in self._closely:
            if len(self._closely) >= _KEPT_VIEWS:
                self._closely.clear()
            self._closely[picture] = look_closely(picture_bytes(self._table.name, self._first[picture]))
        return self._closely[picture]


@dataclass
class _Row:
    """What was found in one sample; the first of equals stays."""

    leak_overlap: float | None = None
    leak_question: str | None = None
    picture_bits: int | None = None
    picture_question: str | None = None
    text_overlap: float | None = None
    text_question: str | None = None

    def leak(self, overlap: float, question: str) -> None:
        """A question with its picture, of which this share is in the sample."""
        if self.leak_overlap is None or overlap > self.leak_overlap:
            self.leak_overlap, self.leak_question = overlap, question

    def look(self, bits: int, question: str) -> None:
        """A picture that differs in so many bits."""
        if self.picture_bits is None or bits < self.picture_bits:
            self.picture_bits, self.picture_question = bits, question

    def hold(self, overlap: float, question: str) -> None:
        """A text of which this share is in the sample."""
        if self.text_overlap is None or overlap > self.text_overlap:
            self.text_overlap, self.text_question = overlap, question
