"""Terms of a mix: what is known, what the Hub calls it, when publishing is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.licences import Terms, check_known, check_redistribution, hub_licences, terms_of
from registry.errors import Refusal
from registry.store import Home
from tests.curator.publish_home import SHAPES


def terms(annotations: str | None, images: str | None = None, *, shows: bool = True) -> Terms:
    return Terms("data", annotations, images, None, None, shows)


def card(home: Home, licence: str) -> None:
    home.cards.mkdir(parents=True, exist_ok=True)
    (home.cards / "data.yaml").write_text(SHAPES.format(name="data", licence=licence))


@pytest.mark.parametrize(
    ("text", "name"),
    [("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"), ("Apache-2.0", "apache-2.0"), ("MIT", "mit"), ("odd terms", "other")],
)
def test_names_of_the_hub(text: str, name: str) -> None:
    assert hub_licences([terms(text, text)]) == [name]


def test_the_union_counts_pictures_only_where_there_are_any() -> None:
    assert hub_licences([terms("MIT", "CC0-1.0"), terms("MIT", "CC BY 4.0", shows=False)]) == ["cc0-1.0", "mit"]
    assert hub_licences([terms(None, "MIT")]) == ["mit", "unknown"]


@pytest.mark.parametrize("text", ["null", "unspecified", "Unknown", "none"])
def test_what_no_one_established_is_unknown(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    card(home, f"licence: {{annotations: {text}, images: {text}}}")
    (found,) = terms_of(home, ["data"], ["data"])
    assert found.unknown == ["annotations", "pictures"]
    (found,) = terms_of(home, ["data"], [])
    assert found.unknown == ["annotations"]


def test_a_dataset_without_a_card_has_no_known_terms(tmp_path: Path) -> None:
    (found,) = terms_of(Home(tmp_path), ["gone"], ["gone"])
    assert found.unknown == ["annotations", "pictures"]


def test_publishing_what_is_unknown() -> None:
    known, unknown = terms("MIT", "MIT"), terms("MIT", None)
    assert check_known([known], private=False, accepted=False) == []
    with pytest.raises(Refusal, match=r"no licence is established for data \(pictures\)[^$]*--accept-licences"):
        check_known([known, unknown], private=False, accepted=False)
    for settings in ({"private": True, "accepted": False}, {"private": False, "accepted": True}):
        (warning,) = check_known([unknown], **settings)
        assert "data (pictures)" in warning


@pytest.mark.parametrize(
    ("annotations", "images", "shows", "said"),
    [
        ("CC BY-ND 4.0", "MIT", True, ["texts under CC BY-ND 4.0, which forbids passing on changed copies"]),
        ("MIT", "no-redistribution", True, ["pictures under no-redistribution, which forbids passing on copies"]),
        ("MIT", "no-redistribution", False, []),
        ("MIT", "CC BY-ND 4.0", True, []),
        ("proprietary", "proprietary", True, ["texts under proprietary", "pictures under proprietary"]),
        ("my own terms", None, True, []),
    ],
)
def test_what_must_not_be_in_a_published_mix(annotations: str, images: str, shows: bool, said: list[str]) -> None:
    """Texts are brought into another form, pictures are passed on byte for byte; what is unknown is asked elsewhere."""
    found = terms(annotations, images, shows=shows).forbidden
    assert len(found) == len(said)
    assert all(reason.startswith(start) for reason, start in zip(found, said, strict=True))


def test_what_must_not_be_passed_on_is_named_with_a_way_out() -> None:
    with pytest.raises(Refusal) as refused:
        check_redistribution([terms("MIT", "MIT"), terms("MIT", "no-redistribution")])
    assert "data (pictures under no-redistribution" in refused.value.what
    assert "texts" not in refused.value.what
    assert "--recipe-only" in refused.value.way_out
    check_redistribution([terms("cc-by-nc-4.0", "cc-by-4.0")])
