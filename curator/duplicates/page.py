"""Clusters side by side as one HTML page that needs no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.duplicates.account import Account, Example, Shown
from curator.report.pictures import Picture, embed
from registry.errors import Refusal
from registry.images import ImageStore
from registry.store import Home, write_aside

TEMPLATE = Path(__file__).with_suffix(".html.jinja")
MAX_CHARACTERS = 700
"""Characters of a message that are shown."""
MAX_PICTURES = 4
"""Pictures of a sample that are shown."""
FATES = {"stays": "stays", "goes": "would go", "against": "is compared against"}


def write_page(home: Home, found: Account, path: Path) -> None:
    """Write the page; an existing file of that name is replaced in one step."""
    write_aside(path, page(home, found).encode())


def page(home: Home, found: Account) -> str:
    """The page: the tables, then clusters of each way with their pictures inside. All text is escaped."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    images = ImageStore(home)
    try:
        examples = [_example(images, one) for one in found.examples]
    finally:
        images.close()
    names = [str(row["dataset"]) for row in found.datasets]
    return template.render(names=names, tables=[found.ways, found.datasets], examples=examples)


def _example(images: ImageStore, example: Example) -> dict[str, Any]:
    return {
        "way": example.way,
        "size": example.size,
        "hidden": example.size - len(example.samples),
        "samples": [_shown(images, shown) for shown in example.samples],
    }


def _shown(images: ImageStore, shown: Shown) -> dict[str, Any]:
    pictures = [_picture(images, sha256) for sha256 in shown.images[:MAX_PICTURES]]
    return {
        "fate": shown.fate,
        "says": FATES[shown.fate],
        "dataset": shown.dataset,
        "source_id": shown.source_id,
        "turns": [(role, _cut(text)) for role, text in shown.turns],
        "pictures": [picture for picture in pictures if picture is not None],
        "more_pictures": max(0, len(shown.images) - MAX_PICTURES),
    }


def _picture(images: ImageStore, sha256: str) -> Picture | None:
    """A picture for the page; None for one that was removed since: the text still tells."""
    try:
        return embed(images.read(sha256))
    except Refusal:
        return None


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + " …"
