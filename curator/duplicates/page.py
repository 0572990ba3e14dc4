"""Clusters side by side as one HTML page that needs no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.duplicates.account import Account, Example
from curator.shown import compose
from curator.shown import write_page as write_shown
from registry.images import ImageStore
from registry.store import Home

TEMPLATE = Path(__file__).with_suffix(".html.jinja")
FATES = {"stays": ("stays", "good"), "goes": ("would go", "bad"), "against": ("is compared against", "other")}
"""Fate of a sample -> what the page says of it, and in which colour."""


def write_page(home: Home, found: Account, path: Path) -> None:
    """Write the page: the tables, then clusters of each way with their pictures inside."""
    images = ImageStore(home)
    try:
        examples = [_example(images, one) for one in found.examples]
    finally:
        images.close()
    names = ", ".join(str(row["dataset"]) for row in found.datasets)
    write_shown(path, TEMPLATE, names=names, tables=[found.ways, found.datasets], examples=examples)


def _example(images: ImageStore, example: Example) -> dict[str, Any]:
    return {
        "way": example.way,
        "size": example.size,
        "hidden": example.size - len(example.samples),
        "samples": [
            (compose(images, one.dataset, one.source_id, one.turns, one.images), *FATES[one.fate])
            for one in example.samples
        ],
    }
