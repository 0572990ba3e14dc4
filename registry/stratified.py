"""Fewer questions of a benchmark that still stand for all of it: the same ones everywhere, groups whole.

Every category (split, ability, task) has one group where there is room for that, as some scores are sums over all of
them, and else keeps its share of the prompts as nearly as whole groups allow. Which groups are
taken depends on their names alone, so neither the order of a table nor what else is scored changes them.
"""

from __future__ import annotations

from collections.abc import Sequence

from registry.benchmark import Question
from registry.errors import Refusal
from registry.identity import order_key

_COLUMNS = ("split", "l2-category", "category", "task")
"""Of a table's row: together they name a stratum."""


class _Stratum:
    """The groups of one stratum, in the order in which they are taken."""

    def __init__(self, groups: list[tuple[str, int]], share: float) -> None:
        self._left = sorted(groups, key=lambda group: order_key("limit", group[0]), reverse=True)
        self._share = share
        """Prompts it should have; not a whole number."""
        self._taken = 0

    @property
    def need(self) -> tuple[bool, float]:
        """Whether it has none yet, and how many prompts it has too few (below 0: too many)."""
        return not self._taken, self._share - self._taken

    def take(self, room: int) -> tuple[str, int] | None:
        """The next group of at most ``room`` prompts, and its size."""
        for place in range(len(self._left) - 1, -1, -1):
            if self._left[place][1] <= room:
                group = self._left.pop(place)
                self._taken += group[1]
                return group
        return None


def stratified(questions: Sequence[Question], limit: int) -> list[Question]:
    """At most ``limit`` of the questions, in their order; Refusal where not even one group is so small."""
    if limit >= len(questions):
        return list(questions)
    sizes: dict[str, int] = {}
    strata_of: dict[str, tuple[str, ...]] = {}
    for question in questions:
        sizes[question.group] = sizes.get(question.group, 0) + 1
        stratum = tuple(question.row.get(column, "") for column in _COLUMNS)
        strata_of[question.group] = min(strata_of.get(question.group, stratum), stratum)
    members: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for group, stratum in strata_of.items():
        members.setdefault(stratum, []).append((group, sizes[group]))
    part = limit / len(questions)
    strata = [_Stratum(groups, part * sum(size for _, size in groups)) for _, groups in sorted(members.items())]
    taken: set[str] = set()
    room = limit
    while room and strata:
        neediest = max(strata, key=lambda stratum: stratum.need)
        found = neediest.take(room)
        if found is None:
            strata.remove(neediest)
        else:
            taken.add(found[0])
            room -= found[1]
    if not taken:
        least = min(sizes.values())
        raise Refusal(f"limit {limit}", f"questions of this benchmark come in groups of {least} and more", "raise it")
    return [question for question in questions if question.group in taken]
