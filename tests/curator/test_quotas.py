from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.quotas import wanted_rows
from registry.errors import Refusal
from registry.recipe import Quota, Recipe

THERE = {"chart": 100, "ocr": 50, "captioning": 10}


def quotas(**said: dict[str, Any]) -> dict[str, Quota]:
    return {slug: Quota.model_validate(quota) for slug, quota in said.items()}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, THERE),
        ({"chart": {"choose": 7}}, {**THERE, "chart": 7}),
        ({"chart": {"at_most": 7}, "ocr": {"at_most": 70}}, {**THERE, "chart": 7}),
        ({"chart": {"at_most": 0}}, {**THERE, "chart": 0}),
        ({"chart": {"share": 0.5}}, {"chart": 60, "ocr": 50, "captioning": 10}),
        ({"chart": {"share": 0.25}, "ocr": {"choose": 20}}, {"chart": 10, "ocr": 20, "captioning": 10}),
        # Every category has a share: the scarcest decides.
        (
            {"chart": {"share": 0.5}, "ocr": {"share": 0.3}, "captioning": {"share": 0.2}},
            {"chart": 25, "ocr": 15, "captioning": 10},
        ),
        ({"screen": {"at_most": 5}}, {**THERE, "screen": 0}),
    ],
)
def test_rows_of_each_category(asked: dict[str, Any], wanted: dict[str, int]) -> None:
    assert wanted_rows(THERE, quotas(**asked), "recipe 'm'") == wanted


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"ocr": {"choose": 51}}, "51 rows of category 'ocr' are asked for and 50 are there"),
        ({"screen": {"choose": 1}}, "1 rows of category 'screen' are asked for and 0 are there"),
        ({"captioning": {"share": 0.5}}, "category 'captioning' is to have 150 of 300 rows, and 10 are there"),
        (
            {"chart": {"share": 0.2}, "ocr": {"share": 0.2}, "captioning": {"at_most": 0}},
            "the shares of categories add up to 0.4, and no row is of a category without one",
        ),
        ({"chart": {"share": 1}}, "the shares of categories add up to 1, and 60 rows are of categories without one"),
    ],
)
def test_what_cannot_be_met_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(Refusal) as refusal:
        wanted_rows(THERE, quotas(**asked), "recipe 'm'")
    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"chart": {"choose": 1, "share": 0.5}}, "exactly one"),
        ({"chart": {}}, "exactly one"),
        ({"charts": {"choose": 1}}, "unknown category 'charts'; did you mean 'chart'"),
        ({"chart": {"share": 0.7}, "ocr": {"share": 0.4}}, "add up to 1.1"),
    ],
)
def test_quotas_that_make_no_sense_are_refused(said: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", r"\?")):
        Recipe.model_validate({"name": "m", "parts": [{"dataset": "d"}], "categories": said})


@given(
    there=st.dictionaries(st.sampled_from(["chart", "ocr", "document", "screen"]), st.integers(0, 10_000), min_size=2),
    percent=st.dictionaries(st.sampled_from(["chart", "ocr"]), st.integers(1, 45), min_size=1),
)
def test_shares_are_met_to_the_nearest_row_or_refused(there: dict[str, int], percent: dict[str, int]) -> None:
    asked = {slug: Quota(share=value / 100) for slug, value in percent.items()}
    try:
        found = wanted_rows(there, asked, "recipe 'm'")
    except Refusal:
        return
    assert all(found[slug] == there[slug] for slug in there if slug not in asked)
    total = sum(found.values())
    for slug, value in percent.items():
        assert found[slug] <= there.get(slug, 0)
        assert abs(found[slug] - total * Fraction(value, 100)) <= 1
