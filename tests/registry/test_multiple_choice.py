"""Multiple choice: the prompt to the character, circular groups, splits, and the notes about altered cells."""

from __future__ import annotations

import itertools

import pytest

from registry import multiple_choice
from registry.benchmark import Index, Question, Result
from registry.errors import Refusal
from registry.multiple_choice import Identity, circular_group, prompt
from registry.table import Row

ME = Identity("x", 1)
TEXTS = ("red", "green", "blue")


def question(index: Index = 1, group: str = "", answer: str = "A", **row: str) -> Question:
    options = dict(zip("ABC", TEXTS, strict=True))
    group = group or str(index)
    return Question(index, group, "What?", options, answer, category=row.get("category", ""), row=row)


def circle(main: int, **row: str) -> list[Question]:
    """A question and its two rotations; the answer moves with the options."""
    rows = []
    for turn, answer in enumerate("ACB"):
        texts = [*TEXTS[turn:], *TEXTS[:turn]]
        options = dict(zip("ABC", texts, strict=True))
        index = main + turn * multiple_choice.CIRCLE
        rows.append(Question(index, str(main), "What?", options, answer, row.get("category", ""), row))
    return rows


def score(questions: list[Question], replies: dict[Index, str], rules: str = "2024-05") -> Result:
    return multiple_choice.score(ME, questions, replies, rules)


def right(questions: list[Question]) -> dict[Index, str]:
    return {question.index: question.answer for question in questions}


def test_the_prompt_is_llavas_to_the_character() -> None:
    asked = question(hint="Look closely.")
    assert prompt(asked) == (
        "Look closely.\nWhat?\nA. red\nB. green\nC. blue\n"
        "Answer with the option's letter from the given choices directly."
    )


def test_the_default_prompt_names_its_parts_and_ends_with_a_line() -> None:
    assert prompt(question(hint="Look closely."), "default") == (
        "Hint: Look closely.\nQuestion: What?\nOptions:\nA. red\nB. green\nC. blue\n"
        "Please select the correct answer from the options above. \n"
    )
    assert prompt(Question(1, "1", "What?", {}, "A"), "default") == "Question: What?\n"


def test_a_chinese_prompt_is_closed_in_chinese() -> None:
    chinese = Question(1, "1", "这是什么?", {"A": "red"}, "A")
    by_option = Question(1, "1", "What?", {"A": "红"}, "A")
    assert prompt(chinese) == "这是什么?\nA. red\n请直接回答选项字母。"
    assert prompt(by_option).endswith("\n请直接回答选项字母。")
    assert prompt(Question(1, "1", "这是什么?", {}, "A")) == "这是什么?\n请直接回答问题。"


def test_a_question_without_options_asks_directly() -> None:
    assert prompt(Question(1, "1", "What?", {}, "A")) == "What?\nAnswer the question directly."


@pytest.mark.parametrize(
    ("index", "cells", "group"),
    [
        (7, {}, "7"),
        (2_000_007, {}, "7"),
        (12, {"g_index": "3"}, "3"),
        ("v1", {}, "v1"),
    ],
)
def test_the_group_is_the_main_index(index: Index, cells: dict[str, str], group: str) -> None:
    assert circular_group(Row(2, index, cells, (), "")) == group


def test_a_group_counts_only_when_every_rotation_is_right() -> None:
    questions = circle(1) + circle(2)
    replies = right(questions)
    replies[1_000_002] = "A"
    result = score(questions, replies)
    assert result.items == {"1": 1.0, "2": 0.0}
    assert result.score == 50
    assert len(result.answers) == 6


@pytest.mark.parametrize("reply", ["I do not know", "Z", "B", ""])
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_one_wrong_or_unclear_rotation_loses_the_group(turn: int, reply: str) -> None:
    questions = circle(5)
    asked = questions[turn]
    if asked.answer == reply:
        reply = "A"
    assert score(questions, right(questions) | {asked.index: reply}).items == {"5": 0.0}


def test_the_order_of_the_rows_does_not_matter() -> None:
    questions = [*circle(1), question(2)]
    results = {score(list(order), right(questions)).score for order in itertools.permutations(questions)}
    assert results == {100.0}


def test_missing_rotations_do_not_matter_but_a_missing_main_row_does() -> None:
    whole, no_main, no_turn = circle(1), circle(2)[1:], circle(3)[:2]
    questions = whole + no_main + no_turn
    result = score(questions, right(questions))
    assert set(result.items) == {"1", "3"}
    assert result.notes == ["1 groups without their main question are not scored"]
    with pytest.raises(Refusal, match="no main question"):
        score(no_main, right(no_main))


def test_abilities_have_their_short_names_and_categories_their_own() -> None:
    abilities = {"l2-category": "finegrained_perception (cross-instance)", "category": "counting"}
    questions = [question(1, **abilities), question(2, **{"l2-category": "else", "category": "naming"})]
    result = score(questions, {1: "A", 2: "B"})
    assert result.metrics == {"overall": 50.0, "FP-C": 100.0, "else": 0.0}
    assert result.breakdown == {"counting": 100.0, "naming": 0.0}


def test_the_headline_is_split_dev_where_there_is_one() -> None:
    questions = [question(1, split="dev"), question(2, split="test")]
    result = score(questions, {1: "A", 2: "B"})
    assert (result.score, result.items) == (100, {"1": 1.0})
    assert result.notes == ["1 questions of other splits than dev are not in the score"]
    assert score(questions[1:], {2: "B"}).items == {"2": 0.0}


def test_altered_cells_and_lost_replies_are_counted_and_said() -> None:
    altered = Question(1, "1", "q", {"A": "red"}, "A", altered=("B",))
    result = score([altered, question(2)], {1: "A", 2: "None"})
    assert result.notes == [
        "1 prompts have a cell the published rules lose or rewrite (index 1)",
        "1 replies are words the published rules read as missing ('None', 'NA', empty …)",
    ]
    assert result.unresolved == 1


def test_a_reply_none_does_not_choose_the_option_none() -> None:
    asked = Question(1, "1", "q", {"A": "none", "B": "two"}, "A")
    assert score([asked], {1: "None"}).score == 0
    assert score([asked], {1: "none"}).score == 100
    assert score([Question(1, "1", "q", {"A": "n", "B": "x"}, "A")], {1: "None"}).score == 100  # "n" is in "nan"


def test_the_profiles_differ_where_they_should() -> None:
    replies: dict[Index, str] = {1: "A because I looked at the picture for a long time"}
    assert [score([question(1)], replies, rules).score for rules in ("2024-05", "2025-08", "2026-06")] == [100, 0, 0]


def test_a_table_without_answers_cannot_be_scored() -> None:
    with pytest.raises(Refusal, match="index 1: the table has no answer"):
        score([question(1, answer="")], {1: "A"})
