"""Resolve a recipe: nested recipes written out, every samples folder, measure and label set pinned by digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curator.categories.general import NAME as GENERAL
from curator.categories.general import General
from curator.duplicates.scope import NAME as DUPLICATES
from curator.duplicates.scope import Scope
from curator.measure import checked_columns, measure_digest, measure_folder
from curator.reclassify import NAME as LABELS
from curator.reclassify import labels_digest
from curator.samples import Samples, find_samples
from registry.errors import Refusal, did_you_mean
from registry.identity import digest, short
from registry.mix import MIX_VERSION
from registry.recipe import Bounds, Dedup, Labels, Recipe, RecipePart, load_recipe
from registry.store import Home, is_finished

Filters = list[tuple[str, dict[str, Bounds]]]
"""``(filter, column -> bounds)``; all of them hold."""


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
    general: General | None = None
    """How categories are found; None: they are those of the card."""
    category: str | None = None
    """The only one that is taken, if any."""

    def measures(self) -> dict[str, str]:
        """Filter (or ``labels``, ``general``) -> digest of every measure this leaf reads."""
        needs = {name: measure_digest(self.samples, name) for name, _ in self.filters}
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
                    "measure_digest": measure_digest(self.samples, name),
                    "bounds": {c: b.model_dump(mode="json", exclude_none=True) for c, b in bounds.items()},
                }
                for name, bounds in self.filters
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
class Group:
    """A recipe inside a recipe, or the recipe itself."""

    name: str
    seed: int
    members: list[Leaf | Group]
    draw: Draw
    dedup: Deduplication | None = None

    def plain(self) -> dict[str, Any]:
        """JSON form; the name is for people and no part of the identity."""
        dedup = {"dedup": self.dedup.plain()} if self.dedup else {}
        return {"seed": self.seed, "parts": [member.plain() for member in self.members]} | dedup | self.draw.plain()

    def dedups(self) -> Iterator[Deduplication]:
        """What this recipe and those inside it say of duplicates, the inner ones first."""
        for member in self.members:
            if isinstance(member, Group):
                yield from member.dedups()
        if self.dedup:
            yield self.dedup

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
    """Resolves recipes against a home; a dataset that many recipes use is looked up once."""

    def __init__(self, home: Home, nested: Mapping[str, Recipe] | None = None) -> None:
        self._home = home
        self._nested = dict(nested or {})
        self._samples: dict[str, Samples] = {}

    def resolve(self, recipe: Recipe) -> Group:
        """The pinned tree of a recipe; raises Refusal for what is not here, unknown, or contains itself."""
        return self._group(recipe, Draw(), [], None, (recipe.name,))

    def samples(self, dataset: str) -> Samples:
        """The samples of a dataset of this home."""
        if dataset not in self._samples:
            self._samples[dataset] = find_samples(self._home, dataset)
        return self._samples[dataset]

    def _group(self, recipe: Recipe, draw: Draw, outer: Filters, labels: Labels | None, path: tuple[str, ...]) -> Group:
        filters, labels = _joined(outer, recipe.filters), recipe.labels or labels
        members = [
            self._member(recipe, part, _joined(filters, part.filters), part.labels or labels, path)
            for part in recipe.parts
        ]
        group = Group(recipe.name, recipe.seed, members, draw)
        return group if recipe.dedup is None else replace(group, dedup=self._dedup(group, recipe.dedup))

    def _dedup(self, group: Group, wanted: Dedup) -> Deduplication:
        samples = {leaf.samples.folder.name: leaf.samples for leaf in group.leaves()}
        against = {one.folder.name: one for one in map(self.samples, wanted.against)}
        for name in samples.keys() & against.keys():
            what = f"compares against '{samples[name].card.name}', which is in the mix"
            raise Refusal(f"recipe '{group.name}'", what, "take it out of 'against': its rows are compared anyway")
        return Deduplication(wanted, tuple(samples.values()), tuple(against[name] for name in sorted(against)))

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
        for name, bounds in filters:
            checked_columns(name, bounds)
        general = General.of(self._home, labels) if labels and labels.by == "general" else None
        return Leaf(samples, part.part, filters, draw, recipe.seed, general, part.category)


def check_part(samples: Samples, part: str | None) -> None:
    """Raise Refusal when the card has no such part."""
    known = [one.name for one in samples.card.parts]
    if part is not None and part not in known:
        hint = did_you_mean(part, known)
        raise Refusal(f"{samples.card.name}", f"has no part '{part}'{hint}", f"its parts are: {', '.join(known)}")


def missing_measures(home: Home, group: Group) -> list[tuple[Leaf, str]]:
    """``(leaf, filter, 'labels' or 'general')`` that a mix needs and that nobody has measured yet, each once."""
    wanted: dict[Path, tuple[Leaf, str]] = {}
    for leaf in group.leaves():
        for name, identity in leaf.measures().items():
            folder = measure_folder(home, leaf.samples, name, identity)
            if not is_finished(folder):
                wanted.setdefault(folder, (leaf, name))
    return list(wanted.values())


def missing_clusters(home: Home, group: Group) -> list[Scope]:
    """What a mix needs to be searched for duplicates, and nobody has searched yet, each once."""
    scopes = {scope.digest(): scope for dedup in group.dedups() for _, scope in dedup.scopes()}
    return [scope for scope in scopes.values() if scope.missing(home)]


def _joined(outer: Filters, inner: Mapping[str, dict[str, Bounds]]) -> Filters:
    """Both, the outer ones first; the same bound twice is said once."""
    return outer + [one for one in inner.items() if one not in outer]
