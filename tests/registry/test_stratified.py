"""A part of a benchmark: even, the same everywhere, groups whole."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from registry.benchmark import Question, load_benchmark
from registry.errors import Refusal
from registry.stratified import stratified

ARTEFACTS = Path(__file__).parent / "benchmarks"


def table(sizes: dict[str, int], prompts: int = 1) -> list[Question]:
    """So many groups of each category."""
    return [
        Question(
            1_000_000 * turn + 1000 * kind + number,
            f"{category}{number}",
            "q",
            {},
            "A",
            category,
            {"category": category},
        )
        for turn in range(prompts)
        for kind, (category, count) in enumerate(sizes.items())
        for number in range(count)
    ]


def counts(questions: list[Question]) -> dict[str, int]:
    return dict(Counter(question.category for question in questions))


def test_every_category_keeps_its_share() -> None:
    questions = table({"a": 500, "b": 300, "c": 190, "d": 10})
    assert counts(stratified(questions, 100)) == {"a": 50, "b": 30, "c": 19, "d": 1}
    assert counts(stratified(questions, 1)) == {"a": 1}


def test_groups_are_whole_and_no_more_are_taken() -> None:
    questions = table({"a": 30, "b": 10}, prompts=4)
    drawn = stratified(questions, 50)
    assert len(drawn) == 48
    assert set(Counter(question.group for question in drawn).values()) == {4}
    assert counts(drawn) == {"a": 36, "b": 12}


def test_neither_order_nor_repetition_changes_what_is_drawn() -> None:
    questions = table({"a": 200, "b": 50}, prompts=2)
    drawn = stratified(questions, 60)
    assert drawn == [question for question in questions if question in drawn]
    mixed = random.Random(1).sample(questions, len(questions))
    assert {q.index for q in stratified(mixed, 60)} == {q.index for q in drawn}


def test_a_table_that_is_small_enough_stays_as_it_is() -> None:
    questions = table({"a": 3})
    assert stratified(questions, 3) == stratified(questions, 99) == questions


def test_less_than_a_group_is_refused() -> None:
    with pytest.raises(Refusal, match="come in groups of 4 and more"):
        stratified(table({"a": 3}, prompts=4), 3)


def test_a_part_of_mme_has_all_its_tasks_and_of_mmbench_whole_circles() -> None:
    mme = stratified(list(load_benchmark("mme").questions(ARTEFACTS / "mme.tsv")), 28)
    assert len({question.category for question in mme}) == 14
    assert set(Counter(question.group for question in mme).values()) == {2}
    questions = list(load_benchmark("mmbench_dev_en").questions(ARTEFACTS / "mmbench_dev_en.tsv"))
    whole = Counter(question.group for question in questions)
    part = Counter(question.group for question in stratified(questions, len(questions) // 2))
    assert part
    assert all(whole[group] == size for group, size in part.items())
