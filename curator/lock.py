"""The lock of a published mix: every source, sample, measure and model that it was made of, by digest.

The recipe says what to do, the lock what it was done with: whoever builds the mix again and gets another one finds
here which input differs. Read from the records of the data home; what is no longer there is named and has no facts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curator import __version__
from curator.lineage import Lineage, Step
from registry.mix import MixInfo
from registry.store import Home, read_record

LOCK_FILE = "lock.json"
LOCK_VERSION = 1
LISTING = "published.jsonl"


def lock(home: Home, folder: Path, info: MixInfo) -> dict[str, Any]:
    """Everything below one mix, sorted by place."""
    of_mix = read_record(folder).inputs
    steps = Lineage(home, f"mixes/{folder.name}").steps
    inputs = [step for place, step in sorted(steps.items()) if place != f"mixes/{folder.name}"]
    return {
        "lock_version": LOCK_VERSION,
        "tool": {"name": "vlm-curator", "version": __version__},
        "mix": {
            "name": info.name,
            "version": info.version,
            "recipe_digest": info.recipe_digest,
            "content_digest": info.content_digest,
            "samples": info.samples,
            "images": info.images,
        },
        "sources": [_source(home, step) for step in inputs if step.place.startswith("raw/")],
        "inputs": [_input(step, _stated(of_mix, steps, step)) for step in inputs],
    }


def sources(locked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Dataset -> its source in a lock: revision, and repository and commit where it came from a Hub."""
    return {source["dataset"]: source for source in locked["sources"]}


def _source(home: Home, step: Step) -> dict[str, Any]:
    """Where one dataset's files came from, and their digests."""
    dataset, _, revision = step.place.removeprefix("raw/").partition("@")
    found: dict[str, Any] = {"dataset": dataset, "revision": revision, "repo": None, "commit": None}
    if step.record is None:
        return found | {"files": None}
    told = step.record.settings
    found |= {"repo": told.get("repo"), "commit": told.get("commit"), "digest": step.record.digest}
    return found | {"files": _files(home.path / step.place / LISTING)}


def _files(listing: Path) -> list[dict[str, Any]] | None:
    """Path, size and sha256 of each published file; None where nobody wrote them down."""
    if not listing.is_file():
        return None
    return [json.loads(line) for line in listing.read_text().splitlines()]


def _input(step: Step, stated: str | None) -> dict[str, Any]:
    """One folder (or thing outside the home) that the mix was made from."""
    found: dict[str, Any] = {"place": step.place, "digest": stated}
    if step.record is not None:
        kept = {"kind", "rows_in", "rows_out", "rejected", "settings", "versions"}
        found |= step.record.model_dump(mode="json", include=kept)
    return found


def _stated(of_mix: dict[str, str], steps: dict[str, Step], wanted: Step) -> str | None:
    """The digest by which whoever was made from it names it."""
    if wanted.record is not None:
        return wanted.record.digest
    named = [step.inputs[wanted.place] for step in steps.values() if wanted.place in step.inputs]
    return of_mix.get(wanted.place) or next(iter(named), None)
