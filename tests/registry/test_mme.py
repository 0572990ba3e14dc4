"""MME: acc and acc+, partial tables, and items whose mean is the score."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.benchmark import Question, Result, score_of_items
from registry.benchmarks import mme
from registry.errors import Refusal


def table(pictures: dict[str, int], prompts: int = 2) -> list[Question]:
    """Questions with this many pictures per task; the first of a picture is Yes, the others No."""
    return [
        Question((f"{task}-{picture}-{turn}"), f"{task}/{picture}", "?", {}, "No" if turn else "Yes", category=task)
        for task, count in pictures.items()
        for picture in range(count)
        for turn in range(prompts)
    ]


def score(questions: list[Question], wrong: set[object]) -> Result:
    opposite = {"Yes": "No", "No": "Yes"}
    replies = {q.index: opposite[q.answer] if q.index in wrong else q.answer for q in questions}
    return mme.score(questions, replies, "2024-05")


ALL = dict.fromkeys(mme.TASKS, 2)


def test_a_task_is_accuracy_plus_pairs() -> None:
    result = score(table(ALL), {"OCR-0-0", "count-0-0", "count-1-1"})
    assert result.breakdown["OCR"] == 75 + 50
    assert result.breakdown["count"] == 50 + 0
    assert result.breakdown["scene"] == 200
    assert result.metrics["perception"] == 125 + 50 + 8 * 200
    assert result.metrics["reasoning"] == 800
    assert result.score == pytest.approx(result.metrics["total"] / 28)
    assert not result.partial


def test_missing_tasks_make_it_partial_and_scale_the_maximum() -> None:
    result = score(table({"OCR": 2, "code_reasoning": 1}), {"OCR-0-0"})
    assert result.score == pytest.approx(100 * (125 + 200) / 400)
    assert result.metrics["perception"] == 125
    assert result.partial
    assert result.notes[0].startswith("partial: 2 of 14 tasks (artwork, ")


def test_tasks_of_another_name_are_reported_only() -> None:
    result = score(table(ALL | {"flags": 1}), {"flags-0-0"})
    assert (result.score, result.breakdown["flags"]) == (100, 50)
    assert "flags/0" not in result.items
    assert result.notes == ["tasks that are not MME's are reported but not in the score: flags"]
    with pytest.raises(Refusal, match="no task with two prompts a picture"):
        score(table({"flags": 1}), set())


def test_a_picture_with_one_prompt_is_left_out() -> None:
    questions = table(ALL)[:-1]
    result = score(questions, set())
    assert result.partial
    assert result.notes == ["partial: 1 pictures with a single prompt are left out"]
    assert len(result.items) == 27
    assert len(result.answers) == 55


def test_only_the_first_two_prompts_are_a_pair() -> None:
    questions = table({"OCR": 1}, prompts=3)
    assert score(questions, {"OCR-0-2"}).breakdown["OCR"] == pytest.approx(200 / 3 + 100)
    assert score(questions, {"OCR-0-1"}).breakdown["OCR"] == pytest.approx(200 / 3)


def test_rows_of_a_picture_need_not_be_adjacent() -> None:
    questions = table(ALL)
    shuffled = random.Random(3).sample(questions, len(questions))
    wrong: set[object] = {"OCR-0-0", "scene-1-1"}
    assert score(shuffled, wrong).metrics == score(questions, wrong).metrics


@given(
    pictures=st.dictionaries(st.sampled_from(mme.TASKS), st.integers(1, 4), min_size=1),
    prompts=st.integers(2, 3),
    seed=st.integers(0, 99),
)
def test_the_items_give_the_score_exactly(pictures: dict[str, int], prompts: int, seed: int) -> None:
    questions = table(pictures, prompts)
    wrong: set[object] = {q.index for q in questions if random.Random(f"{seed} {q.index}").random() < 0.4}
    result = score(questions, wrong)
    assert score_of_items(result.items, result.strata) == pytest.approx(result.score)
    assert all(0 <= value <= 1 for value in result.items.values())
    assert set(result.strata.values()) == set(pictures)


def test_unknown_is_wrong_and_counted() -> None:
    questions = table({"OCR": 1})
    result = mme.score(questions, {questions[0].index: "Yes:", questions[1].index: "None"}, "2024-05")
    assert (result.score, result.unresolved) == (0, 2)
    assert any("1 replies are words" in note for note in result.notes)


def test_an_answer_that_is_neither_is_refused() -> None:
    bad = Question(1, "OCR/0", "?", {}, "yes", category="OCR")
    with pytest.raises(Refusal, match="index 1: answer 'yes' is neither Yes nor No"):
        mme.score([bad], {1: "Yes"}, "2024-05")
