"""Where a decision comes from: every finished folder it descends from, and the commands that make it again.

Anything may be missing (a home can be cleaned, a decision copied elsewhere): it is named and said, never guessed.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.lineage import Lineage
from curator.report.tables import Cell, Table
from registry.facts import mix_by_content
from registry.identity import short
from registry.mix import MixInfo, MixReader
from registry.store import STAGES, Home, Record
from registry.trial import Decision

_DEMO_NAME = re.compile(r"demo-seed(\d+)")
_PREPARING = ("raw", "samples", "measures")


@dataclass(frozen=True)
class Ancestor:
    """A finished folder that the decision descends from."""

    place: str
    """``stage/folder`` in the home."""
    folder: Path
    record: Record

    @property
    def stage(self) -> str:
        """Where in the home it lies: trials, mixes, samples, measures, raw."""
        return self.place.partition("/")[0]


@dataclass(frozen=True)
class Ancestry:
    """Everything a decision descends from, nearest first."""

    found: list[Ancestor]
    missing: list[str]
    """Places that a record names and the home no longer has."""
    mixes: dict[str, MixInfo]
    """Folder of a mix -> its content."""
    by_content: dict[str, str]
    """Content digest -> folder of the mix."""

    def of(self, stage: str) -> list[Ancestor]:
        """The ancestors of one stage."""
        return [ancestor for ancestor in self.found if ancestor.stage == stage]

    def mix_of(self, trial: Ancestor) -> str | None:
        """Folder of the mix that a trial was trained on."""
        return self.by_content.get(trial.record.inputs.get("mix", ""))


def trace(home: Home, decision: Decision, folder: Path | None) -> Ancestry:
    """Follow the records back to the published files, from the decision's folder, else from its trials."""
    trials = [f"trials/{name}" for name in decision.trials.values()]
    here = folder is not None and folder.resolve().parent == home.stage("decisions")
    roots = [f"decisions/{folder.name}"] if folder is not None and here else trials
    steps = {place: step for root in roots for place, step in Lineage(home, root).steps.items() if step.is_folder}
    found = [Ancestor(place, home.path / place, step.record) for place, step in steps.items() if step.record]
    mixes = {a.folder.name: MixReader(home, a.folder).info for a in found if a.stage == "mixes"}
    missing = sorted(place for place, step in steps.items() if step.record is None)
    return Ancestry(_nearest_first(found), missing, mixes, mix_by_content(home.path))


def _nearest_first(found: list[Ancestor]) -> list[Ancestor]:
    order = {stage: place for place, stage in enumerate(reversed(STAGES))}
    return sorted(found, key=lambda ancestor: (order[ancestor.stage], ancestor.place))


def lineage_table(decision: Decision, ancestry: Ancestry) -> Table:
    """Every ancestor with its digest and rows; then the benchmark tables and the base checkpoint."""
    rows: list[list[Cell]] = [
        [*a.place.split("/", maxsplit=1), short(a.record.digest), a.record.rows_out or None] for a in ancestry.found
    ]
    rows += [[*name.split("/", maxsplit=1), "not in this home", None] for name in ancestry.missing]
    tables = decision.settings.get("tables")
    if isinstance(tables, dict):
        rows += [["benchmark table", str(name), short(str(told)), None] for name, told in sorted(tables.items())]
    if decision.settings.get("base"):
        rows.append(["base checkpoint", decision.scale, short(str(decision.settings["base"])), None])
    return Table("lineage", "Lineage", ["stage", "folder", "digest", "rows"], rows)


def rebuild_commands(decision: Decision, ancestry: Ancestry) -> list[str]:
    """The commands that make this decision again from the published files, in their order; long ones broken."""
    demo = _DEMO_NAME.fullmatch(decision.name)
    if demo and any(candidate.truth for candidate in decision.candidates):
        return _demo_commands(decision, demo.group(1))
    report = shlex.join(["curator", "report", decision.name])
    return [*_preparation(decision, ancestry), _select_command(decision), report]


def _demo_commands(decision: Decision, seed: str) -> list[str]:
    rule = decision.rule
    run = ["curator", "demo", "--seed", seed, "--seeds", str(rule.seeds), "--max-seeds", str(rule.max_seeds)]
    home = f"curator-demo/seed-{seed}"
    return [shlex.join(run), shlex.join(["curator", "report", decision.name, "--home", home])]


def _preparation(decision: Decision, ancestry: Ancestry) -> list[str]:
    """What made the samples and measures; where the records are gone, a pull of every candidate."""
    told = [a.record.command for stage in _PREPARING for a in ancestry.of(stage) if a.record.command]
    pulls = [f"curator pull {shlex.quote(name)}" for name in sorted({c.dataset for c in decision.candidates})]
    return list(dict.fromkeys(told)) or pulls


def _select_command(decision: Decision) -> str:
    settings, rule = decision.settings, decision.rule
    baseline = _recipe_name(settings.get("baseline")) or decision.baseline.mix
    pretrain = _recipe_name(settings.get("pretrain"))
    lines = [["curator", "select", *(candidate.candidate for candidate in decision.candidates)]]
    lines += [["--baseline", baseline, *(["--pretrain", pretrain] if pretrain else [])]]
    lines += [["--scale", decision.scale, "--strategy", decision.strategy, "--rules", decision.rules]]
    lines += [[word for name in decision.benchmarks for word in ("--benchmark", name)]]
    lines += [[word for slug in decision.categories for word in ("--category", slug)]]
    margin = f"{rule.comparable_margin:g}"
    lines += [["--seeds", str(rule.seeds), "--max-seeds", str(rule.max_seeds), "--margin", margin]]
    lines += [["--name", decision.name]]
    return " \\\n    ".join(shlex.join(words) for words in lines if words)


def _recipe_name(recipe: Any) -> str | None:
    return str(recipe["name"]) if isinstance(recipe, dict) and recipe.get("name") else None
