"""Cards: what is not established stays open, what is wrong is refused where it stands, identity is what decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.card import Card, card_files, load_card, load_cards, read_card
from registry.errors import Refusal
from registry.store import Home
from registry.yaml_file import load

PLAIN = """\
name: demo-charts
title: Charts
stage: sft
format: llava
source:
  hub_repo: someone/charts
  revision: 0123456
  gated: null
columns: {question: query}
alternates:
  - format: cauldron
    columns: {texts: texts}
    note: another copy
parts:
  - name: numbers
    category: chart
    rule: {request: '\\d+', turns_max: 1}
    rows: 10
  - name: rest
    category: general_qa
prompts: [Describe it.]
licence:
  annotations: no
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.cards.mkdir(parents=True)
    return home


def write(home: Home, text: str = PLAIN, name: str = "demo-charts") -> Path:
    path = home.cards / f"{name}.yaml"
    path.write_text(text)
    return path


def changed(home: Home, old: str, new: str) -> Card:
    """The plain card with one piece of text replaced."""
    assert PLAIN.count(old) == 1, old
    return read_card(write(home, PLAIN.replace(old, new)))


def test_a_card_keeps_what_is_written_and_leaves_the_rest_open(home: Home) -> None:
    card = read_card(write(home))
    assert card.source.revision == "0123456"
    assert card.licence.annotations == "no"
    assert card.source.gated is None
    assert card.paper_status is None
    assert card.categories == ["chart", "general_qa"]
    assert [part.rule is None for part in card.parts] == [False, True]


def test_categories_are_named_once_in_the_order_of_the_parts(home: Home) -> None:
    third = "  - name: more\n    category: chart\n    rule: {turns_min: 2}\nprompts:"
    card = changed(home, "prompts:", third)
    assert card.categories == ["chart", "general_qa"]


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("stage: sft", "stage: finetune", 3, "stage: Input should be 'sft', 'pretrain' or 'eval'"),
        ("title: Charts\n", "", 1, "title: Field required"),
        ("hub_repo:", "hub_rpo:", 6, "unknown field 'source.hub_rpo'; did you mean 'hub_repo'?"),
        ("category: general_qa", "category: generalqa", 20, "unknown category 'generalqa'; did you mean 'general_qa'?"),
        ("category: general_qa", "category: robots", 20, "unknown category 'robots'"),
        ("'\\d+'", "'('", 17, "not a regular expression of RE2 (missing ): ()"),
        ("'\\d+'", "'(?=a)'", 17, "not a regular expression of RE2 (invalid perl operator: (?=)"),
        ("'\\d+'", "'(a{999}){999}'", 17, "not a regular expression of RE2 (invalid repetition size: {999})"),
        ("turns_max: 1", "turns_max: one", 17, "turns_max: Input should be a valid integer"),
        ("name: rest", "name: numbers", 1, "two parts have the same name"),
        ("rule: {request: '\\d+', turns_max: 1}", "rows: 1\n    rows: 2", 18, "given twice"),
        ("    rule: {request: '\\d+', turns_max: 1}\n", "", 1, "only one part may be without a rule"),
        ("rule: {request:", "rule: {question:", 17, "unknown field 'parts.0.rule.question'"),
        ("licence:", "license:", 22, "unknown field 'license'; did you mean 'licence'?"),
    ],
)
def test_a_wrong_card_is_refused_at_its_line(home: Home, old: str, new: str, line: int, what: str) -> None:
    with pytest.raises(Refusal) as caught:
        changed(home, old, new)
    assert what in caught.value.what
    assert caught.value.where == f"{home.cards / 'demo-charts.yaml'}:{line}"


def test_a_card_needs_a_part(home: Home) -> None:
    start, _, _ = PLAIN.partition("parts:")
    with pytest.raises(Refusal, match="a card needs at least one part"):
        read_card(write(home, start + "parts: []\n"))


def test_the_name_is_the_name_of_the_file(home: Home) -> None:
    with pytest.raises(Refusal, match="'demo-charts' is not the file's name"):
        read_card(write(home, name="other"))
    with pytest.raises(Refusal, match="not a valid name"):
        read_card(write(home, PLAIN.replace("name: demo-charts", "name: ../demo"), name="x"))


def test_an_unknown_card_is_refused_with_the_nearest(home: Home) -> None:
    write(home)
    with pytest.raises(Refusal, match="did you mean 'demo-charts'"):
        load_card("demo-chart", home)
    with pytest.raises(Refusal, match="there is no card of that name"):
        load_card("../demo-charts", home)


def test_cards_of_the_home_join_the_packaged_ones_and_win(home: Home) -> None:
    packaged = card_files()
    write(home)
    assert set(card_files(home)) == {*packaged, "demo-charts"}
    assert load_card("demo-charts", home).title == "Charts"
    for name in list(packaged)[:1]:
        own = home.cards / f"{name}.yaml"
        own.write_text(PLAIN.replace("name: demo-charts", f"name: {name}"))
        assert load_card(name, home).title == "Charts"
        assert load_card(name).title != "Charts"


def test_every_packaged_card_is_sound(home: Home) -> None:
    cards = load_cards()
    assert set(cards) == set(card_files())
    assert all(card.name == name for name, card in cards.items())
    assert len({card.digest() for card in cards.values()}) == len(cards)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: Charts", "title: Graphs"),
        ("annotations: no", "annotations: CC0"),
        ("rows: 10", "rows: 11"),
        ("    rows: 10", "    rows: 10\n    table3_unit: chartqa"),
        ("note: another copy", "note: a mirror"),
        ("prompts:", "quality_notes: [noisy]\nprompts:"),
        ("revision: 0123456", "revision: 6543210"),  # of the raw folder's identity, not of the card's
    ],
)
def test_facts_for_people_are_no_part_of_the_identity(home: Home, old: str, new: str) -> None:
    plain = read_card(write(home))
    assert changed(home, old, new).digest() == plain.digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format: llava", "format: vqa"),
        ("{question: query}", "{question: prompt}"),
        ("category: general_qa", "category: knowledge"),
        ("turns_max: 1", "turns_max: 2"),
        ("name: rest", "name: others"),
        ("Describe it.", "Describe this."),
        ("{texts: texts}", "{texts: turns}"),
        ("columns: {question", "options: {answer_style: short}\ncolumns: {question"),
    ],
)
def test_what_decides_the_samples_is_part_of_the_identity(home: Home, old: str, new: str) -> None:
    plain = read_card(write(home))
    assert changed(home, old, new).digest() != plain.digest()


def test_cards_cannot_be_changed_once_read(home: Home) -> None:
    card = load(write(home), Card)
    with pytest.raises(ValueError, match="frozen"):
        card.name = "other"  # type: ignore[misc]  # the point of the test
