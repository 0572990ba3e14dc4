from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curator.audit_page import write_audit
from curator.reclassify import EXAMPLES, Audit, audit, categories_after, labels
from curator.rules import describe
from curator.samples import Samples, find_samples
from registry.card import Rule
from registry.sample import make_message
from registry.store import Home
from tests.curator.data_home import file_bytes, make_captions, make_chats, rows_of, write_card

ODD = {"name": "odd", "category": "mathematics", "rule": {"request": r"What is \d*[13579] and"}}
REST = {"name": "rest", "category": "text_only"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def page_of(home: Home, audited: Audit, folder: Path) -> str:
    """The text of the page of an audit."""
    write_audit(home, audited, folder / "out" / "audit.html")
    return (folder / "out" / "audit.html").read_text(encoding="utf-8")


def relabelled(home: Home, tmp_path: Path, parts: list[dict[str, Any]]) -> Samples:
    """Ten chats normalised with the single part ``rest``, and a card whose parts were changed afterwards."""
    make_chats(home, tmp_path, "x", 10, parts=[REST])
    write_card(home, "x", format="llava_chat", parts=parts)
    return find_samples(home, "x")


def test_an_unchanged_card_moves_nothing(home: Home, tmp_path: Path) -> None:
    samples = make_chats(home, tmp_path, "x", 10, parts=[ODD, REST])
    assert not samples.relabelled
    found = audit(samples)
    assert found.moved == 0
    assert {move.after: move.count for move in found.moves} == {("odd", "mathematics"): 5, ("rest", "text_only"): 5}


def test_changed_rules_give_new_labels_beside_the_samples(home: Home, tmp_path: Path) -> None:
    samples = relabelled(home, tmp_path, [ODD, REST])
    before = file_bytes(samples.folder)
    assert samples.relabelled
    made = labels(home, samples)
    assert labels(home, samples).already_there
    rows = rows_of(made.folder)
    assert [row["id"] for row in rows] == [row["id"] for row in rows_of(samples.folder)]
    assert [row["category"] for row in rows] == ["text_only", "mathematics"] * 5
    assert file_bytes(samples.folder) == before
    assert len(home.finished("samples")) == 1, "nothing was normalised again"


def test_the_audit_says_what_moves_by_which_rule_with_examples(home: Home, tmp_path: Path) -> None:
    found = audit(relabelled(home, tmp_path, [ODD, REST]))
    moved, stays = found.moves
    assert (moved.before, moved.after, moved.count) == (("rest", "text_only"), ("odd", "mathematics"), 5)
    assert moved.rule == describe(Rule(request=ODD["rule"]["request"]))  # type: ignore[index]  # a literal above
    assert stays.rule == "everything else"
    assert len(moved.examples) == EXAMPLES
    assert all(int(example["source_id"].rpartition("-")[2]) % 2 for example in moved.examples)
    assert categories_after(found) == {"mathematics": 5, "text_only": 5}
    plain = found.plain()
    assert plain[0]["from"] == {"part": "rest", "category": "text_only"}
    assert plain[0]["examples"][0]["answer"].startswith("It is")


def test_going_back_to_the_old_rules_finds_the_old_labels(home: Home, tmp_path: Path) -> None:
    samples = relabelled(home, tmp_path, [ODD, REST])
    labels(home, samples)
    write_card(home, "x", format="llava_chat", parts=[REST])
    back = find_samples(home, "x")
    assert back.folder == samples.folder
    assert not back.relabelled


def test_a_sample_that_no_rule_takes_keeps_its_label(home: Home, tmp_path: Path) -> None:
    samples = relabelled(home, tmp_path, [ODD])
    assert {row["part"] for row in rows_of(labels(home, samples).folder)} == {"odd", "rest"}
    assert any("no rule takes it" in move.rule for move in audit(samples).moves)


def test_the_page_holds_pictures_and_escapes_foreign_text(home: Home, tmp_path: Path) -> None:
    make_captions(home, tmp_path, "pics", 4)
    numbered = {"name": "n", "category": "ocr", "rule": {"answer": "number [01]"}}
    parts = [numbered, {"name": "all", "category": "captioning"}]
    write_card(home, "pics", format="caption_pairs", parts=parts, prompts=[])
    samples = find_samples(home, "pics")
    found = audit(samples)
    hostile = [make_message("user", "<script>alert(1)</script>"), make_message("assistant", "a" * 9000)]
    found.moves[0].examples[0] = {"id": "i", "source_id": "s", "messages": hostile, "images": []}
    page = page_of(home, found, tmp_path)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "a" * 701 not in page
    assert page.count("data:image/") == 3
    assert "http" not in page.replace("http-equiv", "")


def test_a_picture_that_is_gone_does_not_stop_the_page(home: Home, tmp_path: Path) -> None:
    samples = make_captions(home, tmp_path, "pics", 2)
    for shard in home.images.iterdir():
        shard.unlink()
    assert "picture number" in page_of(home, audit(samples), tmp_path)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (None, "everything else"),
        (Rule(), "everything"),
        (Rule(request="^d", turns_max=1), "request ~ '^d', turns <= 1"),
        (Rule(answer="x", source_id="y", turns_min=2), "answer ~ 'x', source_id ~ 'y', turns >= 2"),
    ],
)
def test_rules_are_told_in_words(rule: Rule | None, words: str) -> None:
    assert describe(rule) == words
