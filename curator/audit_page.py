"""The audit of a reclassification as one HTML page that needs no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.reclassify import Audit, Example, Label, Move
from curator.report.pictures import embed
from registry.errors import Refusal
from registry.images import ImageStore
from registry.store import Home, write_aside

TEMPLATE = Path(__file__).with_suffix(".html.jinja")
MAX_CHARACTERS = 600
"""Characters of a request or answer that are shown."""
MAX_PICTURES = 4
"""Pictures of an example that are shown."""


def write_audit(home: Home, audited: Audit, path: Path) -> None:
    """Write the page; an existing file of that name is replaced in one step."""
    write_aside(path, audit_page(home, audited).encode())


def audit_page(home: Home, audited: Audit) -> str:
    """The page: a table of moves, then examples of each with their pictures inside. All text is escaped."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    images = ImageStore(home)
    try:
        moves = [_move(images, move) for move in audited.moves]
    finally:
        images.close()
    return template.render(dataset=audited.dataset, moved=audited.moved, samples=audited.samples, moves=moves)


def _move(images: ImageStore, move: Move) -> dict[str, Any]:
    return {
        "before": _label(move.before),
        "after": _label(move.after),
        "moved": move.moved,
        "rule": move.rule,
        "count": move.count,
        "examples": [_example(images, example) for example in move.examples],
    }


def _label(label: Label) -> str:
    part, category = label
    return f"{part} ({category})"


def _example(images: ImageStore, example: Example) -> dict[str, Any]:
    pictures = []
    for sha256 in example.images[:MAX_PICTURES]:
        try:
            pictures.append(embed(images.read(sha256)))
        except Refusal:  # a picture that was removed since: the text still tells what moved
            continue
    return {
        "source_id": example.source_id,
        "request": _cut(example.request),
        "answer": _cut(example.answer),
        "pictures": [picture for picture in pictures if picture is not None],
    }


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + " …"
