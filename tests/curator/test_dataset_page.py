"""The page of a published mix: classes of size, tables that text of cards cannot break, how to build it again."""

from __future__ import annotations

import pytest
from huggingface_hub import DatasetCard

from curator.dataset_page import Page, size_category
from curator.export import Shard
from curator.licences import Terms
from registry.card import Card, Licence, Part, Source
from registry.mix import MixInfo, PartCount

NASTY = "CC | BY\n4.0 <script>"


def page(**changes: object) -> Page:
    info = MixInfo(
        name="mine",
        recipe={"seed": 0, "parts": []},
        recipe_digest="1" * 64,
        content_digest="2" * 64,
        samples=1500,
        images=10,
        datasets={"a": 1500},
        categories={"chart": 1500},
        parts=[
            PartCount(
                dataset="a",
                samples_folder="a@0123456789ab-ffff",
                seed=0,
                available=2000,
                dropped={"size.px": 5, "none.x": 0},
                chosen=1500,
            )
        ],
    )
    card = Card(
        name="a",
        title="A",
        stage="sft",
        format="llava_chat",
        parts=[Part(name="train", category="chart")],
        source=Source(hub_repo="org/a"),
        licence=Licence(annotations=NASTY),
    )
    given: dict[str, object] = {
        "repo_id": "me/mine",
        "tag": "v1",
        "info": info,
        "shards": {"data/train-00000-of-00001.parquet": Shard(1500, 10_000, 20_000, "3" * 64)},
        "terms": [Terms("a", NASTY, None, None, None, shows_pictures=True)],
        "cards": {"a": card},
        "pictures": {"a": 10},
    }
    return Page(**{**given, **changes})  # type: ignore[arg-type]  # the fields above


@pytest.mark.parametrize(
    ("rows", "name"),
    [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (665_298, "100K<n<1M"), (10**9 - 1, "100M<n<1B"), (10**9, "n>1B")],
)
def test_classes_of_size(rows: int, name: str) -> None:
    assert size_category(rows) == name


def test_metadata_is_what_the_hub_reads() -> None:
    card = DatasetCard(page().readme())
    facts = card.data.to_dict()
    assert facts["license"] == ["other", "unknown"]
    assert facts["source_datasets"] == ["org/a"]
    assert "language" not in facts, "what is not known is left out"
    assert facts["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    assert facts["dataset_info"]["download_size"] == 10_000
    assert facts["dataset_info"]["splits"] == [{"name": "train", "num_bytes": 20_000, "num_examples": 1500}]
    columns = {column["name"]: column for column in facts["dataset_info"]["features"]}
    assert columns["images"] == {"name": "images", "list": "image"}


def test_text_of_cards_stays_inside_its_cell() -> None:
    text = page().readme()
    (line,) = [line for line in text.splitlines() if line.startswith("| a | [org/a]")]
    assert "CC \\| BY 4.0 &lt;script>" in line
    assert "<script>" not in text.split("---\n", maxsplit=2)[2]


def test_composition_counts_what_filters_dropped() -> None:
    text = page().readme()
    assert "| a | all | 1,500 | 100.0% | 2,000 | size.px: 5 |" in text
    assert "| Chart | 1,500 | 100.0% |" in text


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("a@0123456789ab-ffff", "curator pull a --revision 0123456789ab\n"),
        ("a@local-01-ffff", "curator pull a --from FOLDER"),
        ("a-ffff", "curator pull a\n"),
    ],
)
def test_how_to_get_the_data_again(folder: str, line: str) -> None:
    given = page()
    part = given.info.parts[0].model_copy(update={"samples_folder": folder})
    text = page(info=given.info.model_copy(update={"parts": [part]})).readme()
    assert line in text
    assert "curator build-mix ./recipe.json" in text


def test_the_same_mix_has_the_same_page() -> None:
    assert page().readme() == page().readme()
