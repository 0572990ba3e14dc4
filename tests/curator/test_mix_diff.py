from __future__ import annotations

from typing import Any

import pytest

from curator.mix import build_mix
from curator.mix_diff import MixDiff, Moved, Share, Side, diff_mixes
from registry.mix import MixReader
from registry.recipe import Recipe
from registry.store import Home
from tests.curator.data_home import make_captions, make_chats


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("diff")
    home = Home(folder / "home")
    make_captions(home, folder, "pics", 20)
    parts = [
        {"name": "odd", "category": "mathematics", "rule": {"request": r"[13579] and"}},
        {"name": "rest", "category": "text_only"},
    ]
    make_chats(home, folder, "chats", 30, parts=parts)
    return home


def side(home: Home, *parts: dict[str, Any], **more: Any) -> Side:
    recipe = Recipe.model_validate({"name": "m", "parts": list(parts), **more})
    reader = MixReader(home, build_mix(home, recipe)[0])
    return Side(reader.folder.name, reader.info, reader.rows())


def ids(one: Side) -> set[str]:
    return set(one.rows.column("id").to_pylist())


def test_equal_mixes_have_no_difference(home: Home) -> None:
    one = side(home, {"dataset": "pics"}, {"dataset": "chats"})
    assert diff_mixes(one, one) == MixDiff(
        same_content=True,
        same_rows=True,
        common=50,
        only_in_a=0,
        only_in_b=0,
        first_difference=None,
        shares=[],
        moved=[],
        recipe=[],
        examples={"a": [], "b": []},
    )


def test_another_seed_is_another_order(home: Home) -> None:
    one, other = (side(home, {"dataset": "pics"}, seed=seed) for seed in (1, 2))
    found = diff_mixes(one, other)
    assert (found.same_content, found.same_rows, found.common) == (False, True, 20)
    assert found.recipe == ["seed: 1 -> 2"]
    pairs = zip(one.rows.column("id").to_pylist(), other.rows.column("id").to_pylist(), strict=True)
    assert found.first_difference == next(at for at, (a, b) in enumerate(pairs) if a != b)


def test_rows_of_one_side_are_counted_by_dataset_and_part(home: Home) -> None:
    one = side(home, {"dataset": "pics"}, {"dataset": "chats", "choose": 10})
    other = side(home, {"dataset": "pics", "repeat": 2}, {"dataset": "chats", "choose": 12})
    found = diff_mixes(one, other)
    assert (found.only_in_a, found.only_in_b, found.common) == (0, 22, 30)
    assert found.shares[-1] == Share("pics", "all", 20, 40, 0, 20)
    assert sum(share.only_in_b for share in found.shares if share.dataset == "chats") == 2
    assert found.examples["a"] == []
    assert len(found.examples["b"]) == 5
    assert any("choose" in change for change in found.recipe)


def test_a_mix_that_the_other_begins_with_differs_where_it_ends(home: Home) -> None:
    one = side(home, {"dataset": "pics"})
    shorter = Side("shorter", one.info, one.rows.slice(0, 7))
    assert diff_mixes(one, shorter).first_difference == 7
    assert diff_mixes(shorter, one).first_difference == 7
    nothing = Side("nothing", one.info, one.rows.slice(0, 0))
    assert diff_mixes(nothing, one).first_difference == 0
    assert diff_mixes(nothing, nothing).same_content


def test_rows_under_another_category_are_told(home: Home) -> None:
    one = side(home, {"dataset": "chats"})
    categories = one.rows.column("category").to_pylist()
    index = one.rows.schema.get_field_index("category")
    other = Side("b", one.info, one.rows.set_column(index, "category", [["ocr"] * len(categories)]))
    found = diff_mixes(one, other)
    assert found.same_content
    assert found.moved == [Moved("mathematics", "ocr", 15), Moved("text_only", "ocr", 15)]
