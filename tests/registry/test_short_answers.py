"""Short answers by the published measures, each figure worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.benchmark import Question, load_benchmark
from registry.errors import Refusal
from registry.short_answers import anls, answers_of, edit_distance, normalised, relaxed_accuracy, vqa_score

TEN = ["nokia"] * 10


def asked(answer: str, index: int = 1) -> Question:
    return Question(index, str(index), "what brand is it?", {}, answer)


@pytest.mark.parametrize(
    ("reply", "answers", "value"),
    [
        ("nokia", TEN, 1.0),
        ("Nokia.", TEN, 1.0),
        ("The answer is Nokia", TEN, 0.0),
        # one of ten: it is nobody's among the nine others, for the nine it is one of three
        ("nokia", ["nokia"] + ["sony"] * 9, (1 * 0 + 9 * 1 / 3) / 10),
        ("nokia", ["nokia"] * 2 + ["sony"] * 8, (2 * 1 / 3 + 8 * 2 / 3) / 10),
        ("nokia", ["nokia"] * 3 + ["sony"] * 7, (3 * 2 / 3 + 7 * 1) / 10),
        ("nokia", ["nokia"] * 4 + ["sony"] * 6, 1.0),
        ("nokia", ["nokia"], 0.0),
        ("", TEN, 0.0),
        ("x" * 10_000, TEN, 0.0),
    ],
)
def test_vqa_score(reply: str, answers: list[str], value: float) -> None:
    assert vqa_score(reply, answers, "2024-05")[1] == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("The Stop Sign", "stop sign"),
        ("two", "2"),
        ("none", "0"),
        ("eleven", "eleven"),
        ("DONT walk", "don't walk"),
        ("somebody'd", "somebodyd"),
        ("shes", "shes"),
        ("red-blue", "red blue"),  # no blank beside the mark: it becomes one
        ("red - blue", "red blue"),
        ("red- blue", "red blue"),
        ("a/b c/ d", "ab c d"),  # one of them stands beside a blank: all are deleted
        ("1,000", "1000"),
        ("1,000 a-b", "1000 ab"),  # a comma in a number anywhere deletes every mark
        ("3.5", "3.5"),
        ("st. 5 p.m.", "st 5 pm"),
        ("10:30", "10:30"),
        ("3.", "3"),
        ("page 3. of 5", "page 3 of 5"),
        ("line\nend\ttab", "line end tab"),
        ("是的", "是的"),
        ("a", ""),
    ],
)
def test_the_form_in_which_short_answers_are_compared(text: str, form: str) -> None:
    assert normalised(text) == form


@pytest.mark.parametrize(
    ("reply", "answer", "first", "later"),
    [
        ("14", "14", True, True),
        ("95", "100", False, True),  # 5 is more than 5 % of 95
        ("105", "100", True, True),
        ("105.2", "100", True, False),  # 5.2 is 4.94 % of 105.2
        ("94", "100", False, False),
        ("57%", "0.57", True, True),
        ("-3.1", "-3", True, True),
        ("3", "-3", False, False),
        ("0", "0", True, True),
        ("0.0", "0", False, False),  # as text
        ("0", "5", False, False),  # 2024-05: 5 % of the reply cannot be taken, so text; later: 100 % off
        ("Yes", "yes", True, True),
        ("Yes.", "yes", False, False),
        (" blue ", "Blue", True, True),
        ("2,000", "2000", False, False),
        ("红色", "红色", True, True),
        ("The answer is 14", "14", False, False),
        ("nan", "nan", False, False),
        ("inf", "5", False, False),
    ],
)
def test_relaxed_accuracy(reply: str, answer: str, first: bool, later: bool) -> None:
    found = [relaxed_accuracy(reply, [answer], rules)[1] for rules in ("2024-05", "2025-08", "2026-06")]
    assert found == [first, later, later]


@pytest.mark.parametrize(
    ("reply", "answers", "value"),
    [
        ("University of California", ["University of California"], 1.0),
        ("university of  california", ["University of California"], 1.0),
        ("1999", ["1998"], 0.75),
        ("98", ["1998"], 0.5),
        ("9", ["1998"], 0.0),  # a quarter
        ("abxxx", ["abcd"], 0.0),  # three changes of five
        ("  1999    ", ["1998"], 0.9),  # one change of ten characters, blanks included
        ("5000", ["$ 5,000", "5000"], 1.0),
        ("The answer is Dr. Smith.", ["Dr. Smith"], 0.0),
        ("合同编码", ["合同编号"], 0.75),
        ("", ["x"], 0.0),
        ("", [""], 1.0),
        ("A " * 5000, ["p. 4"], 0.0),
    ],
)
def test_anls(reply: str, answers: list[str], value: float) -> None:
    assert anls(reply, answers, "2024-05")[1] == pytest.approx(value)


@given(st.text("abc ", max_size=8), st.text("abc ", max_size=8))
def test_the_edit_distance_is_one(first: str, second: str) -> None:
    distance = edit_distance(first, second)
    assert distance == edit_distance(second, first)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))
    assert (distance == 0) == (first == second)


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("['a', 'b']", ["a", "b"]),
        ("[1, 2.5]", ["1", "2.5"]),
        ("plain", ["plain"]),
        ("[not a list]", ["[not a list]"]),
        ("{'a': 1}", ["{'a': 1}"]),
        ("[__import__('os').system('true')]", ["[__import__('os').system('true')]"]),
        ("[" * 5000, ["[" * 5000]),
        ("", ["nan"]),
    ],
)
def test_answers_are_a_list_or_a_text_and_never_run(cell: str, answers: list[str]) -> None:
    assert answers_of("x", asked(cell)) == answers


def test_what_cannot_be_scored_is_refused() -> None:
    benchmark = load_benchmark("docvqa_val")
    with pytest.raises(Refusal, match="the table has no answers"):
        benchmark.score([asked("")], {1: "a"}, "2024-05")
    with pytest.raises(Refusal, match="index 1: the list of its answers is empty"):
        benchmark.score([asked("[]")], {1: "a"}, "2024-05")
    with pytest.raises(Refusal, match="scored without a judge"):
        benchmark.score([asked("['a']")], {1: "a"}, "2024-05", {1: "b"})


def test_empty_replies_are_wrong_and_counted() -> None:
    result = load_benchmark("chartqa_test").score([asked("7"), asked("8", 2)], {1: "", 2: "8"}, "2026-06")
    assert (result.score, result.unresolved) == (50, 1)
    assert "1 replies are words the published rules read as missing" in result.notes[0]


def test_the_request_is_llavas() -> None:
    for name in ("chartqa_test", "docvqa_val", "textvqa_val"):
        benchmark = load_benchmark(name)
        expected = "what brand is it?\nAnswer the question using a single word or phrase."
        assert [benchmark.prompt(asked("x"), style) for style in ("llava", "default")] == [expected] * 2
        assert benchmark.judge_request(asked("x"), "anything", "2024-05") is None
