"""Reclassify by the general classifier: a category for every sample of any dataset, without rules of its card.

What is found is a measure (``id``, ``category``, ``confidence``, ``rule``) beside the samples, so nothing is lost and
everything can be taken back. The threshold on confidence is applied when the measure is read: below it a sample keeps
the label of its card. A dataset never learns from itself, or it would find what its card says.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.batch import Batch
from curator.categories.centroids import Centroids, learn
from curator.categories.findings import VERSION, findings, findings_settings
from curator.categories.profiles import profile, profile_digest, profile_folder
from curator.measure import Advance, Measured, make_measure, measure_folder, run_files, sample_tables, write_measure
from curator.reclassify import Audit, Moves, add_move, label_table
from curator.rules import PartRules
from curator.runner import HERE, Place
from curator.samples import Samples, find_samples
from registry.damage import table_of
from registry.errors import Refusal
from registry.identity import digest
from registry.recipe import Labels
from registry.store import Home, Record, is_finished

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "general"
AGREES = "the card says so too"
UNSURE = "not sure enough"


@dataclass(frozen=True)
class General:
    """How categories are found: learned from which datasets, and from which confidence on they count."""

    confidence: float
    teachers: tuple[Samples, ...]

    @classmethod
    def of(cls, home: Home, wanted: Labels) -> General:
        """What a recipe asks for; raises Refusal for a dataset that is not here."""
        found = {one.folder.name: one for one in (find_samples(home, name) for name in wanted.learned_from)}
        return cls(wanted.confidence, tuple(found[name] for name in sorted(found)))

    def for_samples(self, samples: Samples) -> list[Samples]:
        """The datasets that are learned from to judge these samples."""
        return [one for one in self.teachers if one.card.name != samples.card.name]

    def digest(self, samples: Samples) -> str:
        """Identity of what is found in these samples; the threshold is no part of it."""
        learned = sorted(profile_digest(one) for one in self.for_samples(samples))
        return digest({**findings_settings(), "samples": samples.record.digest, "learned": learned})

    def plain(self, samples: Samples) -> dict[str, Any]:
        """JSON form for these samples with everything pinned."""
        teachers = [{"dataset": one.card.name, "samples": one.folder.name} for one in self.for_samples(samples)]
        found = {"measure_digest": self.digest(samples), "confidence": self.confidence}
        return found | {"learned_from": teachers}

    def folder(self, home: Home, samples: Samples) -> Path:
        """Where that lies."""
        return measure_folder(home, samples, NAME, self.digest(samples))

    def labels(self) -> Labels:
        """The section of a recipe that asks for this."""
        return Labels(by="general", confidence=self.confidence, learned_from=[one.card.name for one in self.teachers])

    def missing(self, home: Home, samples: Samples) -> list[tuple[Samples, str]]:
        """``(samples, measure)`` that nobody has made yet."""
        needed = [(one, "profile", profile_folder(home, one)) for one in self.for_samples(samples)]
        needed.append((samples, NAME, self.folder(home, samples)))
        return [(one, name) for one, name, folder in needed if not is_finished(folder)]


def all_teachers(home: Home, samples: Samples) -> list[str]:
    """Every other dataset of the home that can be learned from; looks at the first rows of one are left out."""
    names = sorted({folder.name.partition("@")[0] for folder in home.finished("samples")})
    return [name for name in names if name != samples.card.name and _usable(home, name)]


def _usable(home: Home, name: str) -> bool:
    try:
        find_samples(home, name)
    except Refusal:  # no card any more, only a look, or more than one revision: nothing to learn from without asking
        return False
    return True


@dataclass(frozen=True)
class GeneralFile:
    """One file of samples, and the file of what is found in it."""

    profiles: tuple[Path, ...]
    source: Path
    target: Path


def general_file(task: GeneralFile) -> Iterator[int]:
    """Write the findings of one file; yields the rows done."""
    centroids = _learned(task.profiles)

    def measured(table: pa.Table) -> pa.Table:
        import pyarrow as pa

        found = findings(centroids, Batch(table))
        values = {"id": table.column("id"), "category": found.category}
        return pa.table({**values, "confidence": found.confidence, "rule": found.rule}, schema=_schema())

    yield from write_measure(task.source, task.target, _schema(), measured, ["id", "images", "messages"])


@lru_cache(maxsize=1)
def _learned(profiles: tuple[Path, ...]) -> Centroids:
    """Centroids of finished profiles; a process learns them once for all its files."""
    import pyarrow as pa

    tables = [[table_of(path) for path in sorted(folder.glob("part-*.parquet"))] for folder in profiles]
    return learn(pa.concat_tables(parts) for parts in tables if parts)


def general(
    home: Home, samples: Samples, wanted: General, advance: Advance | None = None, place: Place = HERE
) -> Measured:
    """Make (or find) what the general classifier finds in these samples, and the profiles that it learns from."""
    teachers = wanted.for_samples(samples)
    learned = [(one, profile(home, one, advance, place)) for one in teachers]
    identity = wanted.digest(samples)
    record = Record(
        kind="measures",
        name=NAME,
        digest=identity,
        inputs={f"measures/{one.folder.name}/{made.folder.name}": made.record.digest for one, made in learned},
        settings={"learned_from": [one.card.name for one in teachers]},
        versions={name: str(version) for name, version in findings_settings().items()},
        command=f"curator reclassify {samples.card.name} --by general",
    )
    profiles = tuple(made.folder for _, made in learned)

    def write(out: Path) -> Generator[int]:
        return run_files(general_file, [GeneralFile(profiles, p, out / p.name) for p in samples.files()], place)

    return make_measure(home, samples, record, write, advance)


def general_categories(found: pa.Table, current: pa.ChunkedArray, confidence: float) -> pa.ChunkedArray:
    """The category that was found where it is sure enough, else the ``current`` one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sure = pc.greater_equal(found.column("confidence"), pa.scalar(confidence, pa.float64()))
    return pa.chunked_array([pc.if_else(sure, found.column("category"), current).combine_chunks()])


