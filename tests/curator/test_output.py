"""Printing: foreign text is harmless, tables are aligned, JSON and CSV are exact."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator import output

Printed = Callable[[], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """What was printed on stdout since the last call."""
    return lambda: capsys.readouterr().out


@given(st.text())
def test_visible_text_holds_no_control_code(text: str) -> None:
    shown = output.visible(text)
    assert not [c for c in shown if not c.isprintable() and c not in "\n\t" and ord(c) < 0xA0]
    assert "\u202e" not in shown
    shown.encode()  # no lone surrogate is left


@pytest.mark.parametrize(
    "text", ["plain", "naïve Ünïcode", "日本語", "two\nlines\tand a tab", "family 👨\u200d👩\u200d👧"]
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert output.visible(text) == text


def test_control_codes_become_escapes() -> None:
    assert output.visible("\x1b[31mred\x07\x9b") == "\\x1b[31mred\\x07\\x9b"
    assert output.visible("a\u202eb\u2028c\ud800") == "a\\u202eb\\u2028c\\ud800"
    assert output.one_line("a\nb\tc") == "a\\nb\\tc"


def test_a_table_aligns_numbers_to_the_right(printed: Printed) -> None:
    output.print_table(("name", "rows"), [("a", 12345), ("long name", 7), ("none", None)])
    assert (
        printed() == "name         rows\n─────────  ──────\na          12,345\nlong name       7\nnone            -\n"
    )


def test_numbers_that_are_no_amounts_are_not_grouped(printed: Printed) -> None:
    output.print_table(("year", "share"), [(2024, 0.123456789)], grouped=False)
    assert printed().splitlines()[-1] == "2024  0.123457"


def test_wide_characters_count_two_columns(printed: Printed) -> None:
    output.print_table(("a", "b"), [("日本", "x"), ("abcd", "y")])
    assert printed().splitlines()[2:] == ["日本  x", "abcd  y"]


def test_on_a_narrow_terminal_the_widest_column_is_cut(printed: Printed) -> None:
    output.print_table(("id", "text"), [("1", "x" * 100)], max_width=30)
    assert [len(line) for line in printed().splitlines()] == [8, 30, 30]


def test_a_table_never_shrinks_a_column_to_nothing(printed: Printed) -> None:
    output.print_table(tuple("abcd"), [("x" * 50,) * 4], max_width=10)
    assert printed().splitlines()[-1] == "  ".join(["xxxxxxx…"] * 4)


def test_a_table_without_rows_is_its_head(printed: Printed) -> None:
    output.print_table(("name", "rows"), [])
    assert printed() == "name  rows\n────  ────\n"


def test_cells() -> None:
    shown = [output.cell(v) for v in (None, True, False, 1234567, 0.5, 12345.678, ["a", "b"], {"k": 1}, "x\ny")]
    assert shown == ["-", "yes", "no", "1,234,567", "0.5", "12,345.7", "a, b", '{"k": 1}', "x\\ny"]


def test_fields_leave_out_what_is_not_established(printed: Printed) -> None:
    output.print_fields([("name", "x"), ("empty", None), ("list", []), ("notes", "one\ntwo"), ("rows", 0)])
    assert printed() == "name   x\nnotes  one\n       two\nrows   0\n"


def test_json_is_strict_and_harmless(printed: Printed) -> None:
    value = {
        "nan": float("nan"),
        "inf": [float("inf")],
        "text": "\x1b\x9b\u202e",
        "decimal": Decimal("1.5"),
        "b": b"\x01",
    }
    output.print_json(value)
    text = printed()
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    read = json.loads(text)
    assert read == {"nan": None, "inf": [None], "text": "\x1b\x9b\u202e", "decimal": 1.5, "b": "01"}


@pytest.mark.parametrize("n", [0, 1, 3])
def test_rows_of_json_are_one_array(printed: Printed, n: int) -> None:
    output.print_json_rows({"i": i} for i in range(n))
    text = printed()
    assert json.loads(text) == [{"i": i} for i in range(n)]
    assert len(text.splitlines()) == max(n, 1)


def test_csv_is_exact_in_a_pipe(printed: Printed) -> None:
    rows = [("a,b", None, "line\nend"), ("\x1b", [1, 2], 'quote"')]
    output.print_csv(("x", "y", "z"), rows)
    read = list(csv.reader(io.StringIO(printed())))
    assert read == [["x", "y", "z"], ["a,b", "", "line\nend"], ["\x1b", "[1, 2]", 'quote"']]


def test_csv_is_harmless_on_a_terminal(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.print_csv(("x",), [("\x1b[2J",)])
    assert printed() == "x\n\\x1b[2J\n"


def test_csv_is_written_as_rows_come(printed: Printed) -> None:
    seen: list[int] = []

    def rows() -> Iterator[tuple[str]]:
        for number in range(3):
            seen.append(len(printed()))
            yield ("x" * 70_000 + str(number),)

    output.print_csv(("x",), rows())
    assert seen[1] > 70_000


def test_notes_and_progress_stay_off_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    output.note("hello \x1b")
    with output.progress("working", total=2) as advance:
        advance(1)
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err == "hello \\x1b\n"
