"""Fingerprints: what is kept of each sample so that those that are alike can be found. They are measures.

``identical``, ``text`` and ``pictures`` are digests of the texts as they are, of their words and of the picture files;
``shingles`` are the digest of the words and the band keys of their MinHash signature; ``looks`` are the digest and the
perceptual hashes of each picture, in their order (an order that has a meaning: "the left one" is another picture when
they change places).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.batch import Batch
from curator.measure import Advance, Measured, make_measure, measure_folder, run_files, write_measure
from curator.runner import HERE, Place
from curator.samples import Samples
from registry.identity import digest
from registry.images import ImageStore
from registry.recipe import Alike, Banding, Dedup
from registry.store import Home, Record

if TYPE_CHECKING:
    import pyarrow as pa

VERSIONS = {"identical": 1, "text": 2, "shingles": 3, "pictures": 1, "looks": 2}
"""Raised whenever the same sample gets another fingerprint."""
_READS = {"identical": "messages", "text": "messages", "shingles": "messages", "pictures": "images", "looks": "images"}
_DIGEST_BYTES = 16
SHA256_BYTES = 32

Look = tuple[list[int], bool]
"""The hashes of a picture, and whether they mean nothing, because it is flat."""


@dataclass(frozen=True)
class Fingerprint:
    """One kind of fingerprint with its settings."""

    name: str
    words: int = 0
    bands: int = 0
    rows: int = 0

    def plain(self) -> dict[str, Any]:
        """JSON form; settings that do not apply are left out."""
        return {"fingerprint": self.name} | {k: v for k, v in vars(self).items() if k != "name" and v}

    def schema(self) -> pa.Schema:
        """Columns of the measure."""
        import pyarrow as pa

        key = ("digest", pa.binary(_DIGEST_BYTES))
        columns = {
            "identical": [key],
            "text": [key],
            "shingles": [key, ("bands", pa.binary(4 * self.bands))],
            "pictures": [key],
            "looks": [
                ("pictures", pa.list_(pa.binary(SHA256_BYTES))),
                ("hashes", pa.list_(pa.uint64())),
                ("flat", pa.list_(pa.bool_())),
            ],
        }
        return pa.schema([("id", pa.string()), *columns[self.name]])


def fingerprints_for(ways: list[Alike], wanted: Dedup) -> list[Fingerprint]:
    """The fingerprints that these ways of being the same are found by."""
    texts, images = {way.text for way in ways}, {way.image for way in ways}
    found = []
    if "near" in texts:
        found.append(Fingerprint("shingles", *wanted.banding()))
    elif "exact" in texts:
        found.append(Fingerprint("text"))
    if "identical" in texts:
        found.append(Fingerprint("identical"))
    if "exact" in images:
        found.append(Fingerprint("pictures"))
    if "near" in images:
        found.append(Fingerprint("looks"))
    return found


@dataclass(frozen=True)
class FingerprintFile:
    """One file of samples, and the file of their fingerprints."""

    home: Home
    kind: Fingerprint
    source: Path
    target: Path


def fingerprint_file(task: FingerprintFile) -> Iterator[int]:
    """Write the fingerprints of one file; yields the rows done."""
    schema, reads = task.kind.schema(), ["id", _READS[task.kind.name]]
    if task.kind.name == "looks":
        images = ImageStore(task.home)
        known: dict[str, Look] = {}
        try:
            yield from write_measure(task.source, task.target, schema, lambda t: _looks(t, images, known), reads)
        finally:
            images.close()
        return
    made: dict[str, Callable[[pa.Table, Fingerprint], dict[str, Any]]] = {
        "identical": _identical,
        "text": _text,
        "shingles": _shingles,
        "pictures": _pictures,
    }

    def measured(table: pa.Table) -> pa.Table:
        import pyarrow as pa

        return pa.table({"id": table.column("id"), **made[task.kind.name](table, task.kind)}, schema=schema)

    yield from write_measure(task.source, task.target, schema, measured, reads)


def identity_of(samples: Samples, kind: Fingerprint) -> str:
    """Identity of the fingerprints of these samples."""
    return digest({**kind.plain(), "version": VERSIONS[kind.name], "samples": samples.record.digest})


def folder_of(home: Home, samples: Samples, kind: Fingerprint) -> Path:
    """Where these fingerprints lie, finished or not."""
    return measure_folder(home, samples, f"fingerprint-{kind.name}", identity_of(samples, kind))


def fingerprint(
    home: Home, samples: Samples, kind: Fingerprint, advance: Advance | None = None, place: Place = HERE
) -> Measured:
    """Make (or find) the fingerprints of one samples folder."""
    record = Record(
        kind="measures",
        name=f"fingerprint-{kind.name}",
        digest=identity_of(samples, kind),
        settings=kind.plain(),
        versions={"fingerprint": str(VERSIONS[kind.name])},
        command=f"curator dedup {samples.card.name}",
    )

    def write(out: Path) -> Generator[int]:
        tasks = [FingerprintFile(home, kind, path, out / path.name) for path in samples.files()]
        return run_files(fingerprint_file, tasks, place)

    return make_measure(home, samples, record, write, advance)


def _identical(table: pa.Table, kind: Fingerprint) -> dict[str, Any]:  # noqa: ARG001  one form for all
    from curator.duplicates.same_text import identical_digests

    return {"digest": _binary(identical_digests(Batch(table).texts, table.num_rows), _DIGEST_BYTES)}


def _text(table: pa.Table, kind: Fingerprint) -> dict[str, Any]:  # noqa: ARG001  one form for all
    from curator.duplicates.same_text import normal_digests

    return {"digest": _binary(normal_digests(Batch(table).texts, table.num_rows), _DIGEST_BYTES)}


def _shingles(table: pa.Table, kind: Fingerprint) -> dict[str, Any]:
    from curator.duplicates.shingles import bands_of
    from curator.duplicates.words import digests_of, words_in_steps

    banding = Banding(kind.words, kind.bands, kind.rows)
    digests, bands = np.empty((table.num_rows, 2), np.uint64), np.empty((table.num_rows, kind.bands), np.uint32)
    for first, worded in words_in_steps(Batch(table).texts, table.num_rows):
        some = slice(first, first + len(worded.starts) - 1)
        digests[some], bands[some] = digests_of(worded), bands_of(worded, banding)
    return {"digest": _binary(digests, _DIGEST_BYTES), "bands": _binary(bands, 4 * kind.bands)}


def _pictures(table: pa.Table, kind: Fingerprint) -> dict[str, Any]:  # noqa: ARG001  one form for all
    import pyarrow as pa

    rows = table.column("images").to_pylist()
    joined = ("".join(image["sha256"] for image in images).encode() for images in rows)
    digests = [hashlib.sha256(text).digest()[:_DIGEST_BYTES] if text else None for text in joined]
    return {"digest": pa.array(digests, pa.binary(_DIGEST_BYTES))}


def _looks(table: pa.Table, images: ImageStore, known: dict[str, Look]) -> pa.Table:
    """Looks of one batch; ``known`` keeps those of the file, so that each picture is decoded once for it."""
    import pyarrow as pa

    from curator.duplicates.looks import look_inside

    rows = [[image["sha256"] for image in images] for images in table.column("images").to_pylist()]
    fresh = [sha256 for sha256 in dict.fromkeys(sha for row in rows for sha in row) if sha256 not in known]
    hashes, flat = look_inside(map(images.read, fresh))
    known.update(zip(fresh, zip(hashes.tolist(), flat.tolist(), strict=True), strict=True))
    columns = {
        "id": table.column("id"),
        "pictures": [list(map(bytes.fromhex, row)) for row in rows],
        "hashes": [[one for sha256 in row for one in known[sha256][0]] for row in rows],
        "flat": [[known[sha256][1] for sha256 in row] for row in rows],
    }
    return pa.table(columns, schema=Fingerprint("looks").schema())


def _binary(numbers: Any, width: int) -> pa.Array:
    """The memory of an array of numbers as values of so many bytes."""
    import pyarrow as pa

    data = np.ascontiguousarray(numbers)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), data.nbytes // width, [None, pa.py_buffer(data)])
