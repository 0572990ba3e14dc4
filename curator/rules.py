"""Which part of a dataset a sample belongs to: the rules of a card, applied to one conversation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from registry.card import Part, Rule
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


Test = Callable[[Origin, Sequence[Message]], bool]


class PartRules:
    """The parts of a card in order: the first rule that holds decides, else the part without a rule."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._tests = [(part, _test(part.name, part.rule)) for part in parts if part.rule is not None]
        self.otherwise = next((part for part in parts if part.rule is None), None)

    def part_of(self, origin: Origin, messages: Sequence[Message]) -> Part | None:
        """The part that takes this sample; None when no rule holds and no part takes the rest."""
        for part, holds in self._tests:
            if holds(origin, messages):
                return part
        return self.otherwise


def describe(rule: Rule | None) -> str:
    """A rule in words: ``request ~ 'describe', turns <= 1``."""
    if rule is None:
        return "everything else"
    patterns = {"request": rule.request, "answer": rule.answer, "source_id": rule.source_id}
    words = [f"{name} ~ {pattern!r}" for name, pattern in patterns.items() if pattern is not None]
    words += [f"file ~ {rule.file!r}"] if rule.file is not None else []
    words += [f"{column} ~ {pattern!r}" for column, pattern in rule.columns.items()]
    words += [f"turns >= {rule.turns_min}"] if rule.turns_min is not None else []
    words += [f"turns <= {rule.turns_max}"] if rule.turns_max is not None else []
    return ", ".join(words) or "everything"


def first_text(messages: Sequence[Message], role: str) -> str:
    """Text of the first message of ``role``; empty when there is none."""
    return next((message_text(message) for message in messages if message["role"] == role), "")


def labels_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """Columns that the rules of these parts look at."""
    return tuple(dict.fromkeys(column for part in parts if part.rule for column in part.rule.columns))


def _test(part: str, rule: Rule) -> Test:
    request, answer, source = (
        re.compile(pattern) if pattern is not None else None for pattern in (rule.request, rule.answer, rule.source_id)
    )
    columns = {column: re.compile(pattern) for column, pattern in rule.columns.items()}
    least, most = rule.turns_min or 0, rule.turns_max

    def published(origin: Origin) -> bool:
        """Whether file and columns are as the rule wants them."""
        if origin.file is None:
            return origin.part == part or not (rule.file or columns)
        if rule.file is not None and not fnmatchcase(origin.file, rule.file):
            return False
        return all(pattern.search(origin.labels.get(column, "")) for column, pattern in columns.items())

    def holds(origin: Origin, messages: Sequence[Message]) -> bool:
        turns = sum(message["role"] == "user" for message in messages)
        if turns < least or (most is not None and turns > most):
            return False
        if not published(origin):
            return False
        if source and not source.search(origin.source_id):
            return False
        if request and not request.search(first_text(messages, "user")):
            return False
        return not answer or bool(answer.search(first_text(messages, "assistant")))

    return holds
