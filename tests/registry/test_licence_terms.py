"""The algebra of licences: a table of single classes, and a table of combinations."""

from __future__ import annotations

import itertools

import pytest

from registry.card import load_cards
from registry.licence_terms import combine, normal_name, permission

SINGLE = {
    "CC0 1.0": "public",
    "apache-2.0": "attribution",
    "MIT": "attribution",
    "cc-by-4.0": "attribution",
    "CC BY-SA 4.0": "share-alike",
    "gpl-3.0": "share-alike",
    "cc-by-nc-4.0": "non-commercial",
    "cc-by-nc-3.0": "non-commercial",
    "cc_by_nc_sa_4.0": "non-commercial share-alike",
    "cc-by-nd-4.0": "no-derivatives",
    "cc-by-nc-nd-4.0": "no-derivatives",
    "All rights reserved": "no-redistribution",
    "no-redistribution": "no-redistribution",
}
TOGETHER = [
    # licences, class, commercial, changes, share-alike families
    (["cc0-1.0", "cc0"], "public", True, True, ()),
    (["mit", "cc-by-4.0"], "attribution", True, True, ()),
    (["mit", "cc-by-sa-4.0"], "share-alike", True, True, ("cc-by-sa",)),
    (["cc-by-sa-3.0", "cc-by-sa-4.0"], "share-alike", True, True, ("cc-by-sa",)),
    (["gpl-2.0", "gpl-3.0"], "share-alike", True, True, ("gpl",)),
    (["cc-by-4.0", "cc-by-nc-4.0"], "non-commercial", False, True, ()),
    (["cc-by-4.0", "cc-by-nc-sa-4.0"], "non-commercial share-alike", False, True, ("cc-by-nc-sa",)),
    (["cc-by-sa-4.0", "cc-by-nc-4.0"], "non-commercial share-alike", False, True, ("cc-by-sa",)),
    (["cc-by-sa-4.0", "cc-by-nc-sa-4.0"], "conflict", False, True, ("cc-by-nc-sa", "cc-by-sa")),
    (["cc-by-sa-4.0", "gpl-3.0"], "conflict", True, True, ("cc-by-sa", "gpl")),
    (["odbl", "mpl-2.0"], "conflict", True, True, ("mpl-2.0", "odbl")),
    (["cc-by-nd-4.0", "mit"], "no-derivatives", True, False, ()),
    (["mit", None], "unknown", None, None, ()),
    (["unspecified", "cc-by-nc-4.0"], "unknown", False, None, ()),
    (["my own terms", "cc-by-nd-4.0"], "unknown", None, False, ()),
    (["mit", "proprietary"], "no-redistribution", False, False, ()),
    ([], "public", True, True, ()),
]


@pytest.mark.parametrize(("name", "title"), SINGLE.items())
def test_the_class_of_one_licence(name: str, title: str) -> None:
    known = permission(name)
    assert known is not None
    assert known.title == combine([name]).title == title


@pytest.mark.parametrize(("names", "title", "commercial", "changes", "families"), TOGETHER)
def test_the_class_of_several(
    names: list[str | None], title: str, commercial: bool | None, changes: bool | None, families: tuple[str, ...]
) -> None:
    for order in itertools.permutations(names):
        found = combine(order)
        assert (found.title, found.commercial, found.changes, found.share_alike) == (
            title,
            commercial,
            changes,
            families,
        )


@pytest.mark.parametrize("name", [None, "", "unspecified", "other", "cc-by-nd-sa-4.0", "cc-by-nc-4.0 or so", "cc"])
def test_what_is_not_known_is_never_permitted(name: str | None) -> None:
    assert permission(name) is None
    assert combine([name]).title == "unknown"


def test_adding_a_licence_never_permits_more() -> None:
    names = [*SINGLE, None]
    for first, second in itertools.product(names, names):
        alone, together = combine([first]), combine([first, second])
        for before, after in ((alone.commercial, together.commercial), (alone.changes, together.changes)):
            assert after is not True or before is True
            assert before is not False or after is False
        assert alone.attribution <= together.attribution
        assert set(alone.share_alike) <= set(together.share_alike)


def test_every_licence_of_the_packaged_cards_is_known_or_not_established() -> None:
    for card in load_cards().values():
        for name in (card.licence.annotations, card.licence.images):
            assert not normal_name(name) or permission(name) is not None, f"{card.name}: {name}"


@pytest.mark.parametrize(
    ("names", "copies"), [(["mit", "cc-by-nd-4.0"], True), (["mit", None], None), (["proprietary", None], False)]
)
def test_whether_unchanged_copies_may_be_passed_on(names: list[str | None], copies: bool | None) -> None:
    assert combine(names).copies is copies
