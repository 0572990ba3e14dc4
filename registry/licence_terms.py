"""What a licence permits and asks for, read from its name; and what holds for material under several of them.

The classes are those that decide what may be done with a mix: whether it may be used commercially, changed, must name
its authors, or must be passed on under the same licence. No legal advice: the names are taken at their word, and a
name that is not known counts as unknown, never as permitted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NOT_ESTABLISHED = frozenset(["", "unspecified", "unknown", "none", "null"])

PUBLIC = frozenset(["cc0-1.0", "cc0", "pddl", "unlicense", "wtfpl", "public-domain"])
NOTICE = frozenset(
    re.findall(
        r"\S+",
        "apache-2.0 mit bsd bsd-2-clause bsd-3-clause isc zlib afl-3.0 ecl-2.0 ms-pl ncsa postgresql bsl-1.0 ofl-1.1 "
        "odc-by cdla-permissive-1.0 cdla-permissive-2.0 etalab-2.0 artistic-2.0",
    )
)
"""Free for any use as long as the notice or the author is named."""
CLOSED = frozenset(
    ["all-rights-reserved", "copyrighted", "proprietary", "no-redistribution", "not-redistributable", "no-copies"]
)
"""Nothing may be passed on."""
COPYLEFT = {
    **dict.fromkeys(("gpl", "gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "gfdl"), "gpl"),
    **dict.fromkeys(("odbl", "osl-3.0", "mpl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "cdla-sharing-1.0"), ""),
}
"""Licence -> family whose members may be joined; empty = only with itself."""
_CREATIVE_COMMONS = re.compile(r"cc-by(?P<nc>-nc)?(?P<nd>-nd)?(?P<sa>-sa)?(?:-(?P<version>[0-9.]+))?(?:-igo)?")


@dataclass(frozen=True)
class Permission:
    """What one licence says."""

    name: str
    commercial: bool
    changes: bool
    """Whether changed copies may be passed on."""
    attribution: bool
    copies: bool = True
    """Whether unchanged copies may be passed on."""
    share_alike: str | None = None
    """Family of licences under which copies must stay; None = no such duty."""

    @property
    def title(self) -> str:
        """The narrowest of its duties, as a class."""
        return _narrowest(self)


@dataclass(frozen=True)
class Verdict:
    """What holds for material under several licences at once."""

    unknown: int
    """How many have no licence that is known."""
    commercial: bool | None
    """None = not known."""
    changes: bool | None
    attribution: bool
    copies: bool | None
    """None = not known."""
    share_alike: tuple[str, ...]
    """Families that copies must stay under; more than one cannot be met by one licence."""

    @property
    def conflict(self) -> bool:
        """True when no single licence meets all duties of passing on under the same terms."""
        return len(self.share_alike) > 1

    @property
    def title(self) -> str:
        """One word for people: the narrowest class."""
        if self.unknown:
            return "unknown"
        if self.conflict:
            return "conflict"
        return _narrowest(self)


def _narrowest(terms: Permission | Verdict) -> str:
    """The narrowest duty, as a class."""
    if not terms.copies:
        return "no-redistribution"
    if not terms.changes:
        return "no-derivatives"
    if not terms.commercial:
        return "non-commercial share-alike" if terms.share_alike else "non-commercial"
    return "share-alike" if terms.share_alike else "attribution" if terms.attribution else "public"


def normal_name(text: str | None) -> str:
    """A licence's name in the Hub's spelling: lower case, hyphens; empty when none is established."""
    name = re.sub(r"[\s_]+", "-", (text or "").strip().lower())
    return "" if name in NOT_ESTABLISHED else name


def permission(text: str | None) -> Permission | None:
    """What the licence of this name says; None when it is not established or not known."""
    name = normal_name(text)
    if name in PUBLIC:
        return Permission(name, commercial=True, changes=True, attribution=False)
    if name in NOTICE:
        return Permission(name, commercial=True, changes=True, attribution=True)
    if name in CLOSED:
        return Permission(name, commercial=False, changes=False, attribution=True, copies=False)
    if name in COPYLEFT:
        return Permission(name, commercial=True, changes=True, attribution=True, share_alike=COPYLEFT[name] or name)
    found = _CREATIVE_COMMONS.fullmatch(name)
    if found is None or (found["nd"] and found["sa"]):
        return None
    family = f"cc-by{found['nc'] or ''}-sa" if found["sa"] else None
    return Permission(name, not found["nc"], not found["nd"], attribution=True, share_alike=family)


def combine(names: Iterable[str | None]) -> Verdict:
    """What holds for material under all of these at once: a duty of one is a duty of all."""
    found = [permission(name) for name in names]
    known = [one for one in found if one is not None]
    unknown = len(found) - len(known)
    forbidden = any(not one.commercial for one in known)
    fixed = any(not one.changes for one in known)
    closed = any(not one.copies for one in known)
    return Verdict(
        unknown=unknown,
        commercial=False if forbidden else None if unknown else True,
        changes=False if fixed else None if unknown else True,
        attribution=any(one.attribution for one in known),
        copies=False if closed else None if unknown else True,
        share_alike=tuple(sorted({one.share_alike for one in known if one.share_alike})),
    )
