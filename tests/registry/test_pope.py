"""POPE: its four figures by hand, categories that a row shares, and items that stand for F1."""

from __future__ import annotations

import random
import statistics

import pytest

from registry.benchmark import Question, score_of_items
from registry.benchmarks import pope


def asked(index: int, answer: str, category: str = "random") -> Question:
    return Question(index, str(index), "Is there a dog in the image?", {}, answer, category)


def test_its_figures_are_those_of_the_replies_of_yes() -> None:
    truth = ["Yes"] * 5 + ["No"] * 5
    said = ["Yes, it is", "yes.", "Yes", "No", "I see a dog", "No", "no, there is not", "Yes", "是", "No"]
    questions = [asked(index, answer) for index, answer in enumerate(truth)]
    result = pope.score(questions, dict(enumerate(said)), "2024-05")
    # three found, one wrong Yes: precision 3/4; five are there: recall 3/5; f1 = 2 * .45 / 1.35
    assert result.metrics == pytest.approx({"f1": 200 / 3, "precision": 75, "recall": 60, "acc": 60})
    assert (result.score, result.unresolved) == (result.metrics["f1"], 2)


def test_a_row_of_several_categories_counts_for_each() -> None:
    questions = [asked(0, "Yes", "random,popular"), asked(1, "Yes", "random"), asked(2, "No", "popular")]
    result = pope.score(questions, {0: "Yes", 1: "No", 2: "No"}, "2024-05")
    # as four rows: found 2 of 3 that are there
    assert result.metrics == pytest.approx({"f1": 80, "precision": 100, "recall": 200 / 3, "acc": 75})
    assert result.breakdown["random recall"] == 50
    assert result.breakdown["popular f1"] == 100
    assert score_of_items(result.items) == pytest.approx(80)


def test_without_any_yes_there_is_no_f1() -> None:
    result = pope.score([asked(0, "No"), asked(1, "Yes")], {0: "No", 1: "No"}, "2024-05")
    assert result.metrics == {"f1": 0, "precision": 0, "recall": 0, "acc": 50}
    nothing = pope.score([asked(0, "No")], {0: "No"}, "2024-05")
    assert (nothing.score, nothing.metrics["acc"], nothing.items) == (0, 100, {"0": 0})


def test_the_spread_of_the_items_is_the_sampling_error_of_f1() -> None:
    """Against F1 of many redrawn benchmarks."""
    draw = random.Random(1)
    questions = [asked(index, draw.choice(("Yes", "No"))) for index in range(400)]
    said = {q.index: q.answer if draw.random() < 0.8 else draw.choice(("Yes", "No")) for q in questions}
    items = list(pope.score(questions, said, "2024-05").items.values())
    by_items = 100 * statistics.stdev(items) / len(items) ** 0.5
    again = []
    for _ in range(300):
        drawn = draw.choices(questions, k=400)
        renamed = [asked(place, question.answer) for place, question in enumerate(drawn)]
        again.append(pope.score(renamed, {place: said[q.index] for place, q in enumerate(drawn)}, "2024-05").score)
    assert by_items == pytest.approx(statistics.stdev(again), rel=0.2)
