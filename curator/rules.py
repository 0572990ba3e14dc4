"""Which part of a dataset a sample belongs to: the rules of a card, applied to one conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from curator.raw_sample import plain
from registry.card import Part, Rule
from registry.pattern import PATTERN_VERSION, found_in
from registry.sample import Message, message_text


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sample comes from, as far as rules look at it."""

    source_id: str
    file: str | None = None
    """Published file; None = the sample was normalised before, and ``part`` stands for its file and columns."""
    labels: Mapping[str, str] = field(default_factory=dict)
    part: str = ""
    """Part that normalising found."""


Asked = tuple[Origin, Sequence[Message]]
"""A sample as the rules see it: where it is from, and its conversation."""


class PartRules:
    """The parts of a card in order: the first rule that holds decides, else the part without a rule."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._rules = [(part, part.rule) for part in parts if part.rule is not None]
        self.otherwise = next((part for part in parts if part.rule is None), None)

    def parts_of(self, samples: Sequence[Asked]) -> list[Part | None]:
        """The part that takes each sample; None where no rule holds and no part takes the rest.

        Many samples at once, because a pattern costs more to start than to match.
        """
        found = [self.otherwise] * len(samples)
        left = list(range(len(samples)))
        for part, rule in self._rules:
            taken = set(_taken(part.name, rule, samples, left))
            for index in taken:
                found[index] = part
            left = [index for index in left if index not in taken]
        return found


def describe(rule: Rule | None) -> str:
    """A rule in words: ``request ~ 'describe', turns <= 1``."""
    if rule is None:
        return "everything else"
    words = [f"{name} ~ {pattern!r}" for name, pattern in rule.patterns()]
    words += [f"file ~ {rule.file!r}"] if rule.file is not None else []
    words += [f"turns >= {rule.turns_min}"] if rule.turns_min is not None else []
    words += [f"turns <= {rule.turns_max}"] if rule.turns_max is not None else []
    return ", ".join(words) or "everything"


def first_text(messages: Sequence[Message], role: str) -> str:
    """Text of the first message of ``role``; empty when there is none."""
    return next((message_text(message) for message in messages if message["role"] == role), "")


def parts_settings(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """What of these parts decides the labels; where patterns do, the version of how they are matched."""
    return [
        part.model_dump(mode="json", include={"name", "category", "rule"})
        | ({"patterns": PATTERN_VERSION} if part.rule is not None and part.rule.patterns() else {})
        for part in parts
    ]


def labels_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """Columns that the rules of these parts look at."""
    return tuple(dict.fromkeys(column for part in parts if part.rule for column in part.rule.columns))


def _taken(part: str, rule: Rule, samples: Sequence[Asked], among: list[int]) -> list[int]:
    """Indexes of the samples ``among`` these that a rule holds for; what costs nothing is asked first."""
    kept = [index for index in among if _fits(part, rule, *samples[index])]
    for column, pattern in rule.columns.items():
        published = [index for index in kept if samples[index][0].file is not None]
        passed = set(_matching(pattern, published, [samples[i][0].labels.get(column, "") for i in published]))
        kept = [index for index in kept if index in passed or samples[index][0].file is None]
    kept = _matching(rule.source_id, kept, [samples[index][0].source_id for index in kept])
    kept = _matching(rule.request, kept, [first_text(samples[index][1], "user") for index in kept])
    return _matching(rule.answer, kept, [first_text(samples[index][1], "assistant") for index in kept])


def _fits(part: str, rule: Rule, origin: Origin, messages: Sequence[Message]) -> bool:
    """Whether turns and file are as the rule wants them; what was normalised before stands by its part."""
    turns = sum(message["role"] == "user" for message in messages)
    if turns < (rule.turns_min or 0) or (rule.turns_max is not None and turns > rule.turns_max):
        return False
    if origin.file is None:
        return origin.part == part or not (rule.file or rule.columns)
    return rule.file is None or fnmatchcase(origin.file, rule.file)


def _matching(pattern: str | None, indexes: list[int], texts: list[str]) -> list[int]:
    """The indexes whose text holds the pattern. Half surrogate pairs, which no pattern can name, are escapes."""
    if pattern is None or not indexes:
        return indexes
    found = found_in(pattern, [plain(text) for text in texts])
    return [index for index, holds in zip(indexes, found, strict=True) if holds]
