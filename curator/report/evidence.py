"""What a decision rests on, read from the data home: its ancestors, what they cost, and what was set aside on the way.

Anything may be missing (a home can be cleaned, a decision copied elsewhere): it is counted and said, never guessed.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curator.report.tables import Cell, Table
from curator.report.wording import category_title, plural
from registry.errors import Refusal
from registry.identity import short
from registry.mix import MIX_FILE, MixInfo, PartCount
from registry.store import COST, STAGES, Home, Record, is_finished, read_record
from registry.trial import Decision

CPU_SECONDS = "cpu_seconds"
WALL_SECONDS = "wall_seconds"


@dataclass(frozen=True)
class Ancestor:
    """A finished folder that the decision descends from."""

    stage: str
    folder: Path
    record: Record


@dataclass(frozen=True)
class Ancestry:
    """Everything a decision descends from, nearest first."""

    found: list[Ancestor]
    missing: list[str]
    """``stage/folder`` of what a record names and the home no longer has."""

    def of(self, stage: str) -> list[Ancestor]:
        """The ancestors of one stage."""
        return [ancestor for ancestor in self.found if ancestor.stage == stage]


def trace(home: Home, decision: Decision, folder: Path | None) -> Ancestry:
    """Follow the inputs of every record from the decision's trials back to the published files."""
    names = [f"trials/{name}" for name in decision.trials.values()]
    queue = [f"decisions/{folder.name}", *names] if folder is not None else names
    found: dict[str, Ancestor] = {}
    missing: list[str] = []
    for name in queue:  # grows while it is walked
        stage, _, rest = name.partition("/")
        if name in found or name in missing or stage not in STAGES or not rest or "/" in rest or rest.startswith("."):
            continue
        place = home.stage(stage) / rest
        record = _record(place)
        if record is None:
            missing.append(name)
            continue
        found[name] = Ancestor(stage, place, record)
        queue += sorted(record.inputs)
    order = {stage: place for place, stage in enumerate(reversed(STAGES))}
    nearest_first = sorted(found.values(), key=lambda ancestor: (order[ancestor.stage], ancestor.folder.name))
    return Ancestry(nearest_first, sorted(missing))


def _record(folder: Path) -> Record | None:
    try:
        return read_record(folder) if is_finished(folder) else None
    except Refusal:
        return None


def lineage_table(ancestry: Ancestry) -> Table:
    """Every ancestor with its digest and rows."""
    rows: list[list[Cell]] = [
        [a.stage, a.folder.name, short(a.record.digest), a.record.rows_out or None] for a in ancestry.found
    ]
    rows += [[*name.split("/", maxsplit=1), "not in this home", None] for name in ancestry.missing]
    return Table("lineage", "Lineage", ["stage", "folder", "digest", "rows"], rows)


def rebuild_commands(decision: Decision) -> list[str]:
    """The commands that make this decision again from the published files, in their order; long ones broken."""
    settings, rule = decision.settings, decision.rule
    baseline = _recipe_name(settings.get("baseline")) or decision.baseline.mix
    pretrain = _recipe_name(settings.get("pretrain"))
    select = [["curator", "select", *(candidate.candidate for candidate in decision.candidates)]]
    select += [["--baseline", baseline, *(["--pretrain", pretrain] if pretrain else [])]]
    select += [["--scale", decision.scale, "--strategy", decision.strategy, "--rules", decision.rules]]
    select += [[word for name in decision.benchmarks for word in ("--benchmark", name)]]
    select += [[word for slug in decision.categories for word in ("--category", slug)]]
    margin = f"{rule.comparable_margin:g}"
    select += [["--seeds", str(rule.seeds), "--max-seeds", str(rule.max_seeds), "--margin", margin]]
    select += [["--name", decision.name]]
    pull = [f"curator pull {shlex.quote(name)}" for name in sorted({c.dataset for c in decision.candidates})]
    joined = " \\\n    ".join(shlex.join(words) for words in select if words)
    return [*pull, joined, shlex.join(["curator", "report", decision.name])]


def _recipe_name(recipe: Any) -> str | None:
    return str(recipe["name"]) if isinstance(recipe, dict) and recipe.get("name") else None


@dataclass(frozen=True)
class Cost:
    """What the trials of a decision cost when they were run."""

    trials: int
    told: int
    """Trials whose cost is known."""
    cpu_seconds: float
    wall_seconds: float
    samples: int
    """Samples trained on, over all trials whose mix is here."""


def cost_of(decision: Decision, ancestry: Ancestry) -> tuple[Cost, Table]:
    """Sum and table of the cost of every trial. A trial used by several studies counts in each."""
    sizes = {mix.record.digest: mix for mix in ancestry.of("mixes")}
    rows: list[list[Cell]] = []
    told = samples_seen = 0
    cpu = wall = 0.0
    for trial in ancestry.of("trials"):
        spent = _cost(trial.folder)
        own_cpu, own_wall = spent.get(CPU_SECONDS), spent.get(WALL_SECONDS)
        samples = _samples_of(trial, sizes)
        told += own_cpu is not None
        cpu, wall, samples_seen = cpu + (own_cpu or 0), wall + (own_wall or 0), samples_seen + (samples or 0)
        rows.append([trial.folder.name, samples, own_cpu, own_wall])
    table = Table("cost", "Cost of each trial", ["trial", "samples", "CPU seconds", "wall seconds"], rows)
    return Cost(len(decision.trials), told, cpu, wall, samples_seen), table


def _samples_of(trial: Ancestor, mixes: dict[str, Ancestor]) -> int | None:
    digests = [digest for name, digest in trial.record.inputs.items() if name.startswith("mixes/")]
    return next((mixes[digest].record.rows_out for digest in digests if digest in mixes), None)


def _cost(folder: Path) -> dict[str, float]:
    """Numbers of ``cost.json``; empty when there is none that can be read."""
    try:
        told: Any = json.loads((folder / COST).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {key: float(value) for key, value in told.items() if isinstance(value, (int, float))}


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
    counts: dict[str, dict[str | None, PartCount]] = {}
    for mix in ancestry.of("mixes"):
        for part in _parts(mix.folder):
            known = counts.setdefault(part.dataset, {}).get(part.part)
            if known is None or part.chosen > known.chosen:
                counts[part.dataset][part.part] = part
    samples = {ancestor.folder.name: ancestor for ancestor in ancestry.of("samples")}
    return [_sifted(name, list(parts.values()), samples) for name, parts in sorted(counts.items())]


def _parts(mix: Path) -> list[PartCount]:
    try:
        return MixInfo.model_validate_json((mix / MIX_FILE).read_bytes()).parts
    except (OSError, ValidationError):
        return []


def _sifted(dataset: str, counts: list[PartCount], samples: dict[str, Ancestor]) -> Sifted:
    dropped: dict[str, int] = {}
    for count in counts:
        for reason, rows in count.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + rows
    source = samples.get(counts[0].samples_folder)
    return Sifted(
        dataset=dataset,
        published=source.record.rows_in if source else None,
        set_aside=dict(sorted(source.record.rejected.items())) if source else {},
        parts=_part_sizes(source.folder) if source else [],
        dropped=dict(sorted(dropped.items())),
        chosen=sum(count.chosen for count in counts),
    )


def _part_sizes(folder: Path) -> list[tuple[str, str, int]]:
    """Part, category and rows of a samples folder, counted from its two small columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ["part", "category"]
    tables = [pq.read_table(path, columns=columns) for path in sorted(folder.glob("part-*.parquet"))]
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
