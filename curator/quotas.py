"""Quotas of categories: how many rows of each a recipe keeps of what its parts gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

from registry.errors import Refusal
from registry.recipe import Quota


def wanted_rows(available: Mapping[str, int], quotas: Mapping[str, Quota], where: str) -> dict[str, int]:
    """Rows of each category that stay.

    Args:
        available: category -> rows that the parts gave.
        quotas: category -> its quota; categories without one keep all of their rows.
        where: the recipe, for messages.

    Raises:
        Refusal: a category has fewer rows than its quota asks for, or shares leave no room for those without one.
    """
    there = Counter(available)
    fixed = {slug: _fixed(slug, there[slug], quotas.get(slug), where) for slug in [*there, *quotas]}
    shares = {slug: Fraction(str(one.share)) for slug, one in quotas.items() if one.share is not None}
    if not shares:
        return fixed
    rest = sum(count for slug, count in fixed.items() if slug not in shares)
    total = _total(there, shares, rest, where)
    parts = _apportioned(shares, total - rest)
    for slug, count in parts.items():
        if count > there[slug]:
            what = f"category '{slug}' is to have {count:,} of {total:,} rows, and {there[slug]:,} are there"
            raise Refusal(where, what, "lower its share, or cap the categories that have none with at_most")
    return fixed | parts


def _fixed(slug: str, there: int, quota: Quota | None, where: str) -> int:
    """Rows of a category that has no share."""
    if quota is not None and quota.choose is not None:
        if quota.choose > there:
            what = f"{quota.choose:,} rows of category '{slug}' are asked for and {there:,} are there"
            raise Refusal(where, what, "choose fewer, or use at_most")
        return quota.choose
    return there if quota is None or quota.at_most is None else min(there, quota.at_most)


def _total(there: Mapping[str, int], shares: Mapping[str, Fraction], rest: int, where: str) -> int:
    """Rows of the whole recipe."""
    left = 1 - sum(shares.values())
    if not rest and left:
        what = f"the shares of categories add up to {float(1 - left):g}, and no row is of a category without one"
        raise Refusal(where, what, "make them add up to 1")
    if not rest:
        return int(min(Fraction(there[slug]) / share for slug, share in shares.items()))
    if not left:
        what = f"the shares of categories add up to 1, and {rest:,} rows are of categories without one"
        raise Refusal(where, what, "give those a share too, or at_most: 0")
    return round(rest / left)


def _apportioned(shares: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """Whole rows in the proportion of the shares, by largest remainders; of equal ones the first by name."""
    exact = {slug: total * share / sum(shares.values()) for slug, share in shares.items()}
    rows = {slug: int(value) for slug, value in exact.items()}
    by_remainder = sorted(exact, key=lambda slug: (rows[slug] - exact[slug], slug))
    for slug in by_remainder[: total - sum(rows.values())]:
        rows[slug] += 1
    return rows
