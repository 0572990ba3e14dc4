"""Candidates that are edits of a recipe: so much of a dataset, filtered so, or other category weights of the baseline.

``NAME=DATASET[/PART],KEY=VALUE,…`` with the keys of a recipe's part (proportion, repeat, choose, at_most) and bounds of
filters (FILTER.COLUMN=MIN:MAX), or ``NAME=baseline,CATEGORY.KEY=VALUE`` with one quota (choose, at_most, share).
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from curator.filtering import parse_bounds
from curator.select import candidate_from
from curator.study import Candidate, Edit
from registry.discovery import checked_name
from registry.errors import Refusal, did_you_mean
from registry.recipe import Quota, RecipePart
from registry.store import Home
from registry.taxonomy import SLUGS

BASELINE = "baseline"
AMOUNTS = ("proportion", "repeat", "choose", "at_most")
_EXAMPLES = "for example half=demo-flags,proportion=0.5 or less-qa=baseline,general_qa.at_most=500"


def parse_edit(home: Home, text: str) -> Candidate:
    """The candidate that an ``--edit`` describes; raises Refusal where it makes no sense."""
    name, _, what = text.partition("=")
    target, *changes = what.split(",")
    if not target or not changes or not all("=" in change for change in changes):
        raise Refusal(f"--edit {text}", "is not NAME=DATASET,KEY=VALUE", _EXAMPLES)
    checked_name(name, "edit")
    pairs = [(key, value) for key, _, value in (change.partition("=") for change in changes)]
    try:
        return _quota(name, pairs, text) if target == BASELINE else _part(home, name, target, pairs, text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "it"
        raise Refusal(f"--edit {text}", f"{where}: {first['msg'].removeprefix('Value error, ')}", _EXAMPLES) from None


def _part(home: Home, name: str, target: str, pairs: list[tuple[str, str]], text: str) -> Candidate:
    plain = candidate_from(home, target)
    amounts: dict[str, Any] = {}
    bounds = []
    for key, value in pairs:
        if "." in key:
            bounds.append(f"{key}={value}")
        elif key in AMOUNTS and key not in amounts:
            amounts[key] = value
        else:
            what = "is given twice" if key in amounts else f"is unknown{did_you_mean(key, AMOUNTS)}"
            raise Refusal(f"--edit {text}", f"'{key}' {what}", _EXAMPLES)
    joins = RecipePart(dataset=plain.dataset, part=plain.part, filters=parse_bounds(bounds), **amounts)
    return Candidate(name, plain.dataset, plain.category, plain.part, in_domain=plain.in_domain, edit=Edit(joins=joins))


def _quota(name: str, pairs: list[tuple[str, str]], text: str) -> Candidate:
    if len(pairs) > 1:
        raise Refusal(f"--edit {text}", "changes more than one weight", "make an edit of each")
    key, value = pairs[0]
    category, _, amount = key.partition(".")
    if category not in SLUGS:
        raise Refusal(f"--edit {text}", f"unknown category '{category}'{did_you_mean(category, SLUGS)}", _EXAMPLES)
    quota = Quota.model_validate({amount: value})
    return Candidate(name, BASELINE, category, edit=Edit(quota=quota))


def expected_samples(edit: Edit | None, whole: int) -> int:
    """Samples that a candidate adds, as far as that is known before its filters have run."""
    if edit is None:
        return whole
    if edit.joins is None:
        return 0
    part = edit.joins
    drawn = round(whole * (part.proportion or 1)) * (part.repeat or 1)
    return min(amount for amount in (part.choose or drawn, drawn, part.at_most or drawn))
