"""Real published data, where a folder of it is at hand: ``CURATOR_REAL_DATA`` names it. Skipped without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curator.measure import measure, ready_filters
from curator.mix import build_mix
from curator.normalise import normalise
from curator.pull import offer_from_folder, pull
from curator.samples import Samples, find_samples
from registry.card import load_card
from registry.mix import MixReader
from registry.recipe import Recipe
from registry.store import Home
from tests.curator.data_home import rows_of

FOLDER = os.environ.get("CURATOR_REAL_DATA")
pytestmark = pytest.mark.skipif(not FOLDER, reason="CURATOR_REAL_DATA names no folder")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("real"))


def real(home: Home, name: str) -> Samples:
    """The samples of one dataset of the folder, pulled with its packaged card."""
    card = load_card(name)
    made = pull(home, offer_from_folder(card, Path(str(FOLDER)) / name))
    normalise(home, card, made.folder)
    return find_samples(home, name)


def test_openmoji(home: Home) -> None:
    samples = real(home, "openmoji")
    assert (samples.record.rows_in, samples.record.rows_out) == (2464, 2464)
    first = rows_of(samples.folder)[0]
    assert (first["source_id"], first["images"][0]["width"]) == ("1F600", 96)
    assert first["messages"][1]["content"] == [{"type": "text", "text": "grinning face"}]


def test_tabmwp_is_recognised_by_its_original_columns(home: Home) -> None:
    samples = real(home, "tabmwp")
    assert samples.record.settings["form"]["format"] == "tabmwp"
    assert (samples.record.rows_in, samples.record.rows_out) == (1000, 1000)
    by_id = {row["source_id"]: row for row in rows_of(samples.folder)}
    question, reply = (message["content"][-1]["text"] for message in by_id["33"]["messages"])
    assert question.startswith("The table shows a function. Is the function linear or nonlinear?\nA. linear\nB. nonl")
    assert reply == "B"


def test_both_are_measured_and_mixed(home: Home) -> None:
    for name in ("openmoji", "tabmwp"):
        samples = real(home, name)
        for filter_name in ready_filters():
            assert measure(home, samples, filter_name).record.rows_out == samples.record.rows_out
    recipe = Recipe.model_validate(
        {
            "name": "real",
            "parts": [
                {"dataset": "openmoji", "filters": {"text_length": {"answer_words": {"min": "2"}}}},
                {"dataset": "tabmwp", "choose": "500", "filters": {"image_size": {"aspect": {"max": "2.5"}}}},
            ],
        }
    )
    folder, info = build_mix(home, recipe)
    assert info.datasets == {"openmoji": 1732, "tabmwp": 500}
    assert [part.dropped for part in info.parts] == [{"text_length.answer_words": 732}, {"image_size.aspect": 70}]
    reader = MixReader(home, folder)
    assert all(reader.messages(reader.rows()))
