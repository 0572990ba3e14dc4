"""The audit of a reclassification as one HTML page that needs no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.reclassify import Audit, Label, Move
from curator.shown import show, write_page
from registry.images import ImageStore
from registry.store import Home

TEMPLATE = Path(__file__).with_suffix(".html.jinja")


def write_audit(home: Home, audited: Audit, path: Path) -> None:
    """Write the page: a table of moves, then examples of each with their pictures inside."""
    images = ImageStore(home)
    try:
        moves = [_move(images, audited.dataset, move) for move in audited.moves]
    finally:
        images.close()
    write_page(path, TEMPLATE, audit=audited, moves=moves)


def _move(images: ImageStore, dataset: str, move: Move) -> dict[str, Any]:
    before, after = _label(move.before), _label(move.after) if move.moved else "stays"
    return {
        "row": {"from": before, "to": after, "rule": move.rule, "samples": move.count},
        "title": f"{before} → {after}" if move.moved else f"{before} stays",
        "kind": "other" if move.moved else "good",
        "examples": [show(images, dataset, row) for row in move.examples],
    }


def _label(label: Label) -> str:
    part, category = label
    return f"{part} ({category})"
