"""Where a decision comes from: every finished folder it descends from, and the commands that make it again.

Anything may be missing (a home can be cleaned, a decision copied elsewhere): it is named and said, never guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curator.report.tables import Cell, Table
from registry.errors import Refusal
from registry.identity import short
from registry.mix import MixInfo, MixReader
from registry.store import STAGES, Home, Record, is_finished, read_record
from registry.trial import Decision

_DEMO_NAME = re.compile(r"demo-seed(\d+)")
_PREPARING = ("raw", "samples", "measures")


@dataclass(frozen=True)
class Ancestor:
    """A finished folder that the decision descends from."""

    stage: str
    folder: Path
    record: Record

    def name(self, home: Home) -> str:
        """Its place in the home: ``samples/x@r-0123``."""
        return self.folder.relative_to(home.path).as_posix()


@dataclass(frozen=True)
class Ancestry:
    """Everything a decision descends from, nearest first."""

    found: list[Ancestor]
    missing: list[str]
    """What a record names and the home no longer has."""
    mixes: dict[str, MixInfo] = field(default_factory=dict)
    """Name of a mix folder -> its content."""
    by_content: dict[str, str] = field(default_factory=dict)
    """Content digest -> name of the mix folder."""

    def of(self, stage: str) -> list[Ancestor]:
        """The ancestors of one stage."""
        return [ancestor for ancestor in self.found if ancestor.stage == stage]

    def mix_of(self, trial: Ancestor) -> str | None:
        """Name of the folder of the mix that a trial was trained on."""
        return self.by_content.get(trial.record.inputs.get("mix", ""))


def trace(home: Home, decision: Decision, folder: Path | None) -> Ancestry:
    """Follow the inputs of every record from the decision's trials back to the published files."""
    infos = _mixes(home)
    by_content: dict[str, str] = {}
    for name, info in infos.items():
        by_content.setdefault(info.content_digest, name)
    queue = [f"trials/{name}" for name in decision.trials.values()]
    if folder is not None:
        queue.append(f"decisions/{folder.name}")
    found: dict[str, Ancestor] = {}
    missing: set[str] = set()
    for name in queue:  # grows while it is walked
        if name in found or name in missing:
            continue
        ancestor = _ancestor(home, name)
        if ancestor is None:
            missing.add(name)
            continue
        found[name] = ancestor
        queue += _inputs(home, ancestor, by_content)
    used = {
        a.folder.name: infos[a.folder.name] for a in found.values() if a.stage == "mixes" and a.folder.name in infos
    }
    return Ancestry(_nearest_first(home, found.values()), sorted(missing), used, by_content)


def _mixes(home: Home) -> dict[str, MixInfo]:
    """Every readable mix of the home, by folder name: a trial names its mix by content."""
    infos = {}
    for folder in home.finished("mixes"):
        try:
            infos[folder.name] = MixReader(home, folder).info
        except Refusal:
            continue
    return infos


def _inputs(home: Home, ancestor: Ancestor, by_content: dict[str, str]) -> list[str]:
    """What a record descends from, as ``stage/folder``."""
    inputs = ancestor.record.inputs
    names = [name for name in sorted(inputs) if name.partition("/")[0] in STAGES and "/" in name]
    if ancestor.stage != "trials":
        return names
    if "mix" in inputs:
        names.append(f"mixes/{by_content.get(inputs['mix'], short(inputs['mix']))}")
    if "init" in inputs:
        before = home.find("trials", inputs["init"])
        names.append(f"trials/{before.name if before else short(inputs['init'])}")
    return names


def _ancestor(home: Home, name: str) -> Ancestor | None:
    stage, *parts = name.split("/")
    if stage not in STAGES or not parts or any(part in ("", ".", "..") for part in parts):
        return None
    folder = home.stage(stage).joinpath(*parts)
    try:
        return Ancestor(stage, folder, read_record(folder)) if is_finished(folder) else None
    except Refusal:
        return None


def _nearest_first(home: Home, found: Iterable[Ancestor]) -> list[Ancestor]:
    order = {stage: place for place, stage in enumerate(reversed(STAGES))}
    return sorted(found, key=lambda ancestor: (order[ancestor.stage], ancestor.name(home)))


def lineage_table(home: Home, decision: Decision, ancestry: Ancestry) -> Table:
    """Every ancestor with its digest and rows; then the benchmark tables and the base checkpoint."""
    rows: list[list[Cell]] = [
        [a.stage, a.name(home).partition("/")[2], short(a.record.digest), a.record.rows_out or None]
        for a in ancestry.found
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
