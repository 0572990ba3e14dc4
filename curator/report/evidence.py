"""What the trials of a decision cost, and what was set aside, filtered and moved on the way into its mixes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.report.ancestry import Ancestor, Ancestry
from curator.report.tables import Cell, Table
from curator.report.wording import category_title, plural
from registry.damage import table_of
from registry.mix import PartCount
from registry.store import COST
from registry.trial import Decision

CPU_SECONDS, WALL_SECONDS, SAMPLES = "cpu_seconds", "wall_seconds", "samples"
LABELS = "labels-"
"""How the folder of a measure begins that holds the parts of a card whose rules changed."""


@dataclass(frozen=True)
class Cost:
    """What the trials of a decision cost when they were run."""

    trials: int
    told: int
    """Trials whose cost is known."""
    cpu_seconds: float
    wall_seconds: float
    samples: int
    """Samples trained on, over all trials that tell."""


def cost_of(decision: Decision, ancestry: Ancestry) -> tuple[Cost, Table]:
    """Sum and table of the cost of every trial. A trial used by several studies counts in each."""
    spent = [(trial, _cost(trial.folder)) for trial in ancestry.of("trials")]
    keys = (SAMPLES, CPU_SECONDS, WALL_SECONDS)
    rows: list[list[Cell]] = [
        [trial.folder.name, ancestry.mix_of(trial), *(_plain(cost.get(key)) for key in keys)] for trial, cost in spent
    ]
    samples, cpu, wall = (sum(cost.get(key, 0.0) for _, cost in spent) for key in keys)
    told = sum(CPU_SECONDS in cost for _, cost in spent)
    columns = ["trial", "mix", "samples", "CPU seconds", "wall seconds"]
    trials = max(len(decision.trials), len(spent))
    return Cost(trials, told, cpu, wall, round(samples)), Table("cost", "Cost of each trial", columns, rows)


def _plain(value: float | None) -> Cell:
    return int(value) if value is not None and value.is_integer() else value


def _cost(folder: Path) -> dict[str, float]:
    """Numbers of ``cost.json``; empty when there is none that can be read."""
    try:
        told: Any = json.loads((folder / COST).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {key: float(value) for key, value in told.items() if isinstance(value, int | float)}


@dataclass(frozen=True)
class Sifted:
    """What became of one dataset on its way into the study."""

    dataset: str
    published: int | None
    """Rows as published; None where the samples folder is gone."""
    set_aside: dict[str, int]
    """Reason -> rows that could not become samples."""
    parts: list[tuple[str, str, int]]
    """Part, category and samples: where a dataset was split over categories, this is what moved."""
    dropped: dict[str, int]
    """Filter and column -> samples dropped from the mixes."""
    chosen: int
    """Samples of it in the largest mix that has it."""

    @property
    def moved(self) -> bool:
        """Whether its samples went to more than one category."""
        return len({category for _, category, _ in self.parts}) > 1


def sift(ancestry: Ancestry) -> list[Sifted]:
    """One entry per dataset of the mixes, by name."""
    counts: dict[str, dict[tuple[str | None, str | None], PartCount]] = {}
    for info in ancestry.mixes.values():
        for part in info.parts:
            which = (part.part, part.category)
            known = counts.setdefault(part.dataset, {}).get(which)
            if known is None or part.chosen > known.chosen:
                counts[part.dataset][which] = part
    return [_sifted(name, list(parts.values()), ancestry) for name, parts in sorted(counts.items())]


def _sifted(dataset: str, counts: Sequence[PartCount], ancestry: Ancestry) -> Sifted:
    dropped: dict[str, int] = {}
    for count in counts:
        for reason, rows in count.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + rows
    source = next((a for a in ancestry.of("samples") if a.folder.name == counts[0].samples_folder), None)
    return Sifted(
        dataset=dataset,
        published=source.record.rows_in if source else None,
        set_aside=dict(sorted(source.record.rejected.items())) if source else {},
        parts=_part_sizes(_labels(source, ancestry) or source.folder) if source else [],
        dropped=dict(sorted(dropped.items())),
        chosen=sum(count.chosen for count in counts),
    )


def _labels(source: Ancestor, ancestry: Ancestry) -> Path | None:
    """The measure that says which part each sample belongs to now, if the card's rules changed since it was pulled."""
    measures = [a.folder for a in ancestry.of("measures") if a.folder.parent.name == source.folder.name]
    return next((folder for folder in measures if folder.name.startswith(LABELS)), None)


def _part_sizes(folder: Path) -> list[tuple[str, str, int]]:
    """Part, category and rows of a samples (or labels) folder, counted from its two small columns."""
    import pyarrow as pa

    columns = ["part", "category"]
    tables = [table_of(path, columns) for path in sorted(folder.glob("part-*.parquet"))]
    if not tables:
        return []
    grouped = pa.concat_tables(tables).group_by(columns).aggregate([([], "count_all")])
    return sorted((row["part"] or "", row["category"] or "", row["count_all"]) for row in grouped.to_pylist())


def sifted_table(sifted: list[Sifted]) -> Table:
    """What was set aside, moved and filtered, one row a dataset."""
    rows: list[list[Cell]] = [
        [
            entry.dataset,
            entry.published,
            _counted(entry.set_aside),
            "; ".join(f"{category_title(c)}: {plural(n, 'sample')}" for _, c, n in entry.parts) if entry.moved else "",
            _counted(entry.dropped),
            entry.chosen,
        ]
        for entry in sifted
    ]
    names = ["dataset", "published rows", "set aside", "split over categories", "filtered out", "in the study"]
    return Table("sifted", "What was filtered and moved", names, rows)


def _counted(reasons: dict[str, int]) -> str:
    return "; ".join(f"{reason}: {count:,}" for reason, count in reasons.items() if count)
