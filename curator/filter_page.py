"""What filters measure and what bounds drop, shown on samples, as one HTML page that needs no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.filter_examples import Section
from curator.measure import load_filter
from curator.output import cell
from curator.samples import Samples
from curator.shown import show, write_page
from registry.images import ImageStore
from registry.store import Home

TEMPLATE = Path(__file__).with_suffix(".html.jinja")
KINDS = {"dropped": "bad", "kept": "good", "spread": "other"}


def write_filter_page(home: Home, samples: Samples, sections: list[Section], path: Path) -> None:
    """Write the page: a table of all columns or bounds, then the samples that show each."""
    images = ImageStore(home)
    try:
        shown = [_section(images, samples.card.name, section) for section in sections]
    finally:
        images.close()
    rows = [
        {"filter": s.filter, "column": s.column} | ({"bound": s.bound} if s.bound else {}) | s.counts for s in sections
    ]
    write_page(path, TEMPLATE, dataset=samples.card.name, rows=rows, sections=shown)


def _section(images: ImageStore, dataset: str, section: Section) -> dict[str, Any]:
    about = load_filter(section.filter).COLUMNS[section.column]
    return {
        "title": section.title,
        "meaning": about.meaning,
        "unit": about.unit,
        "examples": [
            (show(images, dataset, one.row), f"{cell(one.value)} ({one.says})", KINDS[one.fate])
            for one in section.examples
        ],
    }