def general_audit(
    home: Home, samples: Samples, wanted: General, advance: Advance | None = None, place: Place = HERE
) -> Audit:
    """Compare the labels of the card with what was found; makes the measure where nobody has."""
    found = general(home, samples, wanted, advance, place).columns(["category", "confidence", "rule"])
    rules = PartRules(samples.card.parts) if samples.relabelled else None
    moves: Moves = {}
    begin = 0
    for path in samples.files():
        for table in sample_tables(path):
            _compare(table, found.slice(begin, table.num_rows), rules, wanted.confidence, moves)
            begin += table.num_rows
    return Audit.of(samples.card.name, _by(wanted, samples), moves)


def _compare(table: pa.Table, found: pa.Table, rules: PartRules | None, confidence: float, moves: Moves) -> None:
    """Count the moves of one batch."""
    current = table if rules is None else label_table(rules, table)
    columns = [current.column("part"), current.column("category"), *(found.column(name) for name in found.column_names)]
    labels = zip(*(column.to_pylist() for column in columns), strict=True)
    for row, (part, category, other, sure, rule) in zip(table.to_pylist(), labels, strict=True):
        after = other if sure >= confidence else category
        why = rule if after != category else AGREES if other == category else UNSURE
        add_move(moves, (part, category), (part, after), why, row)


def _by(wanted: General, samples: Samples) -> str:
    names = ", ".join(one.card.name for one in wanted.for_samples(samples)) or "no other dataset"
    return f"the general classifier (version {VERSION}) where it is {wanted.confidence:g} sure, learned from {names}"


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [("id", pa.string()), ("category", pa.string()), ("confidence", pa.float64()), ("rule", pa.string())]
    )
