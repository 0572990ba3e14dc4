"""Benchmark tables as published: what is read, what is lost the published way, and what is refused."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import table as tables
from registry.benchmark import Question
from registry.errors import Refusal
from registry.table import MISSING_WORDS, read_cells, read_questions, read_table, reply_as_read

PICTURE = "iVBORw0KGgo" * 7
"""Long enough (77 characters) to be a picture and no reference."""


def write(folder: Path, text: str, name: str = "t.tsv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def as_tsv(rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter="\t", lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def questions(path: Path) -> list[Question]:
    return list(read_questions(path, lambda row: str(row.index)))


def options_of(folder: Path, *columns: list[str]) -> list[dict[str, str]]:
    """Options as read from a table whose option columns hold these texts."""
    header = ["index", "question", *"ABCDEF"[: len(columns)]]
    rows = [[str(i), "q", *(column[i] for column in columns)] for i in range(len(columns[0]))]
    path = write(folder, as_tsv([header, *rows]))
    return [dict(question.options) for question in questions(path)]


def test_a_plain_table(tmp_path: Path) -> None:
    rows = [["Index", "question", "A", "B", "L2-Category", "answer"], ["7", "what?", "x", "y", "AR", "B"]]
    [question] = questions(write(tmp_path, as_tsv(rows)))
    assert (question.index, question.group, question.text, question.answer) == (7, "7", "what?", "B")
    assert question.options == {"A": "x", "B": "y"}
    assert question.row["l2-category"] == "AR"
    assert question.image_base64 is None
    assert question.image_key == ""
    assert question.altered == ()


def test_quotes_tabs_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    awkward = ['say "hi"', "a\tb", "two\nlines", 'one\r\n"more"', '5" pipe', "ünï 中"]
    text = "\ufeff" + as_tsv([["index", "question"], *([str(i), text] for i, text in enumerate(awkward))])
    path = write(tmp_path, text + "\n\n")
    assert [question.text for question in questions(path)] == awkward
    assert [row.line for row in read_table(path).rows] == [2, 3, 4, 6, 8, 9]


def test_a_quote_within_a_cell_opens_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, 'index\tquestion\n1\ta 5" pipe\n2\tb\n')
    assert [question.text for question in questions(path)] == ['a 5" pipe', "b"]


def test_windows_line_ends_and_no_last_line_end(tmp_path: Path) -> None:
    path = write(tmp_path, "index\tquestion\r\n1\ta\r\n2\tb")
    assert [question.text for question in questions(path)] == ["a", "b"]


def test_indexes_are_ints_only_when_all_are(tmp_path: Path) -> None:
    ints = write(tmp_path, "index\tquestion\n1\ta\n1000001\tb\n")
    mixed = write(tmp_path, "index\tquestion\n1\ta\nv_2\tb\n", "mixed.tsv")
    assert [question.index for question in questions(ints)] == [1, 1_000_001]
    assert [question.index for question in questions(mixed)] == ["1", "v_2"]


def test_pictures_are_read_when_asked_for_and_references_are_followed(tmp_path: Path) -> None:
    other = PICTURE.replace("i", "j")
    rows = [["index", "image", "question"], ["1000002", "2", "b'"], ["1", PICTURE, "a"], ["2", other, 'b "x"']]
    path = write(tmp_path, as_tsv(rows))
    rotated, first, second = questions(path)
    assert (first.image_base64, second.image_base64, rotated.image_base64) == (PICTURE, other, other)
    assert rotated.image_key == second.image_key != first.image_key
    assert "image" not in first.row


def test_rows_without_a_picture_are_dropped_as_published(tmp_path: Path) -> None:
    path = write(tmp_path, as_tsv([["index", "image", "question"], ["1", "", "a"], ["2", PICTURE, "b"]]))
    assert [question.index for question in questions(path)] == [2]


def test_a_picture_written_as_a_list(tmp_path: Path) -> None:
    rows = [["index", "image", "question"], ["1", f"['{PICTURE}']", "a"], ["2", f"['{PICTURE}', '{PICTURE}']", "b"]]
    one, two = questions(write(tmp_path, as_tsv(rows)))
    assert one.image_base64 == PICTURE
    with pytest.raises(Refusal, match=r"t\.tsv:3: 2 pictures in one prompt"):
        _ = two.image_base64


def test_a_list_of_pictures_is_no_code(tmp_path: Path) -> None:
    cell = "[__import__('os').getcwd(), '" + PICTURE + "']"
    [question] = questions(write(tmp_path, as_tsv([["index", "image", "question"], ["1", cell, "a"]])))
    with pytest.raises(Refusal, match="neither base64 nor a list"):
        _ = question.image_base64


def test_missing_words_vanish_and_are_named(tmp_path: Path) -> None:
    rows = [
        ["index", "question", "hint", "A", "B", "C"],
        ["1", "q", "N/A", "red", "None", "none"],
        ["2", "q", "", "a", "b", ""],
    ]
    lost, whole = questions(write(tmp_path, as_tsv(rows)))
    assert lost.options == {"A": "red", "C": "none"}
    assert lost.altered == ("hint", "B")
    assert "hint" not in lost.row
    assert whole.altered == ()
    assert whole.options == {"A": "a", "B": "b"}


def test_missing_words_stay_when_the_table_is_not_read_the_published_way(tmp_path: Path) -> None:
    path = write(tmp_path, as_tsv([["index", "question", "A", "B"], ["1", "q", "None", "007"]]))
    [row] = read_table(path, pandas_words=False).rows
    assert (row.cells["A"], row.cells["B"], row.altered) == ("None", "007", ())


@pytest.mark.parametrize("word", sorted(MISSING_WORDS))
def test_a_reply_that_is_a_missing_word_becomes_nan(word: str) -> None:
    assert reply_as_read(word) == "nan"
    assert reply_as_read(f"{word}.") == f"{word}."


@pytest.mark.parametrize(
    ("column", "read"),
    [
        (["1", "20", "007"], ["1", "20", "7"]),
        (["1", "", "3"], ["1.0", None, "3.0"]),
        (["1", "2.50", "-3e2"], ["1.0", "2.5", "-300.0"]),
        (["1", "two", "007"], ["1", "two", "007"]),
        (["1", "None", "7"], ["1.0", None, "7.0"]),
        (["true", "FALSE", ""], ["True", "False", None]),
        (["true", "maybe", "1"], ["true", "maybe", "1"]),
        (["1", "99999999999999999999", ""], ["1", "99999999999999999999", None]),
        (["1,000", "2", "3"], ["1,000", "2", "3"]),
        (["inf", "1", "2"], ["inf", "1.0", "2.0"]),
    ],
)
def test_option_columns_of_numbers_are_read_as_numbers(
    tmp_path: Path, column: list[str], read: list[str | None]
) -> None:
    found = options_of(tmp_path, column, ["x"] * len(column))
    assert [options.get("A") for options in found] == read


def test_rewritten_options_are_named(tmp_path: Path) -> None:
    rows = [["index", "question", "A", "B"], ["1", "q", "1", "x"], ["2", "q", "", "y"]]
    assert [question.altered for question in questions(write(tmp_path, as_tsv(rows)))] == [("A",), ()]


def test_columns_that_are_needed(tmp_path: Path) -> None:
    path = write(tmp_path, "index\tquestion\n1\ta\n2\tb\n3\tc\n")
    assert [q.index for q in read_questions(path, lambda row: str(row.line))] == [1, 2, 3]
    with pytest.raises(Refusal, match="no column answer, category"):
        list(read_questions(path, lambda row: str(row.line), needs=("answer", "category")))


REFUSED = [
    ("", ":1: no column index, question"),
    ("index,question\n1,a\n", ":1: no column index, question"),
    ("index\tquestion\tquestion\n", ":1: column question occurs twice"),
    ("index\tquestion\n1\n", ":2: 1 cells where the header has 2"),
    ("index\tquestion\n1\ta\n\n2\tb\tc\n", ":4: 3 cells where the header has 2"),
    ("index\tquestion\n1\ta\n1\tb\n", ":3: index '1' stands in line 2 already"),
    ("index\tquestion\n\ta\n", ":2: no index"),
    ('index\tquestion\n1\t"a\nb\n', ":2: a quote is opened and never closed"),
    ("index\tquestion\n1\ta\rb\n", ":2: not a readable row"),
    ("index\timage\tquestion\n1\t5\ta\n", ":2: image refers to index '5'"),
    ("index\tquestion\n1\t\n", ":2: the row has no question"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Refusal, match=re.escape(f"t.tsv{message}")):
        questions(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(b"index\tquestion\n1\ta\n2\t\xff\xfe\n")
    with pytest.raises(Refusal, match=r"t\.tsv:3: not UTF-8"):
        questions(path)


def test_a_row_of_unbounded_length_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_LIMIT_BYTES", 1000)
    long = write(tmp_path, "index\tquestion\n1\t" + "x" * 2000 + "\n")
    quoted = write(tmp_path, 'index\tquestion\n1\t"' + "x\n" * 2000 + '"\n', "quoted.tsv")
    for path in (long, quoted):
        with pytest.raises(Refusal, match=f"{path.name}:2: the row is longer than"):
            questions(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be read"):
        questions(tmp_path / "none.tsv")
    with pytest.raises(Refusal, match="cannot be read"):
        questions(tmp_path)


def test_any_tsv_can_be_read_by_cells(tmp_path: Path) -> None:
    path = write(tmp_path, as_tsv([["prediction", "index"], ["a\nb", "1"], ["None", "2"]]))
    assert list(read_cells(path, ("index",))) == [
        (2, {"prediction": "a\nb", "index": "1"}),
        (4, {"prediction": "None", "index": "2"}),
    ]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12)


@given(texts=st.lists(CELLS, min_size=1, max_size=8))
def test_what_csv_writes_is_read_back(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = [["index", "question", "A"], *([str(i), f"q{text}", f"-{text}"] for i, text in enumerate(texts))]
    path = write(tmp_path_factory.mktemp("t"), as_tsv(rows))
    table = read_table(path, pandas_words=False)
    assert [(row.cells["question"], row.cells["A"]) for row in table.rows] == [(f"q{t}", f"-{t}") for t in texts]


def test_rows_with_copies_of_a_picture_share_its_key(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    one, other = "iVBOR" * 20, "/9j/4" * 20
    path.write_text(f"index\timage\tquestion\n1\t{one}\ta\n2\t{other}\tb\n3\t{one}\tc\n4\t3\td\n5\t1\te\n")
    questions = list(read_questions(path, lambda row: str(row.index)))
    assert [question.image_key for question in questions] == ["1", "2", "1", "1", "1"]
    assert [question.image_base64 for question in questions] == [one, other, one, one, one]
