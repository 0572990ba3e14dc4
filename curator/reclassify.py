"""Reclassify: apply the rules of a card, as it is now, to samples that are already normalised.

The result is a measure (``id``, ``part``, ``category``): the samples stay as they are, another card gives
another measure, and the old card finds its old one again. Mixes read labels through ``labels``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.measure import Advance, Measured, make_measure, run_files, sample_tables, write_measure
from curator.rules import Origin, PartRules, describe, first_text, parts_settings
from curator.runner import HERE, Place
from curator.samples import Samples
from registry.card import Part
from registry.identity import digest, order_key
from registry.sample import Message
from registry.store import Home, Record

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
NAME = "labels"
EXAMPLES = 3
"""Examples of each move that an audit shows."""

Label = tuple[str, str]
"""``(part, category)``."""


@dataclass
class Move:
    """Samples that one rule takes from one label to another (or leaves where they are)."""

    before: Label
    after: Label
    rule: str
    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    """Rows of samples."""
    _keys: list[int] = field(default_factory=list, repr=False)

    @property
    def moved(self) -> bool:
        """Whether the label changes."""
        return self.before != self.after

    def offer(self, row: dict[str, Any]) -> None:
        """Keep the example if its place in a fixed shuffle is among the first: no order of files matters."""
        key = order_key("audit", row["id"], row["source_id"])
        if len(self._keys) == EXAMPLES and key >= self._keys[-1]:
            return
        at = sum(known <= key for known in self._keys)
        self._keys.insert(at, key)
        self.examples.insert(at, row)
        del self._keys[EXAMPLES:], self.examples[EXAMPLES:]


Moves = dict[tuple[Label, Label, str], Move]
"""Moves by the labels before and after, and the rule."""


def add_move(moves: Moves, before: Label, after: Label, rule: str, row: dict[str, Any]) -> None:
    """Count one sample, and keep it as an example if it is among the first in a fixed shuffle."""
    move = moves.setdefault((before, after, rule), Move(before, after, rule))
    move.count += 1
    move.offer(row)


@dataclass(frozen=True)
class Audit:
    """Every label before and after, with the rule that decided and a few examples."""

    dataset: str
    by: str
    """What decided, in words, with its version."""
    moves: list[Move]

    @classmethod
    def of(cls, dataset: str, by: str, moves: Moves) -> Audit:
        """The moves in order: what changes first, the largest first."""
        return cls(
            dataset, by, sorted(moves.values(), key=lambda m: (not m.moved, -m.count, m.before, m.after, m.rule))
        )

    @property
    def samples(self) -> int:
        """Samples looked at."""
        return sum(move.count for move in self.moves)

    @property
    def moved(self) -> int:
        """Samples whose label changes."""
        return sum(move.count for move in self.moves if move.moved)

    def plain(self) -> list[dict[str, Any]]:
        """JSON form."""
        return [
            {
                "from": {"part": move.before[0], "category": move.before[1]},
                "to": {"part": move.after[0], "category": move.after[1]},
                "rule": move.rule,
                "samples": move.count,
                "moved": move.moved,
                "examples": [_example(row) for row in move.examples],
            }
            for move in self.moves
        ]


def labels_digest(samples: Samples) -> str:
    """Identity of the labels: these samples under these rules."""
    return digest({"labels": VERSION, "samples": samples.record.digest, "parts": parts_settings(samples.card.parts)})


@dataclass(frozen=True)
class LabelFile:
    """One file of samples, and the file of labels that the parts of a card give them."""

    parts: list[Part]
    source: Path
    target: Path


def label_file(task: LabelFile) -> Iterator[int]:
    """Write one file of labels; yields the rows done."""
    rules = PartRules(task.parts)

    yield from write_measure(task.source, task.target, _schema(), lambda table: label_table(rules, table))


def label_table(rules: PartRules, table: pa.Table) -> pa.Table:
    """``id``, ``part`` and ``category`` of samples, as these rules have them."""
    import pyarrow as pa

    found = [_label(row, part) for row, part in _decided(rules, table)]
    parts, categories = [part for part, _ in found], [category for _, category in found]
    return pa.table({"id": table.column("id"), "part": parts, "category": categories}, schema=_schema())


def labels(home: Home, samples: Samples, advance: Advance | None = None, place: Place = HERE) -> Measured:
    """Make (or find) the labels that the card gives its samples now."""
    record = Record(
        kind="measures",
        name=NAME,
        digest=labels_digest(samples),
        settings={"parts": parts_settings(samples.card.parts)},
        versions={"labels": str(VERSION)},
        command=f"curator reclassify {samples.card.name}",
    )

    def write(out: Path) -> Generator[int]:
        tasks = [LabelFile(samples.card.parts, path, out / path.name) for path in samples.files()]
        return run_files(label_file, tasks, place)

    return make_measure(home, samples, record, write, advance)


def audit(samples: Samples, advance: Advance | None = None) -> Audit:
    """Compare the labels in the samples with those of the card's rules now; writes nothing."""
    rules = PartRules(samples.card.parts)
    moves: Moves = {}
    for path in samples.files():
        for table in sample_tables(path):
            for row, part in _decided(rules, table):
                before, after = (row["part"], row["category"]), _label(row, part)
                rule = describe(part.rule) if part is not None else "no rule takes it: it stays"
                add_move(moves, before, after, rule, row)
            (advance or (lambda _rows: None))(table.num_rows)
    return Audit.of(samples.card.name, f"the rules of the card (version {VERSION})", moves)


def categories_after(audited: Audit) -> dict[str, int]:
    """Category -> samples, after the moves."""
    counts: Counter[str] = Counter()
    for move in audited.moves:
        counts[move.after[1]] += move.count
    return dict(sorted(counts.items()))


def _decided(rules: PartRules, table: pa.Table) -> Iterable[tuple[dict[str, Any], Part | None]]:
    """Every row with the part that takes it now."""
    rows: list[dict[str, Any]] = table.to_pylist()
    return zip(
        rows,
        rules.parts_of([(Origin(row["source_id"], part=row["part"]), row["messages"]) for row in rows]),
        strict=True,
    )


def _label(row: dict[str, Any], part: Part | None) -> Label:
    """The part's label; a sample that no rule takes keeps its own."""
    return (part.name, part.category) if part is not None else (row["part"], row["category"])


def _example(row: dict[str, Any]) -> dict[str, Any]:
    """An example of an audit in JSON."""
    messages: list[Message] = row["messages"]
    return {
        "id": row["id"],
        "source_id": row["source_id"],
        "request": first_text(messages, "user"),
        "answer": first_text(messages, "assistant"),
        "images": [image["sha256"] for image in row["images"]],
    }


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("part", pa.string()), ("category", pa.string())])
