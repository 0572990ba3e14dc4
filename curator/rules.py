"""Which part of a dataset a sample belongs to: the rules of a card, applied to one conversation."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from registry.card import Part, Rule
from registry.sample import Message, message_text

Test = Callable[[str, Sequence[Message]], bool]


class PartRules:
    """The parts of a card in order: the first rule that holds decides, else the part without a rule."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._tests = [(part, _test(part.rule)) for part in parts if part.rule is not None]
        self.otherwise = next((part for part in parts if part.rule is None), None)

    def part_of(self, source_id: str, messages: Sequence[Message]) -> Part | None:
        """The part that takes this sample; None when no rule holds and no part takes the rest."""
        for part, holds in self._tests:
            if holds(source_id, messages):
                return part
        return self.otherwise


def describe(rule: Rule | None) -> str:
    """A rule in words: ``request ~ 'describe', turns <= 1``."""
    if rule is None:
        return "everything else"
    patterns = {"request": rule.request, "answer": rule.answer, "source_id": rule.source_id}
    words = [f"{name} ~ {pattern!r}" for name, pattern in patterns.items() if pattern is not None]
    words += [f"turns >= {rule.turns_min}"] if rule.turns_min is not None else []
    words += [f"turns <= {rule.turns_max}"] if rule.turns_max is not None else []
    return ", ".join(words) or "everything"


def first_text(messages: Sequence[Message], role: str) -> str:
    """Text of the first message of ``role``; empty when there is none."""
    return next((message_text(message) for message in messages if message["role"] == role), "")


def _test(rule: Rule) -> Test:
    request, answer, source = (re.compile(p) if p is not None else None for p in _patterns(rule))
    least, most = rule.turns_min or 0, rule.turns_max

    def holds(source_id: str, messages: Sequence[Message]) -> bool:
        turns = sum(message["role"] == "user" for message in messages)
        if turns < least or (most is not None and turns > most):
            return False
        if source and not source.search(source_id):
            return False
        if request and not request.search(first_text(messages, "user")):
            return False
        return not answer or bool(answer.search(first_text(messages, "assistant")))

    return holds


def _patterns(rule: Rule) -> tuple[str | None, str | None, str | None]:
    return rule.request, rule.answer, rule.source_id
