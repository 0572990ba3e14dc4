"""Finding the samples of a dataset: the folder that its card, as it is now, describes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.normalise import form_settings
from curator.rules import parts_settings
from curator.selection import readable_forms
from registry.card import Card, load_card
from registry.errors import Refusal
from registry.identity import field_diff
from registry.store import Home, Record, read_record


@dataclass(frozen=True)
class Samples:
    """A finished samples folder and the card that its samples are read by."""

    folder: Path
    record: Record
    card: Card

    @property
    def revision(self) -> str:
        """The revision in the folder's name: ``openmoji@local-0123-<digest>`` gives ``local-0123``."""
        return self.folder.name.partition("@")[2].rpartition("-")[0]

    @property
    def limited(self) -> bool:
        """True for a look at the first rows: used only when its revision is named."""
        return "limit" in self.record.settings

    @property
    def relabelled(self) -> bool:
        """True when the card's parts changed since: their current rules are then applied as a measure."""
        return bool(self.record.settings["parts"] != parts_settings(self.card.parts))

    def files(self) -> list[Path]:
        """The parquet files of samples, in order."""
        return sorted(self.folder.glob("part-*.parquet"))


def find_samples(home: Home, dataset: str) -> Samples:
    """The samples of ``name`` or ``name@revision``; raises Refusal when there are none, or more than one revision.

    A folder made with the card as it is now is preferred; one that differs in the rules of its parts alone is
    used too, because labels are a measure. Anything else the card changed needs normalising again.
    """
    name, _, revision = dataset.partition("@")
    card = load_card(name, home)
    there = [Samples(folder, read_record(folder), card) for folder in _folders(home, name)]
    there = [samples for samples in there if samples.revision == revision or not (revision or samples.limited)]
    if not there:
        what = f"has no samples here{' at revision ' + revision if revision else ''}"
        local = " --from FOLDER', which must hold the same files" if revision.startswith("local-") else "'"
        raise Refusal(f"dataset '{dataset}'", what, f"run 'curator pull {name}{local}")
    wanted = [form_settings(card, form) for form in readable_forms(card)]
    usable = [samples for samples in there if any(_same(samples, settings) for settings in wanted)]
    usable = [samples for samples in usable if not samples.relabelled] or usable
    if not usable:
        raise _outdated(dataset, there[-1], wanted)
    return _the_one(card, dataset, usable)


def _the_one(card: Card, dataset: str, usable: list[Samples]) -> Samples:
    """The only revision, or the one that the card is pinned to."""
    revisions = {samples.revision: samples for samples in usable}
    if len(revisions) == 1:
        return next(iter(revisions.values()))
    pinned = (card.source.revision or "")[:12]
    named = [samples for revision, samples in revisions.items() if pinned and revision.startswith(pinned)]
    if len(named) == 1:
        return named[0]
    choices = ", ".join(f"{card.name}@{revision}" for revision in sorted(revisions))
    raise Refusal(f"dataset '{dataset}'", "more than one revision is here", f"name one: {choices}")


def _folders(home: Home, name: str) -> list[Path]:
    return [folder for folder in home.finished("samples") if folder.name.partition("@")[0] == name]


def _same(samples: Samples, settings: dict[str, Any]) -> bool:
    """Whether a folder was made with these settings, apart from raw files and labels."""
    return all(samples.record.settings.get(key) == value for key, value in settings.items() if key != "parts")


def _outdated(dataset: str, samples: Samples, wanted: list[dict[str, Any]]) -> Refusal:
    old = {key: value for key, value in samples.record.settings.items() if key not in ("raw", "parts")}
    new = [{key: value for key, value in settings.items() if key != "parts"} for settings in wanted]
    changes = min((field_diff(old, settings) for settings in new), key=len)
    what = f"the samples here were made otherwise ({'; '.join(map(str, changes[:5]))})"
    return Refusal(f"dataset '{dataset}'", what, f"run 'curator pull {samples.card.name}' to normalise it again")
