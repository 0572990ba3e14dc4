"""``curator licences``: classes of datasets, the verdict over all of them, and what strict does not let through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import write_card


@pytest.fixture(autouse=True)
def home(home_path: Path) -> Home:
    opened = Home(home_path)
    terms = {
        "zz-free": {"annotations": "mit", "images": "cc0-1.0"},
        "zz-alike": {"annotations": "CC BY-SA 4.0", "images": "cc-by-4.0"},
        "zz-copyleft": {"annotations": "gpl-3.0", "images": "cc-by-4.0"},
        "zz-scientific": {"annotations": "cc-by-nc-4.0", "generator_terms": "OpenAI"},
    }
    for name, licence in terms.items():
        write_card(opened, name, format="llava_chat", licence=licence)
    write_card(opened, "zz-text", format="alpaca", licence={"annotations": "mit"}, pictures={"regime": "none"})
    return opened


def test_each_dataset_and_all_together(curator: Curator) -> None:
    told = json.loads(curator("licences", "zz-free", "zz-alike", "zz-text", "--json").stdout)
    assert {row["dataset"]: row["class"] for row in told["datasets"]} == {
        "zz-alike": "share-alike",
        "zz-free": "attribution",
        "zz-text": "attribution",
    }
    assert told["together"] == {
        "class": "share-alike",
        "unknown": 0,
        "commercial": True,
        "changes": True,
        "attribution": True,
        "copies": True,
        "share_alike": ["cc-by-sa"],
    }


def test_strict_refuses_the_unknown_and_what_cannot_be_met_together(curator: Curator) -> None:
    assert curator("licences", "zz-free", "zz-alike", "--policy", "strict").exit_code == 0
    unknown = curator("licences", "zz-free", "zz-scientific", "--policy", "strict")
    assert unknown.exit_code == 1
    assert "the terms of zz-scientific are not known" in unknown.stderr
    assert "forbidden" in unknown.stdout
    conflict = curator("licences", "zz-alike", "zz-copyleft", "--policy", "strict")
    assert conflict.exit_code == 1
    assert "cc-by-sa and gpl at once" in conflict.stderr
    assert curator("licences", "zz-alike", "zz-copyleft").exit_code == 0


def test_a_name_that_is_not_known_is_refused_with_the_nearest(curator: Curator) -> None:
    assert "did you mean 'zz-free'" in curator("licences", "zz-fre").stderr
