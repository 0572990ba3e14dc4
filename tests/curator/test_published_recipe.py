"""The published recipe builds the same mix again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curator.mix import build_mix
from curator.published_recipe import recipe_files, revision_of
from registry.mix import MixInfo, MixReader
from registry.recipe import Bounds, Recipe, RecipePart, load_recipe
from tests.curator.publish_home import make_home


def rebuilt(info: MixInfo, folder: Path) -> Recipe:
    """The recipe of a mix, written to files and read again."""
    for name, data in recipe_files(info).items():
        (folder / name).write_bytes(data)
    return load_recipe("./recipe.json")


def test_nested_recipes_build_the_same_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, folder = make_home(tmp_path)
    info = MixReader(home, folder).info
    monkeypatch.chdir(tmp_path)
    recipe = rebuilt(info, tmp_path)
    assert (recipe.name, recipe.seed) == ("both", 7)
    again, info_again = build_mix(home, recipe)
    assert again == folder, "the identity of the mix is the same"
    folder.rename(tmp_path / "first")
    _, info_again = build_mix(home, recipe)
    assert info_again == info
    for file in (tmp_path / "first").iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_filters_and_parts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _ = make_home(tmp_path, pictures=8)
    bounds = {"image_size": {"short_side_px": Bounds(min=16)}}
    part = RecipePart(dataset="shapes", part="train", proportion=0.5, filters=bounds)
    _, info = build_mix(home, Recipe(name="filtered", parts=[part]))
    monkeypatch.chdir(tmp_path)
    _, again = build_mix(home, rebuilt(info, tmp_path))
    assert again.recipe_digest == info.recipe_digest


def test_quotas_caps_and_the_licence_policy_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _ = make_home(tmp_path, pictures=8)
    parts = [{"dataset": "shapes", "repeat": 2, "at_most": 10}, {"dataset": "sums"}]
    quotas = {"captioning": {"share": 0.2}, "text_only": {"at_most": 20}}
    wanted = {"name": "m", "parts": parts, "categories": quotas, "licences": "known"}
    _, info = build_mix(home, Recipe.model_validate(wanted))
    assert info.categories == {"captioning": 5, "text_only": 20}
    monkeypatch.chdir(tmp_path)
    _, again = build_mix(home, rebuilt(info, tmp_path))
    assert again.recipe_digest == info.recipe_digest


def test_of_two_bounds_on_a_column_the_tighter_one_is_written() -> None:
    def one(**bounds: float) -> dict[str, Any]:
        return {"filter": "f", "measure_digest": "0", "bounds": {"c": bounds}}

    part = {"dataset": "d", "samples": "d@r1-0123", "filters": [one(min=1, max=9), one(min=2), one(max=8)]}
    info = MixInfo(
        name="m", recipe={"seed": 0, "parts": [part]}, recipe_digest="", content_digest="", samples=0, images=0,
        datasets={}, categories={}, parts=[],
    )  # fmt: skip
    written = Recipe.model_validate_json(recipe_files(info)["recipe.json"])
    assert written.parts[0].filters == {"f": {"c": Bounds(min=2, max=8)}}
    assert written.parts[0].dataset == "d@r1"


@pytest.mark.parametrize(
    ("folder", "revision"), [("a@local-0123-beef", "local-0123"), ("a@main-beef", "main"), ("a-beef", "")]
)
def test_revision_of_a_samples_folder(folder: str, revision: str) -> None:
    assert revision_of(folder) == revision
