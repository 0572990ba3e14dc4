"""The registry is complete: every unit of the paper's Table 3, the baselines, the pretraining sets."""

from __future__ import annotations

from collections import Counter

from registry.card import Card, load_cards
from registry.discovery import names, package_folder
from registry.taxonomy import SLUGS

CARDS = {name: card for name, card in load_cards().items() if card.role != "other"}
UNITS = {
    "captioning": 6,
    "general_qa": 2,
    "science": 3,
    "chart": 5,
    "mathematics": 4,
    "knowledge": 1,
    "ocr": 5,
    "document": 1,
    "grounding": 1,
    "conversation": 5,
    "text_only": 3,
    "screen": 1,
}
"""Category -> candidates in Table 3; CLEVR-Math/Super and RefCOCO+/g count once each."""


def of_role(role: str) -> list[Card]:
    return [card for card in CARDS.values() if card.role == role]


def test_the_units_of_table_3_by_category() -> None:
    units = {(part.table3_unit, part.category) for card in CARDS.values() for part in card.parts if part.table3_unit}
    assert Counter(category for _, category in units) == UNITS
    assert sum(UNITS.values()) == 37
    assert list(UNITS) == list(SLUGS)


def test_a_unit_stands_in_cards_of_table_3_alone() -> None:
    for card in CARDS.values():
        assert bool([part for part in card.parts if part.table3_unit]) == (card.role == "table3"), card.name


def test_the_baselines_and_the_pretraining_sets_are_there() -> None:
    assert [card.name for card in of_role("baseline")] == ["llava-v1.5-mix665k"]
    assert [card.name for card in of_role("improved_baseline")] == ["sharegpt4v-mix665k"]
    assert len(of_role("baseline_part")) == 12
    wanted = {"llava-pretrain-558k", "sharegpt4v-pt", "laion2b-en", "relaion2b-en-research-safe", "coyo-700m"}
    assert wanted <= {card.name for card in of_role("pretrain")}
    assert all(card.stage == "pretrain" for card in of_role("pretrain"))


def test_the_parts_of_the_baseline_add_up_to_its_rows() -> None:
    card = CARDS["llava-v1.5-mix665k"]
    assert sum(part.rows or 0 for part in card.parts) == card.size.rows == 665_298


def test_nothing_is_said_without_a_source() -> None:
    for card in CARDS.values():
        assert card.sources, card.name
        assert card.confidence, card.name
        assert card.paper_status in ((None, "possible") if card.role == "table3" else (None,)), card.name


def test_a_training_split_names_a_benchmark_of_the_registry() -> None:
    named = {name for card in load_cards().values() for name in card.train_split_of}
    assert named == {"scienceqa_test", "tabmwp_test"}
    assert named <= set(names(package_folder("registry.benchmarks"), ".py"))
