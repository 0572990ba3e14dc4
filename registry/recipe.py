"""A recipe: which datasets, how much of each, filtered how. Resolving and drawing is ``curator.mix``'s work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from registry.discovery import names
from registry.errors import Refusal, did_you_mean
from registry.store import Home
from registry.yaml_file import StrictModel, load

PACKAGED = Path(__file__).parent / "recipes"


class Bounds(StrictModel):
    """What a measured column must satisfy for a row to stay; of several limits all hold.

    ``lowest`` and ``highest`` are shares of all samples of the dataset (or of its part) that have a value, whatever
    other bounds drop: 0.2 keeps the fifth with the lowest values.
    """

    min: float | None = None
    max: float | None = None
    equals: str | None = None
    lowest: float | None = Field(default=None, gt=0, le=1)
    highest: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_at_least(self) -> Bounds:
        if all(limit is None for limit in (self.min, self.max, self.equals, self.lowest, self.highest)):
            raise ValueError("give min, max, equals, lowest or highest")
        return self


class RecipePart(StrictModel):
    """One dataset (or a part of it), or another recipe, and how much of it.

    Exactly one of ``proportion | repeat | choose`` says how much; none of them means all of it once.
    """

    dataset: str | None = None
    recipe: str | None = None
    part: str | None = None
    """Only the samples of this part of the dataset."""
    proportion: float | None = Field(default=None, gt=0)
    """Share of the (filtered) rows, 0.5 = half of them."""
    repeat: int | None = Field(default=None, ge=1)
    """Every row this many times."""
    choose: int | None = Field(default=None, ge=1)
    """This many rows, drawn by seed."""
    filters: dict[str, dict[str, Bounds]] = Field(default_factory=dict)
    """Filter -> column -> bounds."""

    @model_validator(mode="after")
    def _unambiguous(self) -> RecipePart:
        if (self.dataset is None) == (self.recipe is None):
            raise ValueError("give exactly one of dataset and recipe")
        given = [name for name in ("proportion", "repeat", "choose") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} were both given: choose one")
        if self.proportion is not None and self.proportion > 1:
            raise ValueError("proportion is at most 1; use repeat to see rows more than once")
        if self.recipe is not None and self.part is not None:
            raise ValueError("part goes with dataset, not with recipe")
        return self


class Recipe(StrictModel):
    """A named list of parts and one seed from which every draw is derived."""

    name: str
    seed: int = 0
    parts: list[RecipePart] = Field(min_length=1)
    filters: dict[str, dict[str, Bounds]] = Field(default_factory=dict)
    """Filters that hold for every part of this recipe."""
    models: dict[str, str] = Field(default_factory=dict)
    """Filter -> the model it measures with, for the filters written in this recipe: a folder, or a repository on the
    Hub (``org/name@revision``). Its files are what counts, not where they lie."""
    note: str | None = None

    @model_validator(mode="after")
    def _models_are_used(self) -> Recipe:
        used = {*self.filters, *(name for part in self.parts for name in part.filters)}
        unused = sorted(self.models.keys() - used)
        if unused:
            raise ValueError(f"models names '{unused[0]}', which no filter of this recipe uses")
        return self

    def plain(self) -> dict[str, Any]:
        """JSON form without what was not given."""
        return self.model_dump(mode="json", exclude_defaults=True)


def recipe_files(home: Home | None = None) -> dict[str, Path]:
    """Recipe name -> file: the packaged ones, then those in the home's ``recipes``."""
    files = {name: PACKAGED / f"{name}.yaml" for name in names(PACKAGED, ".yaml")}
    if home is not None:
        own = home.path / "recipes"
        files |= {name: own / f"{name}.yaml" for name in names(own, ".yaml")}
    return files


def load_recipe(name_or_path: str, home: Home | None = None) -> Recipe:
    """A recipe by name, or from a file (anything that ends in ``.yaml`` or has a path part)."""
    if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
        return load(Path(name_or_path), Recipe)
    files = recipe_files(home)
    if name_or_path not in files:
        hint = did_you_mean(name_or_path, files)
        raise Refusal(f"recipe '{name_or_path}'", f"there is none of that name{hint}", "give a name or a .yaml file")
    return load(files[name_or_path], Recipe)
