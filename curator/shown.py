"""Samples as pages show them: their turns, cut, and their pictures, made small and embedded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curator.measure import sample_tables
from curator.report.pictures import Picture, embed
from curator.samples import Samples
from registry.errors import Refusal
from registry.images import ImageStore
from registry.sample import message_text
from registry.store import write_aside

TEMPLATES = Path(__file__).parent
"""Where ``shown.html.jinja`` lies, from which the pages take their look and the macro ``figure``."""
MAX_CHARACTERS = 700
"""Characters of a message that are shown."""
MAX_PICTURES = 4
"""Pictures of a sample that are shown."""


@dataclass(frozen=True)
class Shown:
    """One sample, ready for a page."""

    dataset: str
    source_id: str
    turns: list[tuple[str, str]]
    """``(role, text)`` of each message."""
    pictures: list[Picture]
    more_pictures: int
    """Pictures that are not shown."""


def show(images: ImageStore, dataset: str, row: dict[str, Any]) -> Shown:
    """A row of a samples file for a page."""
    turns = [(message["role"], message_text(message)) for message in row["messages"]]
    return compose(images, dataset, row["source_id"], turns, [image["sha256"] for image in row["images"]])


def compose(
    images: ImageStore, dataset: str, source_id: str, turns: Sequence[tuple[str, str]], sha256s: Sequence[str]
) -> Shown:
    """A sample for a page, from its ``(role, text)`` turns and the digests of its pictures."""
    pictures = [_picture(images, sha256) for sha256 in sha256s[:MAX_PICTURES]]
    return Shown(
        dataset,
        source_id,
        [(role, cut(text)) for role, text in turns],
        [picture for picture in pictures if picture is not None],
        max(0, len(sha256s) - MAX_PICTURES),
    )


def rows_at(samples: Samples, positions: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The rows at these positions (rising) among all samples of a folder."""
    wanted, begin = np.array(positions, np.int64), 0
    if not len(wanted):
        return
    for path in samples.files():
        for table in sample_tables(path, ["id", "source_id", "images", "messages"]):
            low, high = np.searchsorted(wanted, [begin, begin + table.num_rows])
            yield from table.take(wanted[low:high] - begin).to_pylist()
            begin += table.num_rows


def cut(text: str) -> str:
    """A text that is not longer than a page has room for."""
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + " …"


def write_page(path: Path, template: Path, **values: Any) -> None:
    """Write a page from a template file; all text is escaped. An existing file is replaced in one step."""
    import jinja2

    loader = jinja2.FileSystemLoader([template.parent, TEMPLATES])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    write_aside(path, environment.get_template(template.name).render(**values).encode())


def _picture(images: ImageStore, sha256: str) -> Picture | None:
    """A picture for the page; None for one that was removed since: the text still tells."""
    try:
        return embed(images.read(sha256))
    except Refusal:
        return None
