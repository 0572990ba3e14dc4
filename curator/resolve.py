"""Resolve a recipe: nested recipes written out, every samples folder, measure and label set pinned by digest."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from curator.categories.general import NAME as GENERAL
from curator.categories.general import General
from curator.contamination.hits import DISTANCE
from curator.contamination.hits import identity_of as hits_identity
from curator.contamination.hits import measure_name as hits_name
from curator.contamination.questions import BenchmarkTable, find_tables
from curator.duplicates.scope import NAME as DUPLICATES
from curator.duplicates.scope import Scope
from curator.licences import check_terms
from curator.measure import checked_columns, measure_digest, measure_folder, resolve_model
from curator.models import Model
from curator.reclassify import NAME as LABELS
from curator.reclassify import labels_digest
from curator.samples import Samples, find_samples
from registry.errors import Refusal, did_you_mean
from registry.identity import digest, short
from registry.mix import MIX_VERSION
from registry.recipe import Bounds, Decontaminate, Dedup, Labels, Quota, Recipe, RecipePart, load_recipe
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
    """The filter, ``labels`` or ``general``."""
    model: Model | None = None
    general: General | None = None


@dataclass(frozen=True)
class Draw:
    """How much is taken: at most one of the first three, and no more than the last."""

    proportion: float | None = None
    repeat: int | None = None
    choose: int | None = None
    at_most: int | None = None

    @classmethod
    def of(cls, part: RecipePart) -> Draw:
        """The draw that a part of a recipe asks for."""
        return cls(part.proportion, part.repeat, part.choose, part.at_most)

    def rows_of(self, there: int) -> int:
        """How many of so many rows (repeats counted) are taken."""
        taken = there if self.proportion is None else int(self.proportion * there + 0.5)
        taken = taken if self.choose is None else self.choose
        return taken if self.at_most is None else min(taken, self.at_most)

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
    general: General | None = None
    """How categories are found; None: they are those of the card."""
    category: str | None = None
    """The only one that is taken, if any."""

    def measures(self) -> dict[str, str]:
        """Filter (or ``labels``, ``general``) -> digest of every measure this leaf reads."""
        needs = {one.filter: measure_digest(self.samples, one.filter, one.model) for one in self.filters}
        needs |= {LABELS: labels_digest(self.samples)} if self.samples.relabelled else {}
        return needs | ({GENERAL: self.general.digest(self.samples)} if self.general else {})

    def plain(self) -> dict[str, Any]:
        """JSON form with everything pinned."""
        pinned: dict[str, Any] = {
            "dataset": self.samples.card.name,
            "samples": self.samples.folder.name,
            "samples_digest": self.samples.record.digest,
        }
        if self.part is not None:
            pinned["part"] = self.part
        if self.category is not None:
            pinned["category"] = self.category
        if self.samples.relabelled:
            pinned["labels_digest"] = labels_digest(self.samples)
        if self.general:
            pinned["general"] = self.general.plain(self.samples)
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
class Deduplication:
    """What a recipe says of duplicates, for the samples that it names."""

    wanted: Dedup
    samples: tuple[Samples, ...]
    """Each folder once, in the order of the recipe: rows of the earliest one stay."""
    against: tuple[Samples, ...]

    def scopes(self) -> list[tuple[list[Samples], Scope]]:
        """What is searched together: the folders of the recipe that duplicates are dropped from, and the scope."""
        together = [[one] for one in self.samples] if self.wanted.scope == "dataset" else [list(self.samples)]
        return [(folders, Scope.of([*folders, *self.against], self.wanted)) for folders in together]

    def plain(self) -> dict[str, Any]:
        """JSON form with everything pinned."""
        against = [{"dataset": s.card.name, "samples": s.folder.name} for s in self.against]
        settings = self.wanted.model_dump(mode="json", exclude={"against"})
        return settings | {"against": against, "clusters": [scope.digest() for _, scope in self.scopes()]}

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Folder -> digest of what a mix reads because of this."""
        for _, scope in self.scopes():
            for one in scope.samples:
                yield f"samples/{one.folder.name}", one.record.digest
                yield f"measures/{one.folder.name}/{DUPLICATES}-{short(scope.digest())}", scope.digest()


