"""Recipes: exactly one amount a part, every mistake refused, the same text the same thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.errors import Refusal
from registry.identity import digest
from registry.recipe import Bounds, Recipe, RecipePart, load_recipe, recipe_files
from registry.store import Home

PLAIN = """\
name: mine
seed: 7
parts:
  - dataset: demo-charts
    part: numbers
    proportion: 0.5
  - recipe: demo-baseline
  - dataset: demo-flags
    choose: 100
    filters:
      text:
        words: {min: 3, max: 200}
        language: {equals: en}
filters:
  image:
    width: {min: 32}
note: for the tests
"""


def test_the_example_of_the_documentation_says_everything_and_is_sound(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    (tmp_path / "example.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    recipe = load_recipe(str(tmp_path / "example.yaml"))
    assert Recipe.model_fields.keys() - recipe.model_fields_set == {"models"}
    said = set().union(*(part.model_fields_set for part in recipe.parts))
    assert RecipePart.model_fields.keys() - said == {"category", "labels"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    (home.path / "recipes").mkdir(parents=True)
    return home


def write(home: Home, text: str, name: str = "mine") -> Path:
    path = home.path / "recipes" / f"{name}.yaml"
    path.write_text(text)
    return path


def one_part(home: Home, lines: str) -> RecipePart:
    """The only part of a recipe whose part has these lines."""
    indented = "\n    ".join(lines.splitlines())
    [part] = load_recipe(str(write(home, f"name: mine\nparts:\n  - {indented}\n"))).parts
    return part


def test_a_recipe_is_found_by_name_and_by_file(home: Home) -> None:
    path = write(home, PLAIN)
    recipe = load_recipe("mine", home)
    assert recipe == load_recipe(str(path))
    assert (recipe.name, recipe.seed, len(recipe.parts)) == ("mine", 7, 3)
    assert recipe.parts[0] == RecipePart(dataset="demo-charts", part="numbers", proportion=0.5)
    assert recipe.parts[1] == RecipePart(recipe="demo-baseline")
    assert recipe.parts[2].filters["text"] == {"words": Bounds(min=3, max=200), "language": Bounds(equals="en")}
    assert recipe.filters == {"image": {"width": Bounds(min=32)}}
    assert set(recipe_files(home)) == {*recipe_files(), "mine"}


def test_an_unknown_recipe_is_refused_with_the_nearest(home: Home) -> None:
    write(home, PLAIN)
    with pytest.raises(Refusal, match="did you mean 'mine'"):
        load_recipe("mien", home)
    with pytest.raises(Refusal, match="cannot be read"):
        load_recipe("mien.yaml", home)
    with pytest.raises(Refusal, match="cannot be read"):
        load_recipe("../recipes/absent", home)


def test_a_part_without_an_amount_is_all_of_it_once(home: Home) -> None:
    part = one_part(home, "dataset: demo-charts")
    assert (part.proportion, part.repeat, part.choose) == (None, None, None)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("proportion: 0.5", "give exactly one of dataset and recipe"),
        ("dataset: a\nrecipe: b", "give exactly one of dataset and recipe"),
        ("dataset: a\nproportion: 0.5\nrepeat: 2", "proportion and repeat were both given: choose one"),
        ("dataset: a\nrepeat: 2\nchoose: 9", "repeat and choose were both given: choose one"),
        ("recipe: a\npart: b", "part goes with dataset, not with recipe"),
        ("dataset: a\nproportion: 1.5", "proportion is at most 1; use repeat"),
        ("dataset: a\nproportion: 0", "greater than 0"),
        ("dataset: a\nproportion: -0.1", "greater than 0"),
        ("dataset: a\nproportion: nan", "finite number"),
        ("dataset: a\nproportion: half", "valid number"),
        ("dataset: a\nrepeat: 0", "greater than or equal to 1"),
        ("dataset: a\nrepeat: 1.5", "valid integer"),
        ("dataset: a\nchoose: 0", "greater than or equal to 1"),
        ("dataset: a\nfilters: {text: {words: {}}}", "give min, max, equals, lowest or highest"),
        ("dataset: a\nfilters: {text: {words: {minimum: 3}}}", "unknown field 'parts.0.filters.text.words.minimum'"),
        ("dataset: a\nfilters: {text: {words: {min: inf}}}", "finite number"),
        ("dataset: a\nfilters: {text: {words: {lowest: 0}}}", "greater than 0"),
        ("dataset: a\nfilters: {text: {words: {highest: 1.2}}}", "less than or equal to 1"),
        ("dataset: a\nfilters: {text: 3}", "valid dictionary"),
        ("dataset: a\npropotion: 0.5", "did you mean 'proportion'?"),
    ],
)
def test_a_part_that_could_mean_two_things_is_refused(home: Home, lines: str, what: str) -> None:
    with pytest.raises(Refusal) as caught:
        one_part(home, lines)
    assert what in caught.value.what
    assert f"{home.path / 'recipes' / 'mine.yaml'}:" in caught.value.where


def test_a_recipe_needs_a_part(home: Home) -> None:
    with pytest.raises(Refusal, match="at least 1 item"):
        load_recipe(str(write(home, "name: mine\nparts: []\n")))


def test_a_model_is_for_a_filter_of_the_same_recipe(home: Home) -> None:
    text = "name: mine\nparts:\n  - dataset: a\n    filters: {f: {c: {lowest: 0.2}}}\nmodels: {f: org/name@v1}\n"
    assert load_recipe(str(write(home, text))).models == {"f": "org/name@v1"}
    with pytest.raises(Refusal, match="models names 'g', which no filter of this recipe uses"):
        load_recipe(str(write(home, text.replace("models: {f:", "models: {g:"))))


def test_the_plain_form_is_what_was_written_and_nothing_else(home: Home) -> None:
    recipe = load_recipe(str(write(home, PLAIN)))
    plain = recipe.plain()
    assert plain["parts"][1] == {"recipe": "demo-baseline"}
    assert plain["parts"][2]["filters"]["text"]["words"] == {"min": 3.0, "max": 200.0}
    assert Recipe.model_validate(plain) == recipe
    assert Recipe.model_validate(plain).plain() == plain


def test_spelling_a_number_another_way_is_the_same_recipe(home: Home) -> None:
    one = load_recipe(str(write(home, PLAIN)))
    two = load_recipe(str(write(home, PLAIN.replace("0.5", "5e-1").replace("min: 3,", "min: 3.0,"))))
    assert digest(one.plain()) == digest(two.plain())
    assert digest(one.plain()) != digest(load_recipe(str(write(home, PLAIN.replace("0.5", "0.6")))).plain())
