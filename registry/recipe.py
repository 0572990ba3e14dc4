"""A recipe: which datasets, how much of each, filtered how. Resolving and drawing is ``curator.mix``'s work."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from registry.discovery import names
from registry.errors import Refusal, did_you_mean
from registry.store import Home
from registry.taxonomy import SLUGS
from registry.yaml_file import StrictModel, load

PACKAGED = Path(__file__).parent / "recipes"


class Bounds(StrictModel):
    """What a measured column must satisfy for a row to stay; of several limits all hold.

    ``lowest`` and ``highest`` are shares of all samples of the dataset (or of its part) that have a value, whatever
    other bounds drop: 0.2 keeps the fifth with the lowest values.
    """

    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)
    equals: str | None = None
    lowest: float | None = Field(default=None, gt=0, le=1)
    highest: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_at_least(self) -> Bounds:
        if all(limit is None for limit in (self.min, self.max, self.equals, self.lowest, self.highest)):
            raise ValueError("give min, max, equals, lowest or highest")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is more than max {self.max:g}: nothing would stay")
        return self

    def and_also(self, other: Bounds) -> Bounds:
        """Both at once: of two limits the tighter one. Raises ValueError where they leave nothing."""
        both: dict[str, Any] = self.model_dump(exclude_none=True)
        for name, limit in other.model_dump(exclude_none=True).items():
            there = both.get(name, limit)
            if name == "equals" and there != limit:
                raise ValueError(f"a value cannot be '{there}' and '{limit}'")
            both[name] = max(there, limit) if name == "min" else min(there, limit)
        return Bounds.model_validate(both)


class Alike(NamedTuple):
    """One way in which two samples are the same: how near their texts must be, and how near their pictures."""

    text: Literal["identical", "exact", "near"] | None
    """Identical: byte for byte; exact: word for word. None: whatever their texts are."""
    image: Literal["exact", "near"] | None
    """None: whatever their pictures are."""

    @classmethod
    def of(cls, text: str) -> Alike:
        """``near-text``, ``exact-text+near-image`` and so on; raises ValueError for anything else."""
        kinds = text.split("+")
        texts: tuple[Literal["identical", "exact", "near"], ...] = ("identical", "exact", "near")
        wanted = cls(
            next((kind for kind in texts if f"{kind}-text" in kinds), None),
            "exact" if "image" in kinds else "near" if "near-image" in kinds else None,
        )
        if sorted(kinds) != sorted(str(wanted).split("+")):
            kinds_known = "identical-text, exact-text, near-text, image, near-image"
            raise ValueError(f"'{text}' is none of {kinds_known}, nor one of text and one of image joined by '+'")
        return wanted

    def exact(self) -> Alike:
        """The way of being exactly the same that this one contains, or is."""
        return Alike("exact" if self.text == "near" else self.text, "exact" if self.image else None)

    def __str__(self) -> str:
        image = {"exact": "image", "near": "near-image", None: None}[self.image]
        return "+".join(kind for kind in (self.text and f"{self.text}-text", image) if kind)


class Banding(NamedTuple):
    """How texts are cut into shingles, and MinHash signatures of these into bands."""

    words: int
    """Words of a shingle; a shorter text is one shingle."""
    bands: int
    rows: int
    """Hashes of a band."""

    def recall(self, similarity: float) -> float:
        """Share of the pairs of this Jaccard similarity that are found: those with an equal band."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)


HASHES = 256
"""Hashes of a signature, about, where a recipe does not say how many bands and rows."""
ROWS = (8, 6, 5, 4, 3, 2, 1)
RECALL = 0.99
"""Least share of the pairs at the threshold that such bands find."""


