"""The page of an export, for people: what it is, what is not in it, how it is loaded, under which terms it stands."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from curator.exporting.drafts import LEFT_OUT_FILE
from curator.exporting.source import Told
from curator.licences import Terms, verdict
from curator.page_sections import table
from registry.mix import MixInfo


def page(info: MixInfo, form: str, module: ModuleType, told: Told, terms: list[Terms]) -> str:
    """The text of ``README.md``."""
    opening = (
        f"A training mix written as `{form}`: {told.rows:,} rows with {told.pictures:,} pictures, byte for byte as "
        f"they were published. Content digest of the whole mix: `{info.content_digest}`."
    )
    sections = [
        f"# {info.name}",
        opening,
        f"## Loading\n\n{module.LOADING}",
        _left_out(told.left_out),
        _counted("What readers make of it", told.notes),
        _licences(terms),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _left_out(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    return _counted("Left out", reasons) + f"\n\n`{LEFT_OUT_FILE}` lists these rows."


def _counted(title: str, counts: Mapping[str, int]) -> str:
    lines = "\n".join(f"* {count:,} rows: {text}" for text, count in sorted(counts.items()))
    return f"## {title}\n\n{lines}" if counts else ""


def _licences(terms: list[Terms]) -> str:
    unknown = "not established"
    rows = [
        (one.dataset, one.annotations or unknown, (one.images or unknown) if one.shows_pictures else "no pictures")
        for one in terms
    ]
    together = f"All of them together: {verdict(terms).title}."
    return f"## Licences\n\nEach row stays under the terms of its dataset. {together}\n\n" + table(
        ("dataset", "annotations", "pictures"), rows
    )
