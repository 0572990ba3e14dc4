"""``curator list`` and ``curator show``: what the registry knows, and what of it is here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import make_captions, make_chats, write_card

FACTS: dict[str, dict[str, Any]] = {
    "zz-charts": {
        "stage": "sft",
        "format": "llava_chat",
        "parts": [{"name": "all", "category": "chart", "rows": 1200}],
        "languages": ["en", "zh"],
        "licence": {"annotations": "CC-BY-4.0", "images": "unspecified"},
        "size": {"samples": 1200, "images": 300, "exact": True},
        "source": {"hub_repo": "someone/charts", "revision": "0123456"},
        "overlaps": ["ChartQA test: 3 pictures"],
    },
    "zz-pairs": {
        "stage": "pretrain",
        "format": "caption_pairs",
        "parts": [
            {"name": "a", "category": "captioning"},
            {"name": "b", "category": "document", "rule": {"answer": "x"}},
        ],
        "size": {"samples": 1000000},
    },
}


@pytest.fixture
def home(home_path: Path) -> Home:
    """A home with two cards of its own."""
    opened = Home(home_path)
    for name, fields in FACTS.items():
        write_card(opened, name, **fields)
    return opened


def listed(curator: Curator, *arguments: str) -> list[str]:
    """Names of our own cards in a listing."""
    result = curator("list", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return [row["name"] for row in json.loads(result.stdout) if row["name"].startswith("zz-")]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["zz-charts", "zz-pairs"]),
        (["--category", "chart"], ["zz-charts"]),
        (["--min-samples", "1200"], ["zz-charts", "zz-pairs"]),
        (["--min-samples", "1201"], ["zz-pairs"]),
        (["--max-samples", "1200"], ["zz-charts"]),
        (["--category", "chart", "--category", "document"], ["zz-charts", "zz-pairs"]),
        (["--category", "screen"], []),
        (["--stage", "pretrain"], ["zz-pairs"]),
        (["--licence", "cc-by"], ["zz-charts"]),
        (["--licence", "none"], ["zz-pairs"]),
        (["--language", "ZH"], ["zz-charts"]),
        (["--language", "z"], []),
        (["--pulled"], []),
    ],
)
def test_a_listing_can_be_narrowed(curator: Curator, options: list[str], names: list[str]) -> None:
    assert listed(curator, *options) == names


@pytest.mark.usefixtures("home")
def test_a_listing_shows_sizes_and_marks_rounded_ones(curator: Curator) -> None:
    result = curator("list")
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert " 1,200 " in lines["zz-charts"]
    assert "~1,000,000" in lines["zz-pairs"]
    assert result.stderr.endswith("datasets\n")


def test_what_was_pulled_is_marked(curator: Curator, home: Home, tmp_path: Path) -> None:
    make_chats(home, tmp_path, "zz-mine", 3)
    assert listed(curator, "--pulled") == ["zz-mine"]


@pytest.mark.usefixtures("home")
def test_an_unknown_category_is_a_matter_of_usage(curator: Curator) -> None:
    assert curator("list", "--category", "charts").exit_code == 2


def test_a_broken_card_is_refused_with_its_line(curator: Curator, home: Home) -> None:
    (home.cards / "broken.yaml").write_text("name: broken\nparts: [\n", encoding="utf-8")
    result = curator("list")
    assert result.exit_code == 1
    assert "broken.yaml:3: not valid YAML" in result.stderr


@pytest.mark.usefixtures("home")
def test_show_says_what_is_established_and_no_more(curator: Curator) -> None:
    result = curator("show", "zz-charts")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "published 1,200 samples, 300 images" in lines
    assert "hub someone/charts @ 0123456" in lines
    assert "licence CC-BY-4.0" in lines
    assert "of pictures unspecified" in lines
    assert "overlaps ChartQA test: 3 pictures" in lines
    assert "all chart - 1,200 -" in lines
    assert not [line for line in lines if line.startswith(("gated", "arxiv", "quality"))]
    assert "curator pull zz-charts" in result.stderr


@pytest.mark.usefixtures("home")
def test_show_marks_rounded_sizes(curator: Curator) -> None:
    shown = curator("show", "zz-pairs").stdout
    assert "1,000,000 samples (rounded)" in shown
    assert "answer x" in shown


def test_show_counts_what_is_in_the_home(curator: Curator, home: Home, tmp_path: Path) -> None:
    samples = make_captions(home, tmp_path, "zz-mine", 4)
    entry = json.loads(curator("show", "zz-mine", "--json").stdout)["pulled"][0]
    assert entry["folder"] == samples.folder.name
    assert (entry["rows_in"], entry["rows_out"]) == (4, 4)
    assert entry["parts"] == [{"part": "all", "category": "captioning", "samples": 4, "images": 4}]
    text = curator("show", "zz-mine").stdout
    assert "4 in, 4 samples" in text
    assert text.splitlines()[-1].split() == ["all", "captioning", "4", "4"]


def test_show_refuses_an_unknown_name_with_the_nearest(curator: Curator, home: Home) -> None:
    assert home.cards.is_dir()
    result = curator("show", "zz-chart")
    assert result.exit_code == 1
    assert "did you mean 'zz-charts'?" in result.stderr


def test_text_of_a_card_cannot_control_the_terminal(curator: Curator, home: Home) -> None:
    write_card(home, "zz-evil", format="llava_chat", quality_notes=["\u202ereversed"])
    shown = curator("show", "zz-evil")
    assert "\u202e" not in shown.stdout
    assert "\\u202ereversed" in shown.stdout
