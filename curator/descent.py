"""What became of a place of a data home: everything that was made from it, down to repositories on a Hub.

The records name what a thing was made from and never what is made from it, so all of them are read once and turned
round. Scores lie in the folder of their trial and have no record: they are told as they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curator.lineage import Links, Step, described, finished_folders
from registry.identity import short
from registry.store import Home, Record, read_record


class Descent:
    """What was made from one place, directly and by way of others."""

    def __init__(self, home: Home, root: str) -> None:
        self.home = home
        self.root = root
        self.steps: dict[str, Step] = {}
        self.scores: dict[str, list[str]] = {}
        """Trial -> a line for each of its scores."""
        self._made = _made_from(home)
        waiting = [root]
        while waiting:
            place = waiting.pop()
            if place not in self.steps:
                self.steps[place] = Step(place, _record(home, place))
                self.scores[place] = _scores(home.path / place) if place.startswith("trials/") else []
                waiting += self.made_from(place)

    def made_from(self, place: str) -> list[str]:
        """Places of what was made directly from one, by name."""
        return sorted(self._made.get(place, ()))

    def plain(self) -> dict[str, Any]:
        """JSON form: each place with what was made from it."""
        return {
            place: {**step.plain(), "made_from_it": self.made_from(place), "scores": self.scores[place]}
            for place, step in self.steps.items()
        }


def descent_lines(descent: Descent) -> list[str]:
    """What was made as an indented tree, without its root; what came up before is named, not repeated."""
    lines: list[str] = []
    _branches(descent, descent.root, "", {descent.root}, lines)
    return lines


def _branches(descent: Descent, place: str, margin: str, shown: set[str], lines: list[str]) -> None:
    branches = [*descent.scores[place], *descent.made_from(place)]
    for number, name in enumerate(branches, start=1):
        last = number == len(branches)
        step = descent.steps.get(name)
        again = step is not None and name in shown and bool(descent.made_from(name) or descent.scores[name])
        text = described(step) if step else name
        lines.append(f"{margin}{'└─ ' if last else '├─ '}{text}{'  (above)' if again else ''}")
        if step is not None and not again:
            shown.add(name)
            _branches(descent, name, margin + ("   " if last else "│  "), shown, lines)


def _made_from(home: Home) -> dict[str, set[str]]:
    """Place -> places of what names it as an input. Mixes of equal content share what was trained on either."""
    links = Links(home)
    made: dict[str, set[str]] = {}
    contents: dict[str, list[str]] = {}
    records = [(folder.relative_to(home.path).as_posix(), read_record(folder)) for folder in finished_folders(home)]
    for place, record in records:
        if record.kind == "mix":
            contents.setdefault(str(record.settings.get("content_digest")), []).append(place)
    for place, record in records:
        for source, _ in links.inputs(record):
            made.setdefault(source, set()).add(place)
        for mix in contents.get(record.inputs.get("mix", ""), ()):
            made.setdefault(mix, set()).add(place)
    return made


def _record(home: Home, place: str) -> Record:
    return read_record(home.path / place)


def _scores(trial: Path) -> list[str]:
    """A line for each score in the folder of a trial; one that cannot be read is said to be so."""
    lines = []
    for path in sorted((trial / "scores").glob("*.json")):
        try:
            told = json.loads(path.read_bytes())
            rules = f"version {told['version']}, rules {told['rules']}, table {short(str(told['table_digest']))}"
            lines.append(f"score {told['benchmark']} {float(told['score']):.1f}  {rules}")
        except (OSError, ValueError, KeyError, TypeError):
            lines.append(f"score {path.name}  (damaged)")
    return lines
