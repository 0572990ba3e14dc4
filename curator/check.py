"""Check cards, recipes, scales and the records of a data home strictly, and say everything that is wrong.

Listing and querying read the same files without checks; this is where a wrong field, an unknown format, a
recipe that names what is not there, or an account that does not add up is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curator.lineage import finished_folders
from curator.look import first_rows
from curator.measure import checked_columns, checked_model
from curator.selection import FORMATS, Form, forms
from registry.card import card_files, read_card
from registry.discovery import names, package_folder
from registry.errors import Refusal, did_you_mean
from registry.recipe import Recipe, RecipePart, load_recipe, recipe_files
from registry.scale import load_scale, scale_names
from registry.store import Home, read_record


@dataclass
class Findings:
    """What was looked at, by kind, and everything wrong with it."""

    checked: dict[str, int] = field(default_factory=dict)
    faults: list[Refusal] = field(default_factory=list)

    def add(self, kind: str, faults: Callable[[], Iterator[Refusal]]) -> None:
        """Count one check of ``kind`` and keep what it yields, or what it stops at."""
        self.checked[kind] = self.checked.get(kind, 0) + 1
        try:
            self.faults.extend(faults())
        except Refusal as fault:
            self.faults.append(fault)


def check_all(home: Home) -> Findings:
    """Every card, recipe and scale, the packaged ones and the home's, and every record of the home."""
    findings = Findings()
    for path in card_files(home).values():
        findings.add("cards", CardCheck(path))
    for path in recipe_files(home).values():
        findings.add("recipes", RecipeCheck(str(path), home))
    for name in scale_names():
        findings.add("scales", ScaleCheck(name))
    for folder in finished_folders(home):
        findings.add("records", RecordCheck(folder))
    return findings


def first_rows_of(home: Home, given: list[str], findings: Findings) -> list[dict[str, Any]]:
    """The first samples of each dataset that is here; a file of them that is damaged is a fault like any other."""
    rows = []
    for name in given:
        try:
            rows += first_rows(home, name)
        except Refusal as fault:
            findings.faults.append(fault)
    return rows


def check_named(home: Home, given: list[str]) -> Findings:
    """The cards, recipes and scales of these names, and the cards and recipes in these ``.yaml`` files."""
    findings = Findings()
    for name in given:
        _check_one(home, name, findings)
    return findings


def _check_one(home: Home, name: str, findings: Findings) -> None:
    if name.endswith((".yaml", ".yml")):
        _check_file(Path(name), home, findings)
        return
    cards, recipes = card_files(home), recipe_files(home)
    if name in cards:
        findings.add("cards", CardCheck(cards[name]))
    if name in recipes:
        findings.add("recipes", RecipeCheck(name, home))
    if name in scale_names():
        findings.add("scales", ScaleCheck(name))
    if name not in {*cards, *recipes, *scale_names()}:
        hint = did_you_mean(name, [*cards, *recipes, *scale_names()])
        raise Refusal(f"'{name}'", f"no card, recipe or scale has this name{hint}", "give a name or a .yaml file")


def _check_file(path: Path, home: Home, findings: Findings) -> None:
    """A file is a card when it has a field that only cards have, else a recipe."""
    from registry.yaml_text import read_text

    raw = read_text(path)
    if isinstance(raw, dict) and {"title", "format", "stage"} & raw.keys():
        findings.add("cards", CardCheck(path))
    else:
        findings.add("recipes", RecipeCheck(str(path), home))


@dataclass(frozen=True)
class CardCheck:
    """One card file."""

    path: Path

    def __call__(self) -> Iterator[Refusal]:
        """Its fields, its main format, and the columns of every form that some format reads."""
        card = read_card(self.path)
        known = names(package_folder(FORMATS), ".py")
        if card.format not in known:
            what = f"unknown format '{card.format}'{did_you_mean(card.format, known)}"
            yield Refusal(str(self.path), what, f"formats are: {', '.join(known)}")
        for form in forms(card):
            if form.format in known:
                yield from self._roles(form)

    def _roles(self, form: Form) -> Iterator[Refusal]:
        try:
            form.roles()
        except Refusal as fault:
            yield Refusal(f"{self.path}: {fault.where}", fault.what, fault.way_out)


@dataclass(frozen=True)
class RecipeCheck:
    """One recipe, by name or path."""

    name_or_path: str
    home: Home

    def __call__(self) -> Iterator[Refusal]:
        """Its fields, that what it names exists, and that it names a model for each filter that needs one."""
        recipe = load_recipe(self.name_or_path, self.home)
        yield from self._filters(recipe, recipe)
        for part in recipe.parts:
            yield from self._filters(recipe, part)
            yield from self._dataset(part) if part.dataset is not None else self._nested(part)

    def _filters(self, recipe: Recipe, holder: Recipe | RecipePart) -> Iterator[Refusal]:
        for name, bounds in holder.filters.items():
            try:
                checked_columns(name, bounds)
                checked_model(name, name in recipe.models)
            except Refusal as fault:
                yield Refusal(f"{self.name_or_path}: {fault.where}", fault.what, fault.way_out)

    def _dataset(self, part: RecipePart) -> Iterator[Refusal]:
        cards = card_files(self.home)
        assert part.dataset is not None
        if part.dataset not in cards:
            what = f"no card of a dataset '{part.dataset}'{did_you_mean(part.dataset, cards)}"
            yield Refusal(self.name_or_path, what, "correct the name, or add the card")
        elif part.part is not None:
            known = [one.name for one in read_card(cards[part.dataset]).parts]
            if part.part not in known:
                what = f"dataset '{part.dataset}' has no part '{part.part}'{did_you_mean(part.part, known)}"
                yield Refusal(self.name_or_path, what, f"its parts are: {', '.join(known)}")

    def _nested(self, part: RecipePart) -> Iterator[Refusal]:
        recipes = recipe_files(self.home)
        assert part.recipe is not None
        if part.recipe not in recipes:
            what = f"no recipe '{part.recipe}'{did_you_mean(part.recipe, recipes)}"
            yield Refusal(self.name_or_path, what, "correct the name, or add the recipe")


@dataclass(frozen=True)
class ScaleCheck:
    """One packaged scale."""

    name: str

    def __call__(self) -> Iterator[Refusal]:
        """Its fields."""
        load_scale(self.name)
        yield from ()


@dataclass(frozen=True)
class RecordCheck:
    """The record of one finished folder."""

    folder: Path

    def __call__(self) -> Iterator[Refusal]:
        """Its fields, and that the rows that came in are those that went out or were rejected."""
        record = read_record(self.folder)
        accounted = record.rows_out + sum(record.rejected.values())
        if record.rows_in != accounted:
            what = f"{record.rows_in:,} rows in, but {accounted:,} accounted for"
            yield Refusal(str(self.folder), what, "remove the folder and make it again")
