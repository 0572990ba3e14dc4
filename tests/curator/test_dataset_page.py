"""The page of a published mix: classes of size, tables that text of cards cannot break, how to build it again."""

from __future__ import annotations

import pytest
from huggingface_hub import DatasetCard

from curator.dataset_page import Page, size_category
from curator.export import features
from curator.licences import Terms
from curator.publication import Large
from curator.published_ids import ids_features
from registry.card import Card, Licence, Part, Source
from registry.mix import MixInfo, PartCount

NASTY = "CC | BY\n4.0 <script>"


def shard(rows: int, categories: dict[str, int]) -> Large:
    return Large(10_000, "3" * 64, {"rows": rows, "content": 20_000, "categories": categories}, rows)


def page(**changes: object) -> Page:
    info = MixInfo(
        name="mine",
        recipe={"seed": 0, "parts": []},
        recipe_digest="1" * 64,
        content_digest="2" * 64,
        samples=1500,
        images=10,
        datasets={"a": 1500},
        categories={"chart": 1400, "screen": 100},
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
        "files": {
            "data/train-00000-of-00002.parquet": shard(1000, {"chart": 1000}),
            "data/train-00001-of-00002.parquet": shard(500, {"chart": 400, "screen": 100}),
        },
        "features": features(),
        "terms": [Terms("a", NASTY, None, None, None, shows_pictures=True)],
        "cards": {"a": card},
        "evidence": [],
        "own_cards": [],
        "whole": True,
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
    everything = facts["dataset_info"][0]
    assert facts["configs"][0]["data_files"] == [{"split": "train", "path": "data/*.parquet"}]
    assert everything["download_size"] == 20_000
    assert everything["splits"] == [{"name": "train", "num_bytes": 40_000, "num_examples": 1500}]
    columns = {column["name"]: column for column in everything["features"]}
    assert columns["images"] == {"name": "images", "list": "image"}


def test_a_category_names_the_shards_that_hold_it_and_how_many_rows_it_has() -> None:
    facts = DatasetCard(page().readme()).data.to_dict()
    by_name = {config["config_name"]: config for config in facts["configs"]}
    assert list(by_name) == ["default", "chart", "screen"]
    assert by_name["screen"]["data_files"][0]["path"] == ["data/train-00001-of-00002.parquet"]
    assert by_name["screen"]["filters"] == [["category", "==", "screen"]]
    counts = {info["config_name"]: info["splits"][0]["num_examples"] for info in facts["dataset_info"]}
    assert counts == {"default": 1500, "chart": 1400, "screen": 100}


def test_ids_alone_have_one_configuration_and_say_that_nothing_is_passed_on() -> None:
    known = Large(10, "3" * 64, {"rows": 1500, "content": 20})
    given = page(whole=False, files={"ids/ids-00000-of-00001.parquet": known}, features=ids_features())
    facts = DatasetCard(given.readme()).data.to_dict()
    assert [config["config_name"] for config in facts["configs"]] == ["default"]
    columns = {column["name"]: column for column in facts["dataset_info"][0]["features"]}
    assert columns["images"] == {"name": "images", "list": "string"}
    assert "no pictures and no texts" in given.readme()
    assert "Nothing of the datasets is passed on here" in given.readme()


def test_contamination_is_told_by_benchmark_and_part() -> None:
    assert "nothing is known of it" in page().readme()
    given = page()
    asked = {"benchmarks": {"mme": "4" * 64}, "policy": "drop", "verdicts": ["leak"], "overlap": 0.7, "distance": 6}
    part = given.info.parts[0].model_copy(
        update={"dropped": {"decontaminate.mme": 7, "size.px": 5}, "contamination": {"mme.picture": 3}}
    )
    nested = {"seed": 0, "parts": [{"name": "inner", "seed": 1, "parts": [], "decontaminate": asked}]}
    text = page(info=given.info.model_copy(update={"recipe": nested, "parts": [part]})).readme()
    assert "| mme | drop | leak | 0.7 |" in text
    assert "| a | all | decontaminate.mme: 7 | mme.picture: 3 |" in text


def test_the_verdict_on_all_licences_together() -> None:
    terms = [Terms("a", "CC BY-SA 4.0", None, None, None, False), Terms("b", "GPL-3.0", None, None, None, False)]
    text = page(terms=terms).readme()
    assert "of the class **conflict**" in text
    assert "No single licence meets all of these duties" in text


def test_the_chart_is_told_in_words() -> None:
    assert (
        "![Rows by category: Chart 93.3%, Screen 6.7%. Largest datasets: a 100.0%.](composition.png)" in page().readme()
    )


def test_text_of_cards_stays_inside_its_cell() -> None:
    text = page().readme()
    (line,) = [line for line in text.splitlines() if line.startswith("| a | [org/a]")]
    assert "CC \\| BY 4.0 &lt;script>" in line
    assert "<script>" not in text.split("---\n", maxsplit=2)[2]


def test_composition_counts_what_filters_dropped() -> None:
    text = page().readme()
    assert "| a | all | 1,500 | 100.0% | 2,000 | size.px: 5 |" in text
    assert "| Chart | 1,400 | 93.3% |" in text


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
