"""A look at the first normalised rows of a dataset, for people who want to see what a card makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from registry.damage import damage_refused
from registry.store import Home

ROWS = 3
_TEXT = 160
"""Characters of a turn that are shown."""


def first_rows(home: Home, dataset: str, rows: int = ROWS) -> list[dict[str, Any]]:
    """The first samples of a dataset in the data home, newest folder first; empty when nothing of it is here."""
    folders = [folder for folder in home.finished("samples") if folder.name.partition("@")[0] == dataset]
    for folder in sorted(folders, key=lambda folder: (folder / "record.json").stat().st_mtime_ns, reverse=True):
        found = _first(folder, rows)
        if found:
            return found
    return []


def _first(folder: Path, rows: int) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("part-*.parquet")):
        with damage_refused(path), pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(rows), None)
        if batch is not None and batch.num_rows:
            return [{"folder": folder.name, **row} for row in batch.to_pylist()]
    return []


def in_words(row: dict[str, Any]) -> list[tuple[str, str]]:
    """One sample as lines of ``(label, text)``: where it is from, its pictures, and its turns."""
    pictures = ", ".join(f"{image['width']} x {image['height']}" for image in row["images"])
    lines = [("row", f"{row['source_id']}  ({row['part']}, {row['category']})"), ("pictures", pictures or "none")]
    for message in row["messages"]:
        text = "".join(part["text"] or f"<{part['type']}>" for part in message["content"])
        lines.append((message["role"], text if len(text) <= _TEXT else f"{text[:_TEXT]}…"))
    return lines
