"""Rows of cards and records, as the catalogue and the listing see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry import card, facts, store
from registry.errors import Refusal
from registry.facts import HomeFacts
from tests.small_home import SmallHome, make_small_home


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallHome:
    """One home for all tests here; none of them writes to it."""
    return make_small_home(tmp_path_factory.mktemp("facts"))


def write_card(home: Path, name: str, **fields: object) -> None:
    """A card of a home's own, as it stands."""
    (home / "cards").mkdir(parents=True, exist_ok=True)
    (home / "cards" / f"{name}.yaml").write_text(json.dumps(fields), encoding="utf-8")


def test_names_agree_with_the_strict_modules(tmp_path: Path) -> None:
    """The light module spells out what it must not import."""
    assert facts._RECORD == store.RECORD
    home = store.Home(tmp_path)
    write_card(tmp_path, "own")
    assert facts.card_paths(tmp_path) == dict(sorted(card.card_files(home).items()))


def test_the_fast_facts_of_a_packaged_card_are_the_strict_ones() -> None:
    found = HomeFacts(Path("/nowhere"))
    strict = card.load_cards()
    assert set(found.cards) == set(strict)
    for row in facts.dataset_rows(found):
        checked = strict[row["name"]]
        assert row["title"] == checked.title
        assert row["categories"] == checked.categories
        assert row["languages"] == checked.languages
        assert (row["samples"], row["images"], row["exact"]) == (
            checked.size.samples,
            checked.size.images,
            checked.size.exact,
        )
        assert (row["licence"], row["images_licence"]) == (checked.licence.annotations, checked.licence.images)
        assert (row["hub_repo"], row["revision"]) == (checked.source.hub_repo, checked.source.revision)


def test_the_fast_parts_are_the_strict_ones() -> None:
    rows = facts.part_rows(HomeFacts(Path("/nowhere")))
    strict = [
        {"dataset": name, **part.model_dump(include={"category", "table3_unit", "rows"}), "part": part.name}
        for name, checked in sorted(card.load_cards().items())
        for part in checked.parts
    ]
    assert rows == strict


def test_the_home_s_own_card_wins(tmp_path: Path) -> None:
    name = next(iter(facts.card_paths(tmp_path)))
    write_card(tmp_path, name, title="mine")
    assert HomeFacts(tmp_path).cards[name] == {"title": "mine"}
    assert facts.named_card(tmp_path, name) == {"title": "mine"}


def test_null_in_all_its_spellings_is_not_established(tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "x.yaml").write_text("title: null\nformat: ~\nsize: {samples: }\n", encoding="utf-8")
    row = next(row for row in facts.dataset_rows(HomeFacts(tmp_path)) if row["name"] == "x")
    assert (row["title"], row["format"], row["samples"]) == (None, None, None)


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    write_card(tmp_path, "chartqa", title="t")
    with pytest.raises(Refusal, match="did you mean 'chartqa'"):
        facts.named_card(tmp_path, "chatqa")


def test_a_card_that_is_no_mapping_or_no_number_is_refused(tmp_path: Path) -> None:
    write_card(tmp_path, "x", size={"samples": "many"})
    with pytest.raises(Refusal, match=r"card 'x': size.samples: 'many' is not a whole number"):
        facts.dataset_rows(HomeFacts(tmp_path))
    (tmp_path / "cards" / "x.yaml").write_text("- a list", encoding="utf-8")
    with pytest.raises(Refusal, match="not a mapping"):
        facts.dataset_rows(HomeFacts(tmp_path))


def test_pulled_revisions_come_from_finished_folders(small: SmallHome) -> None:
    found = facts.pulled_revisions(small.home.path)
    assert set(found) == {"chats", "captions"}
    dataset, revision = facts.samples_name(small.chats)
    assert dataset == "chats"
    assert found["chats"] == [revision]


def test_an_unfinished_folder_is_not_there(tmp_path: Path) -> None:
    unfinished = tmp_path / "samples" / "x@r-0123456789ab"
    unfinished.mkdir(parents=True)
    (unfinished / "part-00000.parquet").write_bytes(b"half a file")
    assert facts.finished(tmp_path, "samples") == []
    assert facts.sample_files(tmp_path) == []


def test_mixes_trials_and_scores_are_joined_by_content(small: SmallHome) -> None:
    found = HomeFacts(small.home.path)
    (mix,) = facts.mix_rows(found)
    (trial,) = facts.trial_rows(found)
    (score,) = facts.score_rows(found)
    assert mix["folder"] == small.mix
    assert mix["datasets"] == {"captions": 2, "chats": 5}
    assert (trial["mix"], trial["stage"], trial["seed"]) == (small.mix, "sft", 0)
    assert trial["cost"] == {"cpu_seconds": 12.5}
    assert (score["trial"], score["mix"], score["score"]) == (small.trial, small.mix, 62.5)


def test_a_decision_is_a_row_a_candidate(small: SmallHome) -> None:
    (row,) = facts.decision_rows(HomeFacts(small.home.path))
    assert (row["decision"], row["candidate"], row["verdict"]) == ("first", "captions", "kept")
    assert (row["effect"], row["low"], row["high"]) == (1.5, -0.5, 3.5)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]"])
def test_a_damaged_file_of_a_finished_folder_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "mixes" / "x-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "record.json").write_bytes(content)
    with pytest.raises(Refusal, match="damaged"):
        facts.mix_rows(HomeFacts(tmp_path))


def test_a_file_that_is_gone_from_a_finished_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mixes" / "x-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "record.json").write_bytes(b"{}")
    with pytest.raises(Refusal, match="is missing from a finished folder"):
        facts.mix_rows(HomeFacts(tmp_path))
