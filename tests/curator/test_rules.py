"""The rules of a card, applied to many conversations at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.normalise import form_settings
from curator.rules import Asked, Origin, PartRules, parts_settings
from curator.selection import forms
from registry.card import Part, Rule
from registry.sample import conversation
from registry.store import Home
from tests.curator.data_home import chats, pulled, rows_of, write_card, write_json


def asked(request: str, answer: str = "yes", **origin: object) -> Asked:
    return Origin(**{"source_id": "1", "file": "a.json", **origin}), conversation(  # type: ignore[arg-type]  # mixed
        [("user", request), ("assistant", answer)]
    )


def named(parts: list[Part], samples: list[Asked]) -> list[str | None]:
    return [part.name if part is not None else None for part in PartRules(parts).parts_of(samples)]


def part(name: str, **rule: object) -> Part:
    return Part(name=name, category="chart", rule=Rule.model_validate(rule) if rule else None)


def test_the_first_rule_that_holds_takes_a_sample() -> None:
    parts = [part("what", request="^What"), part("no", answer="^no$"), part("file", file="b*"), part("rest")]
    samples = [asked("Why?", "no"), asked("What?", "no"), asked("Why?", file="b.json"), asked("Why?")]
    assert named(parts, samples) == ["no", "what", "file", "rest"]
    assert named(parts[:3], samples) == ["no", "what", "file", None]
    assert named(parts, []) == []


def test_every_condition_of_a_rule_must_hold() -> None:
    parts = [part("both", columns={"kind": "^x", "answer": "y"}, source_id="7", turns_max=1)]
    labels = {"kind": "xx", "answer": "yy"}
    samples = [
        asked("a", labels=labels, source_id="17"),
        asked("a", labels=labels),
        asked("a", labels={"kind": "xx"}, source_id="17"),
        asked("a", file=None, part="both", source_id="17"),
        asked("a", file=None, part="other", source_id="17"),
    ]
    assert named(parts, samples) == ["both", None, None, "both", None]


def test_half_a_surrogate_pair_is_no_accident() -> None:
    parts = [part("odd", columns={"kind": "d83d"}), part("rest")]
    assert named(parts, [asked("a", labels={"kind": "x\ud83d"}), asked("b\ud83d")]) == ["odd", "rest"]


@pytest.mark.timeout(20)
def test_a_card_cannot_keep_a_pull_busy(tmp_path: Path, home_path: Path) -> None:
    """With an engine that backtracks this row takes longer than the universe is old."""
    home = Home(home_path)
    rows = chats(300)
    rows[7]["conversations"][0]["value"] = "a" * 5000 + "!"
    rows[299]["conversations"][0]["value"] = "a" * 5000
    source = tmp_path / "p"
    write_json(source / "rows.json", rows)
    parts = [
        {"name": "slow", "category": "chart", "rule": {"request": "^(a+)+$"}},
        {"name": "rest", "category": "text_only"},
    ]
    made = pulled(home, write_card(home, "x", format="llava_chat", parts=parts), source)
    assert [row["source_id"] for row in rows_of(made.folder) if row["part"] == "slow"] == ["row-299"]
    assert [row["source_id"] for row in rows_of(made.folder)] == [f"row-{i}" for i in range(300)]


def test_how_patterns_are_matched_is_part_of_the_identity_where_there_are_patterns(home_path: Path) -> None:
    plain, told = part("a", turns_max=1), part("b", request="x")
    assert ["patterns" in settings for settings in parts_settings([plain, told, part("c")])] == [False, True, False]
    home = Home(home_path)
    card = write_card(home, "x", format="llava_chat")
    assert form_settings(card, forms(card)[0])["parts"] == parts_settings(card.parts)