@dataclass(frozen=True)
class Decontamination:
    """What a recipe says of benchmarks, for the samples that it names."""

    wanted: Decontaminate
    tables: tuple[BenchmarkTable, ...]
    samples: tuple[Samples, ...]
    """Each folder once."""

    def plain(self) -> dict[str, Any]:
        """JSON form with everything pinned."""
        tables = {table.name: {"table": table.digest, "version": table.version} for table in self.tables}
        return self.wanted.model_dump(mode="json") | {"benchmarks": tables, "distance": DISTANCE}

    def hits(self) -> Iterator[tuple[Samples, BenchmarkTable]]:
        """What is compared with what."""
        return itertools.product(self.samples, self.tables)

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Folder -> digest of what a mix reads because of this."""
        for one, table in self.hits():
            identity = hits_identity(one, table)
            yield f"measures/{one.folder.name}/{hits_name(table)}-{short(identity)}", identity


@dataclass(frozen=True)
class Group:
    """A recipe inside a recipe, or the recipe itself."""

    name: str
    seed: int
    members: list[Leaf | Group]
    draw: Draw
    dedup: Deduplication | None = None
    decontaminate: Decontamination | None = None
    categories: Mapping[str, Quota] = field(default_factory=dict)
    licences: Literal["known", "commercial"] | None = None

    def plain(self) -> dict[str, Any]:
        """JSON form; the name is for people and no part of the identity."""
        parts = [member.plain() for member in self.members]
        pinned = {"decontaminate": self.decontaminate, "dedup": self.dedup}
        said: dict[str, Any] = {name: one.plain() for name, one in pinned.items() if one is not None}
        if self.categories:
            quotas = self.categories.items()
            said["categories"] = {slug: one.model_dump(mode="json", exclude_none=True) for slug, one in quotas}
        if self.licences:
            said["licences"] = self.licences
        return {"seed": self.seed, "parts": parts} | said | self.draw.plain()

    def dedups(self) -> Iterator[Deduplication]:
        """What this recipe and those inside it say of duplicates, the inner ones first."""
        for member in self.members:
            if isinstance(member, Group):
                yield from member.dedups()
        if self.dedup:
            yield self.dedup

    def decontaminations(self) -> Iterator[Decontamination]:
        """What this recipe and those inside it say of benchmarks, the inner ones first."""
        for member in self.members:
            if isinstance(member, Group):
                yield from member.decontaminations()
        if self.decontaminate:
            yield self.decontaminate

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
        return self._group(recipe, Draw(), [], None, (recipe.name,))

    def samples(self, dataset: str) -> Samples:
        """The samples of a dataset of this home."""
        if dataset not in self._samples:
            self._samples[dataset] = find_samples(self._home, dataset)
        return self._samples[dataset]

    def _group(self, recipe: Recipe, draw: Draw, outer: Filters, labels: Labels | None, path: tuple[str, ...]) -> Group:
        filters, labels = _joined(outer, self._criteria(recipe, recipe.filters)), recipe.labels or labels
        members = [
            self._member(
                recipe, part, _joined(filters, self._criteria(recipe, part.filters)), part.labels or labels, path
            )
            for part in recipe.parts
        ]
        group = Group(recipe.name, recipe.seed, members, draw, categories=recipe.categories, licences=recipe.licences)
        if recipe.licences is not None:
            check_terms((leaf.samples for leaf in group.leaves()), recipe.licences, f"recipe '{recipe.name}'")
        if recipe.dedup is not None:
            group = replace(group, dedup=self._dedup(group, recipe.dedup))
        if recipe.decontaminate is not None:
            group = replace(group, decontaminate=self._decontamination(group, recipe.decontaminate))
        return group

    def _decontamination(self, group: Group, wanted: Decontaminate) -> Decontamination:
        samples = {leaf.samples.folder.name: leaf.samples for leaf in group.leaves()}
        return Decontamination(wanted, tuple(find_tables(self._home, wanted.benchmarks, {})), tuple(samples.values()))

    def _dedup(self, group: Group, wanted: Dedup) -> Deduplication:
        samples = {leaf.samples.folder.name: leaf.samples for leaf in group.leaves()}
        against = {one.folder.name: one for one in map(self.samples, wanted.against)}
        for name in samples.keys() & against.keys():
            what = f"compares against '{samples[name].card.name}', which is in the mix"
            raise Refusal(f"recipe '{group.name}'", what, "take it out of 'against': its rows are compared anyway")
        return Deduplication(wanted, tuple(samples.values()), tuple(against[name] for name in sorted(against)))

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

    def _member(
        self, recipe: Recipe, part: RecipePart, filters: Filters, labels: Labels | None, path: tuple[str, ...]
    ) -> Leaf | Group:
        draw = Draw.of(part)
        if part.recipe is not None:
            if part.recipe in path:
                circle = " -> ".join([*path, part.recipe])
                raise Refusal(f"recipe '{recipe.name}'", f"contains itself: {circle}", "take one of them out")
            inner = self._nested.get(part.recipe) or load_recipe(part.recipe, self._home)
            return self._group(inner, draw, filters, labels, (*path, part.recipe))
        assert part.dataset is not None, "the recipe model allows exactly one of dataset and recipe"
        samples = self.samples(part.dataset)
        check_part(samples, part.part)
        _check_models(recipe, filters)
        general = General.of(self._home, labels) if labels and labels.by == "general" else None
        return Leaf(samples, part.part, filters, draw, recipe.seed, general, part.category)


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
                general = leaf.general if name == GENERAL else None
                missing = Missing(leaf.samples, name, models.get(name), general)
                wanted[leaf.samples.folder.name, identity] = missing
    return list(wanted.values())


def missing_clusters(home: Home, group: Group) -> list[Scope]:
    """What a mix needs to be searched for duplicates, and nobody has searched yet, each once."""
    scopes = {scope.digest(): scope for dedup in group.dedups() for _, scope in dedup.scopes()}
    return [scope for scope in scopes.values() if scope.missing(home)]


def missing_hits(home: Home, group: Group) -> list[tuple[Samples, BenchmarkTable]]:
    """What a mix needs to be compared with a benchmark, and nobody has compared yet, each once."""
    pairs = {hits_identity(*pair): pair for one in group.decontaminations() for pair in one.hits()}
    return [
        (samples, table)
        for identity, (samples, table) in pairs.items()
        if not is_finished(measure_folder(home, samples, hits_name(table), identity))
    ]


def _joined(outer: Filters, inner: Filters) -> Filters:
    """Both, by name, as the order they are written in says nothing: of two bounds on one column the tighter one."""
    joined: dict[tuple[str, str], Criterion] = {}
    for one in [*outer, *inner]:
        key = (one.filter, str(one.model.identity()) if one.model else "")
        there = joined.get(key)
        columns = {**there.bounds} if there else {}
        for column, bounds in one.bounds.items():
            columns[column] = (
                _tighter(f"{one.filter}.{column}", columns[column], bounds) if column in columns else bounds
            )
        joined[key] = Criterion(one.filter, dict(sorted(columns.items())), one.model)
    return [joined[key] for key in sorted(joined)]


def _tighter(where: str, one: Bounds, other: Bounds) -> Bounds:
    """What both bounds leave; raises Refusal where that is nothing."""
    try:
        return one.and_also(other)
    except ValueError:
        raise Refusal(where, f"is bounded by {one} and {other}, which leave nothing", "loosen one of them") from None
