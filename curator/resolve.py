"""Resolve a recipe: nested recipes written out, every samples folder, measure and label set pinned by digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from curator.measure import checked_columns, measure_digest, measure_folder, resolve_model
from curator.models import Model
from curator.reclassify import NAME as LABELS
from curator.reclassify import labels_digest
from curator.samples import Samples, find_samples
from registry.errors import Refusal, did_you_mean
from registry.identity import digest
from registry.mix import MIX_VERSION
from registry.recipe import Bounds, Recipe, RecipePart, load_recipe
from registry.store import Home, is_finished


class Criterion(NamedTuple):
    """Bounds on the columns of a filter, and the model that it measures with, if it needs one."""

    filter: str
    bounds: dict[str, Bounds]
    model: Model | None = None


Filters = list[Criterion]
"""All of them hold."""


class Missing(NamedTuple):
    """A measure that nobody has made yet."""

    samples: Samples
    name: str
    """The filter, or ``labels``."""
    model: Model | None = None


@dataclass(frozen=True)
class Draw:
    """How much is taken: exactly one of the three, or all of it once."""

    proportion: float | None = None
    repeat: int | None = None
    choose: int | None = None

    @classmethod
    def of(cls, part: RecipePart) -> Draw:
        """The draw that a part of a recipe asks for."""
        return cls(part.proportion, part.repeat, part.choose)

    def plain(self) -> dict[str, Any]:
        """JSON form without what was not given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Leaf:
    """Samples of one dataset (or one part of it), filtered and drawn from."""

    samples: Samples
    part: str | None
    filters: Filters
    draw: Draw
    seed: int

    def measures(self) -> dict[str, str]:
        """Filter (or ``labels``) -> digest of every measure this leaf reads."""
        needs = {one.filter: measure_digest(self.samples, one.filter, one.model) for one in self.filters}
        return needs | ({LABELS: labels_digest(self.samples)} if self.samples.relabelled else {})

    def plain(self) -> dict[str, Any]:
        """JSON form with everything pinned."""
        pinned: dict[str, Any] = {
            "dataset": self.samples.card.name,
            "samples": self.samples.folder.name,
            "samples_digest": self.samples.record.digest,
        }
        if self.part is not None:
            pinned["part"] = self.part
        if self.samples.relabelled:
            pinned["labels_digest"] = labels_digest(self.samples)
        if self.filters:
            pinned["filters"] = [
                {
                    "filter": name,
                    "measure_digest": measure_digest(self.samples, name, model),
                    "bounds": {c: b.model_dump(mode="json", exclude_none=True) for c, b in bounds.items()},
                }
                | ({"model": model.identity()} if model is not None else {})
                for name, bounds, model in self.filters
            ]
        return pinned | self.draw.plain()


@dataclass(frozen=True)
class Group:
    """A recipe inside a recipe, or the recipe itself."""

    name: str
    seed: int
    members: list[Leaf | Group]
    draw: Draw

    def plain(self) -> dict[str, Any]:
        """JSON form; the name is for people and no part of the identity."""
        return {"seed": self.seed, "parts": [member.plain() for member in self.members]} | self.draw.plain()

    def leaves(self) -> Iterator[Leaf]:
        """All leaves, in order."""
        for member in self.members:
            if isinstance(member, Leaf):
                yield member
            else:
                yield from member.leaves()

    def digest(self) -> str:
        """Identity of the mix that this recipe makes."""
        return digest({"mix": MIX_VERSION, "recipe": self.plain()})


class Resolver:
    """Resolves recipes against a home; a dataset or a model that many recipes use is looked up once.

    With ``fetch`` a model that lies on the Hub is brought here, because its files make the identity of the mix.
    """

    def __init__(self, home: Home, nested: Mapping[str, Recipe] | None = None, *, fetch: bool = True) -> None:
        self._home = home
        self._nested = dict(nested or {})
        self._fetch = fetch
        self._samples: dict[str, Samples] = {}
        self._models: dict[tuple[str, str | None], Model | None] = {}

    def resolve(self, recipe: Recipe) -> Group:
        """The pinned tree of a recipe; raises Refusal for what is not here, unknown, or contains itself."""
        return self._group(recipe, Draw(), [], (recipe.name,))

    def samples(self, dataset: str) -> Samples:
        """The samples of a dataset of this home."""
        if dataset not in self._samples:
            self._samples[dataset] = find_samples(self._home, dataset)
        return self._samples[dataset]

    def _group(self, recipe: Recipe, draw: Draw, outer: Filters, path: tuple[str, ...]) -> Group:
        filters = _joined(outer, self._criteria(recipe, recipe.filters))
        members = [
            self._member(recipe, part, _joined(filters, self._criteria(recipe, part.filters)), path)
            for part in recipe.parts
        ]
        return Group(recipe.name, recipe.seed, members, draw)

    def _criteria(self, recipe: Recipe, filters: Mapping[str, dict[str, Bounds]]) -> Filters:
        """Filters written in a recipe, with the models that the same recipe names for them."""
        found: Filters = []
        for name, bounds in filters.items():
            checked_columns(name, bounds)
            key = (name, recipe.models.get(name))
            if key not in self._models:
                self._models[key] = resolve_model(self._home, *key, fetch=self._fetch)
            found.append(Criterion(name, bounds, self._models[key]))
        return found

    def _member(self, recipe: Recipe, part: RecipePart, filters: Filters, path: tuple[str, ...]) -> Leaf | Group:
        draw = Draw.of(part)
        if part.recipe is not None:
            if part.recipe in path:
                circle = " -> ".join([*path, part.recipe])
                raise Refusal(f"recipe '{recipe.name}'", f"contains itself: {circle}", "take one of them out")
            inner = self._nested.get(part.recipe) or load_recipe(part.recipe, self._home)
            return self._group(inner, draw, filters, (*path, part.recipe))
        assert part.dataset is not None, "the recipe model allows exactly one of dataset and recipe"
        samples = self.samples(part.dataset)
        check_part(samples, part.part)
        _check_models(recipe, filters)
        return Leaf(samples, part.part, filters, draw, recipe.seed)


def _check_models(recipe: Recipe, filters: Filters) -> None:
    """Refuse one filter with two models: what a recipe around this one asks, and this one, would not be one measure."""
    models: dict[str, Model | None] = {}
    for name, _, model in filters:
        if models.setdefault(name, model) != model:
            what = f"asks '{name}' of another model than the recipe that contains it"
            raise Refusal(f"recipe '{recipe.name}'", what, "name one model in both")


def check_part(samples: Samples, part: str | None) -> None:
    """Raise Refusal when the card has no such part."""
    known = [one.name for one in samples.card.parts]
    if part is not None and part not in known:
        hint = did_you_mean(part, known)
        raise Refusal(f"{samples.card.name}", f"has no part '{part}'{hint}", f"its parts are: {', '.join(known)}")


def missing_measures(home: Home, group: Group) -> list[Missing]:
    """What a mix needs and nobody has measured yet, each once."""
    wanted: dict[tuple[str, str], Missing] = {}
    for leaf in group.leaves():
        models = {one.filter: one.model for one in leaf.filters}
        for name, identity in leaf.measures().items():
            if not is_finished(measure_folder(home, leaf.samples, name, identity)):
                wanted[leaf.samples.folder.name, identity] = Missing(leaf.samples, name, models.get(name))
    return list(wanted.values())


def _joined(outer: Filters, inner: Filters) -> Filters:
    """Both, the outer ones first; the same bound twice is said once."""
    return outer + [one for one in inner if one not in outer]