class Dedup(StrictModel):
    """What counts as a duplicate. Of those that are the same, the row of the earliest dataset stays."""

    by: list[str] = Field(default=["near-text+near-image"], min_length=1)
    """Ways of being the same, any of which is enough: ``identical-text`` (byte for byte), ``exact-text`` (without
    regard to case, punctuation and white space), ``near-text``, ``image``, ``near-image``, or one for the text and one
    for the pictures joined by ``+``, which must both hold."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """Least Jaccard similarity of the shingles of texts that are near."""
    distance: int = Field(default=6, ge=0, le=12)
    """Bits of 64 in which the perceptual hashes of near pictures differ at most."""
    words: int = Field(default=5, ge=1, le=64)
    """Words of a shingle."""
    bands: int | None = Field(default=None, ge=1, le=256)
    """Bands of a MinHash signature: more find more pairs and cost more. By default as the threshold asks for."""
    rows: int | None = Field(default=None, ge=1, le=64)
    """Hashes of a band: more find fewer pairs that are not near."""
    scope: Literal["mix", "dataset"] = "mix"
    """Whether duplicates are looked for among all datasets together, or in each alone."""
    against: list[str] = Field(default_factory=list)
    """Datasets that are not in the mix: whatever is the same as a row of theirs is dropped."""

    @field_validator("by")
    @classmethod
    def _known(cls, by: list[str]) -> list[str]:
        return list(dict.fromkeys(str(Alike.of(text)) for text in by))

    @model_validator(mode="after")
    def _both_or_none(self) -> Dedup:
        if (self.bands is None) != (self.rows is None):
            raise ValueError("give both of bands and rows, or none of them")
        return self

    def banding(self) -> Banding:
        """The bands that are asked for, or of the strictest rows those that find what is at the threshold."""
        if self.bands is not None and self.rows is not None:
            return Banding(self.words, self.bands, self.rows)
        ways = [Banding(self.words, HASHES // rows, rows) for rows in ROWS]
        return next((one for one in ways if one.recall(self.threshold) >= RECALL), ways[-1])

    def ways(self) -> list[Alike]:
        """``by``, taken apart."""
        return [Alike.of(text) for text in self.by]


class Labels(StrictModel):
    """Where the categories of samples come from."""

    by: Literal["rules", "general"]
    """``rules``: the rules of the card. ``general``: the general classifier, which needs none."""
    confidence: float = Field(default=0.6, ge=0, le=1)
    """A sample keeps the category of its card where the general classifier is less sure."""
    learned_from: list[str] = Field(default_factory=list)
    """Datasets that the general classifier learns from, beside its own signs; a dataset never learns from itself."""

    @model_validator(mode="after")
    def _rules_learn_nothing(self) -> Labels:
        if self.by == "rules" and self.model_fields_set - {"by"}:
            raise ValueError("confidence and learned_from go with 'by: general'")
        return self


class Decontaminate(StrictModel):
    """What is done with samples that hold questions or pictures of benchmarks."""

    benchmarks: list[str] = Field(min_length=1)
    """Benchmarks of the registry whose tables lie in the data home."""
    policy: Literal["drop", "refuse", "report"] = "drop"
    """Drop such samples, refuse to build a mix that has any, or only count them."""
    verdicts: list[Literal["leak", "picture", "text"]] = Field(default=["leak"], min_length=1)
    """What is meant: a question with its picture, its picture with another text, its text with another picture."""
    overlap: float = Field(default=0.7, ge=0.3, le=1)
    """Share of a question from which on a sample holds it."""


class Quota(StrictModel):
    """How many rows of one category a recipe takes: exactly one of the three."""

    choose: int | None = Field(default=None, ge=1)
    """This many, drawn by seed; an error where there are fewer."""
    at_most: int | None = Field(default=None, ge=0)
    """No more than this many, drawn by seed; 0 leaves the category out."""
    share: float | None = Field(default=None, gt=0, le=1)
    """This share of all rows of the recipe. Rows of categories without a share are all kept, and decide how many that
    are; where every category has one, as many rows as the scarcest category allows."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Quota:
        if sum(value is not None for value in (self.choose, self.at_most, self.share)) != 1:
            raise ValueError("give exactly one of choose, at_most and share")
        return self


