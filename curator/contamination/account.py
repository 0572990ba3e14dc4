"""What ``curator decontaminate`` says: how much of each benchmark is in each dataset, with both sides of the hits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from curator.contamination.hits import LOOKS, OVERLAP, hits, identity_of, measure_name, verdicts
from curator.contamination.questions import BenchmarkTable
from curator.duplicates.fingerprints import folder_of
from curator.measure import Advance, measure_folder
from curator.runner import HERE, Place
from curator.samples import Samples, find_samples
from curator.shown import rows_at
from registry.benchmark import Question
from registry.errors import Refusal, did_you_mean
from registry.identity import order_key
from registry.store import Home, is_finished

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, object]
VERDICTS = ("leak", "picture", "text")
EXAMPLES = 6
"""Hits of each verdict, dataset and benchmark that are shown."""


@dataclass(frozen=True)
class Subject:
    """Samples that are looked at: all of a dataset, or those of it that a mix holds."""

    samples: Samples
    chosen: frozenset[str] | None = None
    """Their ids; None means all."""


@dataclass(frozen=True)
class Hit:
    """Both sides of one hit."""

    dataset: str
    benchmark: str
    verdict: str
    overlap: float | None
    """Share of the question that the sample holds."""
    bits: int | None
    """Bits in which the pictures' hashes differ."""
    question: Question
    row: dict[str, Any]
    """The sample."""

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        told = {name: getattr(self, name) for name in ("dataset", "benchmark", "verdict", "overlap", "bits")}
        asked = {"index": self.question.index, "text": self.question.text, "answer": self.question.answer}
        turns = [
            {"role": message["role"], "text": "".join(part["text"] or "" for part in message["content"])}
            for message in self.row["messages"]
        ]
        return {**told, "question": asked, "id": self.row["id"], "source_id": self.row["source_id"], "messages": turns}


@dataclass(frozen=True)
class Account:
    """All that was found."""

    rows: list[Row]
    """One a dataset and benchmark."""
    hits: list[Hit]
    tables: list[BenchmarkTable]

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return {"found": self.rows, "hits": [hit.plain() for hit in self.hits]}


def subjects(home: Home, names: Iterable[str]) -> list[Subject]:
    """Datasets and mixes by name; raises Refusal for what is neither."""
    found: list[Subject] = []
    for name in dict.fromkeys(names):
        mixes = [folder for folder in home.finished("mixes") if name in (folder.name, folder.name.rpartition("-")[0])]
        if not mixes:
            found.append(Subject(_dataset(home, name)))
        elif len(mixes) > 1:
            raise Refusal(f"mix '{name}'", "there are several", f"name one: {', '.join(one.name for one in mixes)}")
        else:
            found += _of_mix(home, mixes[0].name)
    return found


def _dataset(home: Home, name: str) -> Samples:
    try:
        return find_samples(home, name)
    except Refusal as refusal:
        mixes = [folder.name.rpartition("-")[0] for folder in home.finished("mixes")]
        hint = did_you_mean(name, mixes)
        raise Refusal(refusal.where, refusal.what + hint, refusal.way_out) from None


def _of_mix(home: Home, mix: str) -> Iterator[Subject]:
    import pyarrow.compute as pc

    from registry.mix import MixReader

    rows = MixReader(home, mix).rows()
    for folder in sorted(rows.column("folder").unique().to_pylist()):
        dataset = folder.partition("@")[0]
        revision = folder.partition("@")[2].rpartition("-")[0]
        ids = rows.filter(pc.equal(rows.column("folder"), folder)).column("id").to_pylist()
        yield Subject(find_samples(home, f"{dataset}@{revision}"), frozenset(ids))


def plan_rows(home: Home, wanted: list[Subject], tables: list[BenchmarkTable]) -> list[Row]:
    """What would be measured, and of how many samples."""
    rows: list[Row] = []
    for subject in wanted:
        samples = subject.samples
        to_make = [("looks", folder_of(home, samples, LOOKS))]
        for table in tables:
            name = measure_name(table)
            to_make.append((name, measure_folder(home, samples, name, identity_of(samples, table))))
        for name, folder in to_make:
            left = 0 if is_finished(folder) else samples.record.rows_out
            rows.append({"dataset": samples.card.name, "measure": name, "samples": left})
    return rows


def account(
    home: Home,
    wanted: list[Subject],
    tables: list[BenchmarkTable],
    overlap: float = OVERLAP,
    advance: Advance | None = None,
    place: Place = HERE,
) -> Account:
    """Measure (or find) and sum up."""
    rows: list[Row] = []
    shown: list[Hit] = []
    for subject in wanted:
        for table in tables:
            measured = hits(home, subject.samples, table, advance, place).columns()
            judged = verdicts(measured, overlap)
            if subject.chosen is not None:
                ids = measured.column("id").to_pylist()
                judged = [one if i in subject.chosen else None for one, i in zip(judged, ids, strict=True)]
            rows.append(_row(subject, table, judged))
            shown += _hits(subject.samples, table, measured, judged)
    return Account(rows, shown, tables)


def _row(subject: Subject, table: BenchmarkTable, judged: list[str | None]) -> Row:
    card = subject.samples.card
    counts = Counter(judged)
    total = len(judged) if subject.chosen is None else len(subject.chosen)
    return {
        "dataset": card.name,
        "benchmark": table.name,
        "questions": len(table.questions),
        "samples": total,
        "leaks": counts["leak"],
        "same picture": counts["picture"],
        "same text": counts["text"],
        "declared": "training split" if table.name in card.train_split_of else None,
    }


def _hits(samples: Samples, table: BenchmarkTable, measured: pa.Table, judged: list[str | None]) -> list[Hit]:
    """A few hits of each verdict, drawn by the ids of their samples."""
    ids = measured.column("id").to_pylist()
    by_index = {str(question.index): question for question in table.questions}
    chosen: dict[int, str] = {}
    for verdict in VERDICTS:
        found = [number for number, one in enumerate(judged) if one == verdict]
        key = partial(order_key, "contamination example")
        chosen |= dict.fromkeys(sorted(found, key=lambda number: key(ids[number]))[:EXAMPLES], verdict)
    if not chosen:
        return []
    numbers = sorted(chosen)
    told = zip(numbers, measured.take(numbers).to_pylist(), rows_at(samples, numbers), strict=True)
    hits_found = [_hit(samples, table, chosen[number], one, row, by_index) for number, one, row in told]
    return sorted(hits_found, key=lambda hit: VERDICTS.index(hit.verdict))


def _hit(
    samples: Samples,
    table: BenchmarkTable,
    verdict: str,
    told: dict[str, Any],
    row: dict[str, Any],
    by_index: dict[str, Question],
) -> Hit:
    overlap = told["text_overlap"] if verdict == "text" else told["leak_overlap"]
    bits = None if verdict == "text" else told["picture_bits"]
    question = by_index[told[f"{verdict}_question"]]
    return Hit(samples.card.name, table.name, verdict, overlap, bits, question, row)
