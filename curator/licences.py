"""Under which terms the rows of a mix stand, and whether they are known well enough to publish."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from curator.ledger import read_ledger
from curator.samples import Samples
from registry.card import Card, load_card
from registry.errors import Refusal
from registry.licence_terms import Verdict, combine, normal_name, permission
from registry.store import Home

HUB_LICENCES = frozenset(
    re.findall(
        r"\S+",
        "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd "
        "bsd-2-clause bsd-3-clause c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 "
        "cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 "
        "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 "
        "cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 agpl-3.0 gfdl gpl gpl-2.0 "
        "gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl osl-3.0 postgresql ofl-1.1 "
        "ncsa unlicense zlib pddl llama2 llama3 gemma",
    )
)
"""Identifiers that the Hub's page metadata knows; any other text becomes ``other``, none at all ``unknown``."""


@dataclass(frozen=True)
class Terms:
    """What is established about one dataset's licence. None = not established, or, for pictures, none shown."""

    dataset: str
    annotations: str | None
    images: str | None
    generator_terms: str | None
    note: str | None
    shows_pictures: bool

    @property
    def unknown(self) -> list[str]:
        """What of the rows nobody has established a licence for."""
        missing = [] if self.annotations else ["annotations"]
        return missing + (["pictures"] if self.shows_pictures and not self.images else [])

    @property
    def names(self) -> list[str | None]:
        """Every licence that the rows stand under; None = not established."""
        return [self.annotations, *([self.images] if self.shows_pictures else [])]

    @property
    def forbidden(self) -> list[str]:
        """What of the rows must not be in a published mix, each with its licence.

        A mix brings texts into one form, which is a change; pictures are passed on byte for byte, which is none.
        """
        texts = permission(self.annotations)
        pictures = permission(self.images) if self.shows_pictures else None
        found = []
        if texts is not None and not texts.changes:
            kind = "changed copies" if texts.copies else "copies"
            found.append(f"texts under {self.annotations}, which forbids passing on {kind}")
        if pictures is not None and not pictures.copies:
            found.append(f"pictures under {self.images}, which forbids passing on copies")
        return found


def terms_of(home: Home, datasets: Iterable[str], pictured: Iterable[str]) -> list[Terms]:
    """The terms of each dataset by its card; a dataset whose card is gone has none established."""
    shown = set(pictured)
    return [_terms(name, _card(home, name), name in shown) for name in sorted(datasets)]


def cards_of(home: Home, datasets: Iterable[str]) -> dict[str, Card]:
    """The cards that are here, by name; of the others the licences say that nothing is established."""
    found = {name: _card(home, name) for name in sorted(datasets)}
    return {name: card for name, card in found.items() if card is not None}


def hub_licences(terms: Iterable[Terms]) -> list[str]:
    """The union of all terms as the Hub's metadata names them, sorted."""
    found = set()
    for one in terms:
        for text in (one.annotations, *((one.images,) if one.shows_pictures else ())):
            name = normal_name(text)
            found.add(name if name in HUB_LICENCES else "other" if name else "unknown")
    return sorted(found)


def verdict(terms: Iterable[Terms]) -> Verdict:
    """What holds for the rows of all these datasets together."""
    return combine(name for one in terms for name in one.names)


def check_policy(terms: Iterable[Terms]) -> None:
    """Refuse what ``--policy strict`` does not let through: unknown terms, or duties that no one licence meets."""
    there = list(terms)
    unclear = [one.dataset for one in there if combine(one.names).unknown]
    found = verdict(there)
    if unclear:
        what = f"the terms of {', '.join(unclear)} are not known"
        raise Refusal("--policy strict", what, "look them up and enter them in the cards, or leave these datasets out")
    if found.conflict:
        what = f"copies would have to stay under {' and '.join(found.share_alike)} at once"
        raise Refusal("--policy strict", what, "publish these datasets apart")


def check_redistribution(terms: Iterable[Terms]) -> None:
    """Refuse to pass on what its licence forbids to pass on; nothing a person says here changes that."""
    forbidden = [f"{one.dataset} ({reason})" for one in terms for reason in one.forbidden]
    if forbidden:
        what = f"these must not be published: {'; '.join(forbidden)}"
        way_out = "add --recipe-only (others then pull the data from its sources), or leave these datasets out"
        raise Refusal("licences", what, way_out)


def check_known(terms: Iterable[Terms], *, private: bool, accepted: bool) -> list[str]:
    """Refuse to make public what has no known licence, unless a person has `accepted` that; the warnings to show."""
    unknown = [f"{one.dataset} ({' and '.join(one.unknown)})" for one in terms if one.unknown]
    if not unknown:
        return []
    what = f"no licence is established for {', '.join(unknown)}"
    if not private and not accepted:
        way_out = (
            "look the terms up and enter them in the cards; or leave --public out, or add --recipe-only; "
            "or --accept-licences if you may publish"
        )
        raise Refusal("licences", what, way_out)
    return [what]


def check_terms(samples: Iterable[Samples], wanted: Literal["known", "commercial"], where: str) -> None:
    """Refuse datasets whose terms are not established, or, if so ``wanted``, not free for commercial use."""
    for folder in {one.folder: one for one in samples}.values():
        ledger = read_ledger(folder.folder)
        one = _terms(folder.card.name, folder.card, ledger["without_pictures"] < ledger["kept"])
        found = combine(one.names)
        told = ", ".join(name or "not established" for name in one.names)
        if found.unknown:
            what = f"asks for known licences, and those of '{one.dataset}' are not ({told})"
            raise Refusal(where, what, "look them up and enter them in the card, or leave the dataset out")
        if wanted == "commercial" and not found.commercial:
            what = f"asks for licences free for commercial use, and those of '{one.dataset}' are not ({told})"
            raise Refusal(where, what, "leave the dataset out")


def _terms(name: str, card: Card | None, pictured: bool) -> Terms:
    if card is None:
        return Terms(name, None, None, None, "its card is not here", pictured)
    said = card.licence
    images = _established(said.images) if pictured else None
    return Terms(name, _established(said.annotations), images, said.generator_terms, said.note, pictured)


def _card(home: Home, name: str) -> Card | None:
    try:
        return load_card(name, home)
    except Refusal:
        return None


def _established(text: str | None) -> str | None:
    return text if normal_name(text) else None