class RecipePart(StrictModel):
    """One dataset (or a part of it), or another recipe, and how much of it.

    Exactly one of ``proportion | repeat | choose`` says how much; none of them means all of it once.
    """

    dataset: str | None = None
    recipe: str | None = None
    part: str | None = None
    """Only the samples of this part of the dataset."""
    category: str | None = None
    """Only the samples of this category, as the card or what ``labels`` says has it."""
    proportion: float | None = Field(default=None, gt=0)
    """Share of the (filtered) rows, 0.5 = half of them."""
    repeat: int | None = Field(default=None, ge=1)
    """Every row this many times."""
    choose: int | None = Field(default=None, ge=1)
    """This many rows, drawn by seed."""
    at_most: int | None = Field(default=None, ge=1)
    """No more rows than this, after the draw above: a cap for what may grow."""
    filters: dict[str, dict[str, Bounds]] = Field(default_factory=dict)
    """Filter -> column -> bounds."""
    labels: Labels | None = None
    """Instead of what the recipe says of labels."""

    @model_validator(mode="after")
    def _unambiguous(self) -> RecipePart:
        if (self.dataset is None) == (self.recipe is None):
            raise ValueError("give exactly one of dataset and recipe")
        given = [name for name in ("proportion", "repeat", "choose") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} were both given: choose one")
        if self.proportion is not None and self.proportion > 1:
            raise ValueError("proportion is at most 1; use repeat to see rows more than once")
        for name in ("part", "category"):
            if self.recipe is not None and getattr(self, name) is not None:
                raise ValueError(f"{name} goes with dataset, not with recipe")
        if self.category is not None and self.category not in SLUGS:
            raise ValueError(f"unknown category '{self.category}'{did_you_mean(self.category, SLUGS)}")
        return self


class Recipe(StrictModel):
    """A named list of parts and one seed from which every draw is derived."""

    name: str
    seed: int = 0
    parts: list[RecipePart] = Field(min_length=1)
    filters: dict[str, dict[str, Bounds]] = Field(default_factory=dict)
    """Filters that hold for every part of this recipe."""
    dedup: Dedup | None = None
    """Duplicates among what the filters leave are dropped before anything is drawn."""
    labels: Labels | None = None
    """Where the categories come from; without it, from the cards. An inner recipe or a part may say otherwise."""
    decontaminate: Decontaminate | None = None
    """What benchmarks' questions and pictures mean for this recipe; before duplicates are looked for."""
    categories: dict[str, Quota] = Field(default_factory=dict)
    """Category -> how many of its rows are taken of all parts together, before a recipe around this one draws."""
    licences: Literal["known", "commercial"] | None = None
    """Refuse to build a mix of datasets whose terms nobody has established (known), or that are not free for
    commercial use either (commercial)."""
    models: dict[str, str] = Field(default_factory=dict)
    """Filter -> the model it measures with, for the filters written in this recipe: a folder, or a repository on the
    Hub (``org/name@revision``). Its files are what counts, not where they lie."""
    note: str | None = None

    @field_validator("categories")
    @classmethod
    def _sound_quotas(cls, quotas: dict[str, Quota]) -> dict[str, Quota]:
        for slug in quotas:
            if slug not in SLUGS:
                raise ValueError(f"unknown category '{slug}'{did_you_mean(slug, SLUGS)}")
        total = sum(Fraction(str(quota.share)) for quota in quotas.values() if quota.share is not None)
        if total > 1:
            raise ValueError(f"the shares of categories add up to {float(total):g}, which is more than 1")
        return quotas

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


def _is_path(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) or "/" in name


def _beside(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the files of inner recipes found from its own folder."""
    parts = []
    for part in recipe.parts:
        found = str((folder / part.recipe).absolute()) if part.recipe and _is_path(part.recipe) else part.recipe
        parts.append(part.model_copy(update={"recipe": found}))
    return recipe.model_copy(update={"parts": parts})


def load_recipe(name_or_path: str, home: Home | None = None) -> Recipe:
    """A recipe by name, or from a file (anything that ends in ``.yaml`` or has a path part)."""
    if _is_path(name_or_path):
        return _beside(load(Path(name_or_path), Recipe), Path(name_or_path).parent)
    files = recipe_files(home)
    if name_or_path not in files:
        hint = did_you_mean(name_or_path, files)
        raise Refusal(f"recipe '{name_or_path}'", f"there is none of that name{hint}", "give a name or a .yaml file")
    return load(files[name_or_path], Recipe)
