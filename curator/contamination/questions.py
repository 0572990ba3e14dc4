"""The questions of a benchmark: its distinct texts, its distinct pictures, and which of them go together."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from registry.benchmark import Question, load_benchmark
from registry.errors import Refusal
from registry.identity import file_digest
from registry.store import Home


@dataclass(frozen=True)
class Looked:
    """Distinct pictures of a benchmark."""

    hashes: npt.NDArray[np.uint64]
    """Perceptual hashes; of a flat picture the first bits of its file's digest."""
    flat: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BenchmarkTable:
    """A benchmark's published table. Questions with equal text and picture are one (circular variants, for example)."""

    name: str
    path: Path

    @cached_property
    def digest(self) -> str:
        """sha256 of the table's bytes."""
        return file_digest(self.path)

    @cached_property
    def version(self) -> int:
        """Version of the reader."""
        return load_benchmark(self.name).VERSION

    @cached_property
    def questions(self) -> list[Question]:
        """One question for each distinct pair of text and picture, in the order of the table."""
        found: dict[tuple[str, str], Question] = {}
        for question in load_benchmark(self.name).questions(self.path):
            found.setdefault((question.text, question.image_key), question)
        return list(found.values())

    @cached_property
    def texts(self) -> list[str]:
        """The distinct texts."""
        return list(dict.fromkeys(question.text for question in self.questions))

    @cached_property
    def pictures(self) -> list[str]:
        """Keys of the distinct pictures."""
        return list(dict.fromkeys(question.image_key for question in self.questions if question.image_key))

    @cached_property
    def asked(self) -> dict[tuple[int, int], Question]:
        """``(text, picture)`` -> the question; picture -1 is none."""
        texts = {text: number for number, text in enumerate(self.texts)}
        pictures = {key: number for number, key in enumerate(self.pictures)} | {"": -1}
        return {(texts[one.text], pictures[one.image_key]): one for one in self.questions}

    @cached_property
    def looks(self) -> Looked:
        """How the distinct pictures look, in the order of ``pictures``."""
        from curator.duplicates.looks import look_at

        first: dict[str, Question] = {}
        for question in self.questions:
            first.setdefault(question.image_key, question)
        digests: list[int] = []

        def files() -> Iterator[bytes]:
            for key in self.pictures:
                data = picture_bytes(self.name, first[key])
                digests.append(int(hashlib.sha256(data).hexdigest()[:16], 16))
                yield data

        hashes, flat = look_at(files())
        return Looked(np.where(flat, np.array(digests, np.uint64), hashes), flat)


def picture_bytes(benchmark: str, question: Question) -> bytes:
    """The file bytes of a question's picture; raises Refusal when the table does not hold it as base64."""
    try:
        return base64.b64decode(question.image_base64 or "", validate=False)
    except (binascii.Error, ValueError):
        where = f"benchmark {benchmark}, question {question.index}"
        raise Refusal(where, "its picture is not base64", "get the table again and compare its md5") from None


def find_tables(home: Home, benchmarks: list[str], given: dict[str, Path]) -> list[BenchmarkTable]:
    """The tables of these benchmarks: those given, else ``<home>/benchmarks/<name>.*``; by default all that are there.

    Raises Refusal for an unknown benchmark or a table that is not there.
    """
    from curator.study_request import find_table
    from registry.benchmark import names

    wanted = list(dict.fromkeys([*benchmarks, *given]))
    if not wanted:
        wanted = [name for name in names() if any((home.path / "benchmarks").glob(f"{name}.*"))]
    if not wanted:
        way_out = f"put published tables into {home.path / 'benchmarks'} (mme.tsv …), or give --table NAME=FILE"
        raise Refusal("benchmarks", "no table is there to compare with", way_out)
    return [BenchmarkTable(name, find_table(home, name, given.get(name)).table) for name in wanted]


def parse_tables(texts: Iterable[str]) -> dict[str, Path]:
    """``mme=MME.tsv`` and the like: benchmark -> file; raises Refusal for a text of another form."""
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise Refusal(f"--table {text}", "is not NAME=FILE", "for example mme=MME.tsv")
        found[name] = Path(path).expanduser()
    return found
