"""TabMWP by the project's own rule: what counts as the same answer, and the parquet layout of the Hub."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.benchmark import Question
from registry.benchmarks import tabmwp_test
from registry.benchmarks.tabmwp_test import normalised
from registry.errors import Refusal

SAME = [
    ("84", "84", ""),
    ("84.", "84", ""),
    (" 84 ", "84.0", ""),
    ("$4,656.00", "4,656", "$"),
    ("4656 $", "4,656", "$"),
    ("-$5", "\N{MINUS SIGN}5", "$"),
    ("7 games per year", "7", "games per year"),
    ("3 / 10", "6/20", ""),
    ("0.3", "3/10", ""),
    (".5", "0.50", ""),
    ("1,234,567", "1234567", ""),
    ("2:35 P.M.", "2:35 p.m", ""),
    ("Web Page  Design class", "web page design class", ""),
]
DIFFERENT = [
    ("84", "85", ""),
    ("1,2", "12", ""),
    ("3/0", "0", ""),
    ("7 minutes", "7", "games per year"),
    ("the answer is 84", "84", ""),
    ("-5", "5", "$"),
    ("", "0", ""),
]


@pytest.mark.parametrize(("one", "other", "unit"), SAME)
def test_the_same_answer(one: str, other: str, unit: str) -> None:
    assert normalised(one, unit) == normalised(other, unit)


@pytest.mark.parametrize(("one", "other", "unit"), DIFFERENT)
def test_another_answer(one: str, other: str, unit: str) -> None:
    assert normalised(one, unit) != normalised(other, unit)


@given(st.text(max_size=50), st.text(max_size=8))
def test_any_text_has_one_normal_form(text: str, unit: str) -> None:
    assert normalised(text, unit) == normalised(f" {text}\n", unit)


def test_a_number_without_end_is_text() -> None:
    assert normalised("9" * 5000) == "9" * 5000


def write(path: Path, rows: list[dict[str, Any]], group: int = 2) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


def row(pid: str, answer: str, choices: list[str] | None = None, **more: Any) -> dict[str, Any]:
    image = {"bytes": f"picture {pid}".encode(), "path": f"{pid}.png"}
    return {"image": image, "pid": pid, "question": f"Q{pid}?", "choices": choices, "answer": answer, **more}


def test_the_hubs_parquet_layout(tmp_path: Path) -> None:
    rows = [row("16", "84", unit=None, grade=5), row("54", "no", ["yes", "no"]), row("60", "4", None, unit="$")]
    path = write(tmp_path / "test.parquet", rows)
    questions = list(tabmwp_test.questions(path))
    assert [(q.index, q.text, q.answer, dict(q.options)) for q in questions] == [
        (16, "Q16?", "84", {}),
        (54, "Q54?", "no", {"A": "yes", "B": "no"}),
        (60, "Q60?", "4", {}),
    ]
    assert [q.image_base64 for q in reversed(questions)] == [
        base64.b64encode(f"picture {pid}".encode()).decode() for pid in ("60", "54", "16")
    ]
    assert questions[0].row["grade"] == "5"
    assert tabmwp_test.score(questions, {16: "84.0", 54: "B", 60: "$4"}, "2024-05").score == 100


def test_rows_without_a_picture_or_a_whole_number_as_name(tmp_path: Path) -> None:
    first = row("a", "1") | {"image": {"bytes": None, "path": None}}
    questions = list(tabmwp_test.questions(write(tmp_path / "t.parquet", [first, row("2", "2")])))
    assert [q.index for q in questions] == ["a", "2"]
    assert questions[0].image_base64 is None


def test_prompts_of_both_kinds() -> None:
    free = Question(1, "1", "How many?", {}, "4")
    choice = Question(1, "1", "Which?", {"A": "x", "B": "y"}, "x")
    assert tabmwp_test.prompt(free) == "How many?\nAnswer the question using a single word or phrase."
    assert tabmwp_test.prompt(choice).startswith("Which?\nA. x\nB. y\nAnswer with the option's letter")


@pytest.mark.parametrize(
    ("reply", "letter"), [("linear", "A"), ("nonlinear", "B"), ("B", "B"), ("It is nonlinear, so B.", "B"), ("?", "")]
)
def test_a_reply_that_is_an_option_chooses_it(reply: str, letter: str) -> None:
    asked = Question(1, "1", "Which?", {"A": "linear", "B": "nonlinear"}, "nonlinear")
    [answer] = tabmwp_test.score([asked], {1: reply}, "2024-05").answers
    assert (answer.extracted, answer.hit) == (letter, letter == "B")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 not really")
    with pytest.raises(Refusal, match="cannot be read as parquet"):
        list(tabmwp_test.questions(broken))
    with pytest.raises(Refusal, match="no column image, question, choices"):
        list(tabmwp_test.questions(write(tmp_path / "other.parquet", [{"answer": "1"}])))
    with pytest.raises(Refusal, match="cannot be read as parquet"):
        list(tabmwp_test.questions(tmp_path / "absent.parquet"))


def test_a_row_without_answer_cannot_be_scored() -> None:
    with pytest.raises(Refusal, match="no answer in the table"):
        tabmwp_test.score([Question(1, "1", "?", {}, "")], {1: "4"}, "2024-05")
