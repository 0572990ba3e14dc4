"""What the signs say of samples by themselves; the golden rows of all cards are where dead signs show."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pyarrow as pa
import pytest

from curator.batch import Batch
from curator.categories.findings import judged
from curator.categories.signs import SIGNS, Said, points
from registry.sample import arrow_schema, conversation, sample_id
from registry.taxonomy import SLUGS
from tests.speed.categories import fixtures

WORD = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."
CASES = [
    ("captioning", [("Describe the image in detail.", "A harbour at dusk, with two boats and a pier.")]),
    ("captioning", [("Describe the scene.", "A pier, a crane and a row of sheds. " * 10)]),
    ("general_qa", [(f"What color is the bus?{WORD}", "red")]),
    ("science", [(f"Which of these is a predator in this food web?\nA. fox\nB. grass{LETTER}", "A")]),
    ("chart", [(f"Which line of the graph is the highest in 2010?{WORD}", "Exports")]),
    ("mathematics", [(f"How much money does Ann need to buy 3 pens? (Unit: $){WORD}", "4.50")]),
    ("mathematics", [(f"In circle O the chord AB is 8, so what is the radius?{WORD}", "5")]),
    ("knowledge", [(f"Who is the person in the image married to?{WORD}", "Orla Testperson")]),
    ("ocr", [(f"What is written on the sign?{WORD}", "EXIT")]),
    ("document", [(f"To whom is the letter addressed, and on which page?{WORD}", "Mr Hill")]),
    ("grounding", [("Where is the dog?", "[0.1, 0.2, 0.35, 0.8]")]),
    ("grounding", [("Describe this region: [0.31, 0.12, 0.58, 0.77].", "a boy in the air")]),
    (
        "conversation",
        [
            ("What are they doing?", "They seem to be waiting for the ferry to arrive."),
            ("Why might they be early?", "The ferry is often full on sunny days, so it pays to queue."),
        ],
    ),
    ("screen", [("What is the status of the Wi-Fi switch?", "off")]),
]


def sample(turns: list[tuple[str, str]], pictures: int = 1) -> dict[str, object]:
    """A row of a samples file."""
    said = [(role, text) for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)]
    said[0] = ("user", "<image>" * pictures + said[0][1])
    messages = conversation(said)
    images = [{"sha256": f"{number:064}", "width": 40, "height": 30} for number in range(pictures)]
    identity = sample_id(messages, [f"{number:064}" for number in range(pictures)])
    names = {"dataset": "x", "part": "all", "source_id": "1", "category": "captioning"}
    return {"id": identity, **names, "images": images, "messages": messages}


def found(*samples: dict[str, object]) -> list[str]:
    """What the signs alone find."""
    said = points(Batch(pa.Table.from_pylist(list(samples), schema=arrow_schema())))
    return judged(said, np.zeros(said.points.shape)).category


@pytest.mark.parametrize(("category", "turns"), CASES)
def test_signs_tell_the_categories_apart(category: str, turns: list[tuple[str, str]]) -> None:
    assert found(sample(turns)) == [category]


def test_what_has_no_picture_is_text_whatever_it_says_and_only_that() -> None:
    every = [turns for _, turns in CASES]
    assert set(found(*(sample(turns, pictures=0) for turns in every))) == {"text_only"}
    assert "text_only" not in found(*(sample(turns, pictures=2) for turns in every))


def test_a_sample_is_judged_by_itself() -> None:
    samples = [sample(turns) for _, turns in CASES]
    assert found(*samples) == [one for each in samples for one in found(each)]
    assert found() == []


def test_every_sign_has_known_categories_and_holds_somewhere() -> None:
    table = pa.concat_tables([known.table for known in fixtures()])
    said = Said.of(Batch(table.combine_chunks()))
    own = Said.of(Batch(pa.Table.from_pylist([sample(turns) for _, turns in CASES], schema=arrow_schema())))
    dead = [sign.name for sign in SIGNS if not (sign.holds(said).any() or sign.holds(own).any())]
    assert dead == []
    assert {category for sign in SIGNS for category in sign.points} == set(SLUGS)
    assert len({sign.name for sign in SIGNS}) == len(SIGNS)


def test_golden_rows_are_found_as_often_as_it_was_measured() -> None:
    """A floor under what ``python -m tests.speed.categories`` reports, each dataset with the same weight."""
    shares = [fmean(a == b for a, b in zip(one.categories, _found(one.table), strict=True)) for one in fixtures()]
    assert fmean(shares) > 0.8


def _found(table: pa.Table) -> list[str]:
    said = points(Batch(table))
    return judged(said, np.zeros(said.points.shape)).category
