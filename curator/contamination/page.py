"""Hits as one HTML page that needs no other file: the sample beside the question of the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curator.contamination.account import Account, Hit
from curator.contamination.questions import picture_bytes
from curator.report.pictures import embed
from curator.shown import Shown, cut, show, write_page
from registry.images import ImageStore
from registry.store import Home

TEMPLATE = Path(__file__).with_suffix(".html.jinja")
SAYS = {
    "leak": "a question of the benchmark with its picture",
    "picture": "a picture of the benchmark with another text",
    "text": "a text of the benchmark with another picture",
}


def write_hits(home: Home, found: Account, path: Path) -> None:
    """Write the page; an existing file of that name is replaced in one step."""
    images = ImageStore(home)
    try:
        shown = [_hit(images, hit) for hit in found.hits]
    finally:
        images.close()
    write_page(path, TEMPLATE, rows=found.rows, hits=shown)


def _hit(images: ImageStore, hit: Hit) -> dict[str, Any]:
    return {
        "verdict": hit.verdict,
        "says": SAYS[hit.verdict],
        "overlap": hit.overlap,
        "bits": hit.bits,
        "benchmark": _question(hit),
        "sample": show(images, hit.dataset, hit.row),
    }


def _question(hit: Hit) -> Shown:
    question = hit.question
    options = "".join(f"\n{letter}. {text}" for letter, text in question.options.items())
    picture = embed(picture_bytes(hit.benchmark, question)) if question.image_key else None
    turns = [("user", cut(question.text + options)), ("assistant", cut(question.answer))]
    return Shown(hit.benchmark, f"question {question.index}", turns, [picture] if picture else [], 0)
