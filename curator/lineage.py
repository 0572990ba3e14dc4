"""Walk the records of a data home from anything back to the published files it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from registry.errors import Refusal, did_you_mean
from registry.facts import mix_by_content
from registry.identity import short
from registry.store import STAGES, Home, Record, is_finished, read_record

_DIGEST = re.compile(r"[0-9a-f]{6,64}")
_LISTED = 8
"""Places that are named when a name means several."""


@dataclass(frozen=True)
class Step:
    """One thing on the way: a folder of the data home, or something that lies in none."""

    place: str
    """``stage/folder`` in the data home; ``checkpoint …`` or ``benchmark table …`` for what is no folder."""
    record: Record | None = None
    """None when it is no folder, or not in this data home."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Place -> digest that the record states."""
    is_folder: bool = True

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        here = self.record is not None
        kept = {"name", "digest", "rows_in", "rows_out", "rejected", "command"}
        facts = self.record.model_dump(mode="json", include=kept) if self.record else {}
        return {"here": here or not self.is_folder, **facts, "inputs": list(self.inputs)}


class Links:
    """What the records of one home name, as places."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def inputs(self, record: Record) -> Iterator[tuple[str, str]]:
        """Places of a record's inputs; a trial names its mix by content and its first stage by digest."""
        for name, digest in sorted(record.inputs.items()):
            if name == "mix":
                yield f"mixes/{self._mixes.get(digest, f'content {short(digest)}')}", digest
            elif name == "init":
                before = self.home.find("trials", digest)
                yield f"trials/{before.name if before else short(digest)}", digest
            elif name == "base":
                yield f"base checkpoint {short(digest)}", digest
            elif name == "model":
                yield self._models.get(digest, f"checkpoint {short(digest)}"), digest
            else:
                yield name, digest
        tables = record.settings.get("tables")
        for name, digest in sorted(tables.items()) if isinstance(tables, dict) else ():
            yield f"benchmark table {name} {short(str(digest))}", str(digest)

    @cached_property
    def _models(self) -> dict[str, str]:
        """Digest -> place of the models that were fetched into this home."""
        return {read_record(folder).digest: f"models/{folder.name}" for folder in self.home.finished("models")}

    @cached_property
    def _mixes(self) -> dict[str, str]:
        return mix_by_content(self.home.path)


class Lineage:
    """What a place of a data home came from."""

    def __init__(self, home: Home, root: str) -> None:
        self.home = home
        self.root = root
        self.steps: dict[str, Step] = {}
        self._links = Links(home)
        self._walk()

    def changed(self, place: str, stated: str) -> bool:
        """Whether a folder is no longer the one that a record was made from."""
        record = self.steps[place].record
        return record is not None and place.partition("/")[0] in STAGES and stated not in self._identities(record)

    def _identities(self, record: Record) -> set[str]:
        """Digests by which a record may be named: its own, and a mix's content."""
        return {record.digest, str(record.settings.get("content_digest", record.digest))}

    def _walk(self) -> None:
        waiting = [self.root]
        while waiting:
            place = waiting.pop()
            if place not in self.steps:
                self.steps[place] = self._step(place)
                waiting += self.steps[place].inputs

    def _step(self, place: str) -> Step:
        if place.partition("/")[0] not in STAGES:
            return Step(place, is_folder=False)
        folder = self.home.path / place
        if not is_finished(folder):
            return Step(place)
        record = read_record(folder)
        return Step(place, record, dict(self._links.inputs(record)))


def finished_folders(home: Home) -> Iterator[Path]:
    """Every finished folder of every stage; measures lie one level deeper, by their samples."""
    for stage in STAGES:
        root = home.stage(stage)
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if is_finished(folder):
                yield folder
            elif stage == "measures" and folder.is_dir():
                yield from (inner for inner in sorted(folder.iterdir()) if is_finished(inner))


def find_place(home: Home, what: str) -> str:
    """The place that ``what`` names: ``stage/folder``, a folder, a human name, a dataset, or the start of a digest.

    Raises:
        Refusal: nothing has this name, or several things have.
    """
    places = [folder.relative_to(home.path).as_posix() for folder in finished_folders(home)]
    wanted = what.rstrip("/")
    for matches in (_is_place, _is_named, _is_dataset, _is_repository, _is_digest):
        found = [place for place in places if matches(place, wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(found[:_LISTED]) + (", …" if len(found) > _LISTED else "")
            raise Refusal(f"'{what}'", f"means {len(found)} things", f"name one of them: {listed}")
    hint = did_you_mean(wanted, [*places, *(_human(place) for place in places)])
    raise Refusal(f"'{what}'", f"nothing in {home.path} has this name{hint}", "see the folders of the data home")


def _is_place(place: str, wanted: str) -> bool:
    return wanted in (place, place.rpartition("/")[2])


def _is_named(place: str, wanted: str) -> bool:
    return _human(place) == wanted


def _is_dataset(place: str, wanted: str) -> bool:
    return place.startswith("samples/") and _human(place).partition("@")[0] == wanted


def _is_repository(place: str, wanted: str) -> bool:
    return place.startswith("publications/") and _human(place) == wanted.lower().replace("/", "-")


def _is_digest(place: str, wanted: str) -> bool:
    return bool(_DIGEST.fullmatch(wanted)) and place.rpartition("-")[2].startswith(short(wanted))


def _human(place: str) -> str:
    """The folder's name without its digest."""
    folder = place.rpartition("/")[2]
    return folder if place.startswith(("raw/", "models/")) else folder.rpartition("-")[0]


def tree_lines(lineage: Lineage) -> list[str]:
    """The lineage as an indented tree; what came up before is named, not repeated."""
    lines = [described(lineage.steps[lineage.root])]
    _branches(lineage, lineage.root, "", {lineage.root}, lines)
    return lines


def _branches(lineage: Lineage, place: str, margin: str, shown: set[str], lines: list[str]) -> None:
    inputs = lineage.steps[place].inputs
    for number, (name, stated) in enumerate(inputs.items(), start=1):
        last = number == len(inputs)
        step = lineage.steps[name]
        again = name in shown and bool(step.inputs)
        remark = "  (above)" if again else ""
        if lineage.changed(name, stated):
            remark += "  (no longer the one this was made from)"
        lines.append(f"{margin}{'└─ ' if last else '├─ '}{described(step)}{remark}")
        if not again:
            shown.add(name)
            _branches(lineage, name, margin + ("   " if last else "│  "), shown, lines)


def described(step: Step) -> str:
    """One line about a step."""
    if step.record is None:
        return f"{step.place}  (not in this data home)" if step.is_folder else step.place
    record = step.record
    rows = f"{record.rows_out:,}" if record.rows_out == record.rows_in else f"{record.rows_out:,} of {record.rows_in:,}"
    origin = ""
    if record.kind in ("raw", "model"):
        repo, commit = record.settings.get("repo"), record.settings.get("commit")
        origin = f"  from {repo}" if repo else ""
        origin += f" at {short(str(commit))}" if commit else ""
        return f"{step.place}  {rows} {'file' if rows == '1' else 'files'}{origin}"
    if record.kind == "publication":
        told = record.settings
        origin = f"  to {told['url']} at {short(str(told['commit']))}, tag {told['tag']}"
    return f"{step.place}  {rows} {_UNITS.get(record.kind, 'rows')}{origin}"


_UNITS = {
    "decision": "candidates",
    "fetched": "addresses",
    **dict.fromkeys(("trial", "mix", "samples", "publication"), "samples"),
}
