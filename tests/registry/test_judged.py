"""Where a judge is heard: only where the rules read nothing; and MathVista's and LLaVA-Bench's own quirks."""

from __future__ import annotations

import pytest

from registry.benchmark import Index, Question, load_benchmark
from registry.benchmarks import hallusionbench, llavabench, mathvista_mini
from registry.errors import Refusal


def choice(index: int, answer: str) -> Question:
    return Question(index, str(index), "What?", {"A": "red", "B": "blue"}, answer)


def test_a_judge_is_heard_where_no_letter_is_found_and_read_by_the_same_rules() -> None:
    asked = [choice(1, "A"), choice(2, "A"), choice(3, "B"), choice(4, "A")]
    replies: dict[Index, str] = {1: "B", 2: "the warm one", 3: "the cold one", 4: "no idea"}
    said: dict[Index, str] = {1: "A", 2: "A", 3: "I would say blue", 4: "hm"}
    result = load_benchmark("seedbench_img").score(asked, replies, "2024-05", said)
    assert [(one.extracted, one.hit, one.judged) for one in result.answers] == [
        ("B", False, False),
        ("A", True, True),
        ("B", True, True),
        ("", False, True),
    ]
    assert result.unresolved == 1
    assert result.summary()["judged"] == 3


def test_a_judge_of_yes_and_no_is_read_as_a_reply() -> None:
    def asked(index: str, answer: str) -> Question:
        row = {"l2-category": "VS_chart"}
        return Question(index, "VS_chart/0", "Is it?", {}, answer, category="VS", row=row)

    questions = [asked("VS_chart_1_0_0_0", "Yes"), asked("VS_chart_1_0_1_0", "No")]
    replies: dict[Index, str] = {questions[0].index: "**Yes**", questions[1].index: "No"}
    assert hallusionbench.score(questions, replies, "2024-05").metrics["aAcc"] == 50
    result = hallusionbench.score(questions, replies, "2024-05", dict.fromkeys(replies, "Yes."))
    assert result.metrics == {"mean": 100, "aAcc": 100, "fAcc": 100, "qAcc": 100}
    assert [answer.judged for answer in result.answers] == [True, False]


def number(index: int, answer: str, kind: str, question_type: str = "free_form", **row: str) -> Question:
    cells = {"answer_type": kind, "question_type": question_type, "task": "t", "skills": "['s']", "choices": "[]"}
    return Question(index, str(index), "How many?", {}, answer, row={**cells, **row})


@pytest.mark.parametrize(
    ("question", "reply", "judge", "hit", "by_judge"),
    [
        (number(1, "0", "integer"), "0", None, False, False),  # a right 0 is taken for no number
        (number(1, "0", "integer"), "0", "0", True, True),
        (number(1, "14", "integer"), "fourteen", "14", True, True),
        (number(1, "14", "integer"), "14", "15", True, False),
        (number(1, "14", "integer"), "13", "14.0", False, True),
        (number(1, "1.5", "float"), "about 1.5", "1.50", True, True),
        (number(1, "1.5", "float"), "1.5", None, True, False),
        (number(1, "[0, 4]", "list"), "[0, 4]", "[0, 4]", False, True),
        (
            number(1, "cat", "text", "multi_choice", choices="['cat', 'dog']", answer_option="A"),
            "dog",
            "A",
            False,
            False,
        ),
        (number(1, "cat", "text", "multi_choice", choices="['cat', 'dog']", answer_option="A"), "?", "(A)", True, True),
    ],
)
def test_mathvista_hears_a_judge_where_the_reply_settles_nothing(
    question: Question, reply: str, judge: str | None, hit: bool, by_judge: bool
) -> None:
    said: dict[Index, str] = {} if judge is None else {1: judge}
    (answer,) = mathvista_mini.score([question], {1: reply}, "2024-05", said).answers
    assert (answer.hit, answer.judged) == (hit, by_judge)


def test_mathvista_says_what_it_cannot_count() -> None:
    questions = [number(1, "[0, 4]", "list"), number(2, "3", "integer")]
    result = mathvista_mini.score(questions, {1: "[0, 4]", 2: "three"}, "2024-05")
    assert result.unresolved == 2
    assert result.notes == [
        "2 replies need a judge and count as wrong: the published figure has one",
        "1 prompts ask for a list, which the published rules never count as right",
    ]


@pytest.mark.parametrize("cell", ["__import__('os').system('true')", "[" * 30_000, "{'a': 1}", "7"])
def test_a_list_cell_is_never_run(cell: str) -> None:
    with pytest.raises(Refusal, match="column skills holds no list"):
        mathvista_mini.score([number(1, "3", "integer", skills=cell)], {1: "3"}, "2024-05")


@pytest.mark.parametrize(
    ("review", "pair"),
    [
        ("8 7", (8, 7)),
        ("8.5,7\nBoth are good.", (8.5, 7)),
        ("8, 7", (-1, -1)),
        ("8 7 ", (-1, -1)),
        ("8/10 7/10", (-1, -1)),
        ("", (-1, -1)),
        ("\n8 7", (-1, -1)),
    ],
)
def test_a_review_begins_with_two_numbers_and_one_blank_or_comma(review: str, pair: tuple[float, float]) -> None:
    assert llavabench.ratings(review) == pair


def test_there_is_no_relative_score_without_reviews() -> None:
    questions = [Question(1, "1", "What?", {}, ""), Question(2, "2", "What?", {}, "")]
    with pytest.raises(Refusal, match="2 of 2 replies have no review") as refusal:
        llavabench.score(questions, {1: "a", 2: "b"}, "2024-05")
    assert "--judge-replies" in refusal.value.way_out
    with pytest.raises(Refusal, match="are 0 on average"):
        llavabench.score(questions, {1: "a", 2: "b"}, "2024-05", {1: "0 7", 2: "0 7"})


def test_an_index_that_names_no_set_is_refused() -> None:
    from pathlib import Path

    table = Path(__file__).parent / "benchmarks" / "mme.tsv"
    with pytest.raises(Refusal, match="no column l2-category"):
        list(hallusionbench.questions(table))
