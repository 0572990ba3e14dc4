"""The completeness ledger of a pull: what was declared, found, kept and set aside, and which pictures are missing.

The loudest complaint about published datasets is pictures that are named and not there, noticed hours into a
training run; and counts that differ from the paper's. Both are said here, before anything is trained.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from curator.pictures import ADDRESS, MISSING, NOT_ARRIVED
from curator.raw_sample import Rejected
from registry.card import Card
from registry.damage import damaged
from registry.errors import Refusal

LEDGER = "ledger.json"
MAX_REJECTED = 0.05
"""Share of rejected rows above which a run stops: beyond it the card, not the data, is likely to be wrong."""
MAX_NOT_ARRIVED = 0.5
"""The same for rows whose pictures did not arrive from their addresses: links die, and that says nothing of the card;
beyond it the network is likely to be wrong."""
EARLY_ROWS = 2000
"""After this many rows, all of them rejected, a run stops without reading the rest; missing pictures are counted on."""
_FOLDER_DEPTH = 2
"""Folders of a missing picture's path that it is counted under."""
_FOLDERS_TOLD = 20


@dataclass
class Account:
    """Counts of one run over published rows."""

    card: Card
    allow_rejected: bool = False
    kept: Counter[str] = field(default_factory=Counter)
    """Part -> samples."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Reason -> rows."""
    missing: Counter[str] = field(default_factory=Counter)
    """Folder -> rows whose picture is not there."""
    without_pictures: int = 0
    """Samples of text alone."""
    example: str = ""
    """The first rejected row, for people."""

    @classmethod
    def of(cls, card: Card, ledger: dict[str, Any]) -> Account:
        """The account that a ledger was written from, as far as the limit looks at it."""
        kept = Counter({part["part"]: part["kept"] for part in ledger["parts"]})
        return cls(card, False, kept, Counter(ledger["rejected"]), Counter(ledger["missing_images"]))

    @property
    def rows_out(self) -> int:
        """Samples."""
        return self.kept.total()

    @property
    def rows_in(self) -> int:
        """Every row that was seen."""
        return self.rows_out + self.rejected.total()

    @property
    def unexpected(self) -> int:
        """Rejected rows that the card does not foresee, dead links apart."""
        foreseen = self.card.expected_rejections
        counted = ((reason, count) for reason, count in self.rejected.items() if reason not in foreseen)
        return sum(count for reason, count in counted if not reason.startswith(NOT_ARRIVED))

    @property
    def not_arrived(self) -> int:
        """Rows whose pictures did not arrive from their addresses."""
        return sum(count for reason, count in self.rejected.items() if reason.startswith(NOT_ARRIVED))

    def keep(self, part: str, *, pictures: int) -> None:
        """Count a sample."""
        self.kept[part] += 1
        self.without_pictures += not pictures

    def set_aside(self, row: Rejected) -> None:
        """Count a row that cannot be used."""
        self.rejected[row.reason] += 1
        if row.reason == MISSING:
            folders = PurePosixPath(row.detail).parts[:-1][:_FOLDER_DEPTH]
            self.missing["/".join(folders) or "."] += 1
        if not self.example:
            named = row.source_id if row.source_id in ("", row.place) else f"{row.place} (id {row.source_id})"
            self.example = f"{named}: {row.reason} {row.detail}".strip()

    def check_limit(self, *, at_end: bool = False) -> None:
        """Raise Refusal over the limit; before the end only when nothing at all could be used so far."""
        early = self.rows_out == 0 and self.rows_in == EARLY_ROWS and self.rejected.total() > self.missing.total()
        if self.allow_rejected or not (at_end or early):
            return
        total, name = self.rows_in, self.card.name
        if not total:
            raise Refusal(name, "the files hold no rows", "check the source, or pass --policy any")
        within = self.unexpected <= MAX_REJECTED * total and self.not_arrived <= MAX_NOT_ARRIVED * total
        if within and self.rows_out:
            return
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in self.rejected.most_common(5))
        first = f"; first: {self.example}" if self.example else ""
        what = f"{self.rejected.total():,} of {total:,} rows cannot be used: {reasons}{first}"
        raise Refusal(name, what, self._way_out())

    def _way_out(self) -> str:
        most = self.rejected.most_common(1)[0][0]
        if most == ADDRESS:
            rows = f"{self.rejected[ADDRESS]:,} {'of the rows so far' if self.rows_in == EARLY_ROWS else 'rows'}"
            return f"pass --fetch to download what {rows} name; with --dry-run it counts the addresses"
        if self.not_arrived > MAX_NOT_ARRIVED * self.rows_in:
            return "see that the network is there, then pass --fetch --retry-failed; or --policy any to go on"
        if most != MISSING:
            return f"correct the card, or pass --policy any to go on above {MAX_REJECTED:.0%}"
        known = self.card.pictures.folders
        tried = self.card.pictures.paths
        named = [f for f in known if f in self.missing or any(path.startswith(f"{f}/") for path in tried)]
        others = [folder for folder, _ in self.missing.most_common(5) if folder not in known]
        wanted = ", ".join([*(f"{folder} (from {known[folder]})" for folder in named), *others])
        return f"get {wanted} and name the folder that holds it with --images"

    def ledger(self) -> dict[str, Any]:
        """The account as it is written beside the samples."""
        size = self.card.size
        return {
            "dataset": self.card.name,
            "declared": {"rows": size.rows, "samples": size.samples, "images": size.images},
            "found": self.rows_in,
            "kept": self.rows_out,
            "without_pictures": self.without_pictures,
            "rejected": dict(sorted(self.rejected.items())),
            "expected_rejections": self.card.expected_rejections,
            "missing_images": dict(self.missing.most_common(_FOLDERS_TOLD)),
            "parts": [
                {"part": part.name, "category": part.category, "declared": part.rows, "kept": self.kept[part.name]}
                for part in self.card.parts
            ],
        }


def read_ledger(folder: Path) -> dict[str, Any]:
    """The ledger of a finished samples folder."""
    path = folder / LEDGER
    try:
        ledger = json.loads(path.read_bytes())
    except (ValueError, FileNotFoundError) as error:
        raise damaged(path, str(error)) from None
    if not isinstance(ledger, dict):
        raise damaged(path, "is no object")
    return ledger


def shortfalls(ledger: dict[str, Any]) -> list[str]:
    """In what the dataset is not what it declares to be; empty when it is whole."""
    declared, found = ledger["declared"], ledger["found"]
    foreseen = ledger["expected_rejections"]
    rejected = {reason: count for reason, count in ledger["rejected"].items() if reason not in foreseen}
    told = [f"{count:,} rows set aside: {reason}" for reason, count in rejected.items()]
    if declared["rows"] is not None and declared["rows"] != found:
        told.append(f"{declared['rows']:,} rows declared and {found:,} found")
    told += [
        f"part {part['part']}: {part['declared']:,} rows declared and {part['kept']:,} kept"
        for part in ledger["parts"]
        if part["declared"] is not None and part["declared"] != part["kept"]
    ]
    return told
