"""The paper's recipes: the baselines, all of Table 3, the improved baseline and each candidate; built from fixtures."""

from __future__ import annotations

import pytest

from curator.mix import build_mix
from registry.card import load_cards
from registry.recipe import load_recipe, recipe_files
from registry.store import Home
from tests.curator.picture_server import PictureServer
from tests.datasets.test_cards import made_from
from tests.hub.server import Hub

BASELINE, BASELINE_CARD = "llava-1.5-improved", "sharegpt4v-mix665k"
CARDS = load_cards()
UNITS = sorted({part.table3_unit for card in CARDS.values() for part in card.parts if part.table3_unit})
Rows = set[tuple[str, str]]
"""Dataset and part."""


def of_unit(unit: str) -> Rows:
    return {(name, part.name) for name, card in CARDS.items() for part in card.parts if part.table3_unit == unit}


def named(recipe: str) -> Rows:
    """Datasets and parts that a recipe names, those of the baseline left out."""
    found: Rows = set()
    for part in load_recipe(recipe).parts:
        if part.recipe is not None:
            assert part.recipe == BASELINE
            continue
        parts = [one.name for one in CARDS[part.dataset or ""].parts]
        found |= {(part.dataset or "", name) for name in parts if part.part in (None, name)}
    return found


def test_every_unit_of_table_3_has_a_recipe_with_the_baseline() -> None:
    start = "improved-plus-"
    assert sorted(name.removeprefix(start) for name in recipe_files() if name.startswith(start)) == UNITS
    assert len(UNITS) == 37


@pytest.mark.parametrize("unit", UNITS)
def test_a_candidate_recipe_is_the_baseline_and_the_unit(unit: str) -> None:
    assert named(f"improved-plus-{unit}") == of_unit(unit)


def test_table3_all_is_the_baseline_and_every_unit() -> None:
    assert named("table3-all") == {pair for unit in UNITS for pair in of_unit(unit)}


def test_the_paper_s_recipes_are_built(hub: Hub, web: PictureServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("paper")
    home = Home(root / "home")
    wanted = [name for name, card in CARDS.items() if card.role in ("table3", "baseline", "improved_baseline")]
    kept = {name: made_from(name, hub, web, root / name, home).record.rows_out for name in wanted}
    for recipe in ("llava-1.5-665k", BASELINE, *(f"improved-plus-{unit}" for unit in UNITS)):
        folder, info = build_mix(home, load_recipe(recipe, home))
        assert info.samples == sum(part.available for part in info.parts) > 0
        assert folder.name.startswith(recipe)
    _, whole = build_mix(home, load_recipe("table3-all", home))
    assert set(whole.datasets) == {BASELINE_CARD, *(name for unit in UNITS for name, _ in of_unit(unit))}
    assert whole.samples <= sum(kept.values())
