"""The 12 categories are the paper's, in its order."""

from __future__ import annotations

from registry.discovery import checked_name
from registry.taxonomy import CATEGORIES, SLUGS

PAPER_ORDER = (
    "captioning",
    "general_qa",
    "science",
    "chart",
    "mathematics",
    "knowledge",
    "ocr",
    "document",
    "grounding",
    "conversation",
    "text_only",
    "screen",
)


def test_the_twelve_stand_in_the_order_of_table_3() -> None:
    assert SLUGS == PAPER_ORDER
    assert tuple(category.slug for category in CATEGORIES) == SLUGS


def test_every_category_is_described_and_none_twice() -> None:
    for field in zip(*CATEGORIES, strict=True):
        assert len(set(field)) == len(CATEGORIES)
        assert all(text.strip() == text and text for text in field)
    assert all(category.sentence.endswith(".") for category in CATEGORIES)


def test_slugs_are_safe_in_file_names() -> None:
    assert [checked_name(slug, "category") for slug in SLUGS] == list(SLUGS)
