"""BibTeX from cards: what is established and nothing else, in text that LaTeX reads."""

from __future__ import annotations

import pytest

from curator.citations import bibliography, bibtex
from registry.card import Card, Citation, Part, Source


def card(name: str = "a", title: str = "A", **facts: object) -> Card:
    parts = [Part(name="all", category="chart")]
    return Card(name=name, title=title, stage="sft", format="llava_chat", parts=parts, **facts)  # type: ignore[arg-type]  # the fields of a card


def test_a_paper_gives_its_number_and_year() -> None:
    text = bibtex(card(citation=Citation(arxiv="2311.12793", homepage="https://a.example")))
    assert text.startswith("@misc{a,\n")
    for said in ("eprint = {2311.12793}", "year = {2023}", "url = {https://arxiv.org/abs/2311.12793}"):
        assert said in text
    assert "a.example" not in text
    assert "author" not in text, "nobody is guessed"


@pytest.mark.parametrize("number", ["cs/0112017", "2399.1"])
def test_a_number_that_tells_no_year_gives_none(number: str) -> None:
    assert "year" not in bibtex(card(citation=Citation(arxiv=number)))


def test_without_a_paper_the_homepage_or_the_repository_is_named() -> None:
    assert "url = {https://a.example}" in bibtex(card(citation=Citation(homepage="https://a.example")))
    assert "url = {https://huggingface.co/datasets/org/a}" in bibtex(card(source=Source(hub_repo="org/a")))
    assert "url" not in bibtex(card())


def test_a_title_cannot_end_its_field() -> None:
    text = bibtex(card(title="Q&A: 50% of {x}_1\nand \\more"))
    assert "title = {Q\\&A: 50\\% of \\{x\\}\\_1 and \\textbackslash{}more}" in text


def test_entries_stand_by_name() -> None:
    both = bibliography([card("b"), card("a")])
    assert both.index("@misc{a") < both.index("@misc{b")
