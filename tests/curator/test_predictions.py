"""Predictions in the files of other tools: read, written, read again, and hostile ones refused."""

from __future__ import annotations

import csv
import io
import json
import resource
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from curator import spreadsheet
from curator.predictions import Said, read_predictions, write_predictions
from curator.spreadsheet import read_sheet, write_sheet
from registry.benchmark import Index, Question, load_benchmark
from registry.errors import Refusal

ARTEFACTS = Path(__file__).parents[1] / "registry" / "benchmarks"
MESSY = [
    "The answer is B.",
    "(C) cat",
    "",
    " blanks ",
    "line\nend\ttab",
    'a "quote"',
    "答案是C。",
    "_x0041_",
    "1.50",
    "😀&<>",
]


def book(path: Path, rows: Sequence[Sequence[str | int]]) -> Path:
    with path.open("wb") as file:
        write_sheet(file, [str(name) for name in rows[0]], rows[1:])
    return path


def said(name: str) -> tuple[Said, dict[str, str]]:
    """An artefact's questions and replies."""
    table = ARTEFACTS / f"{name}.tsv"
    questions = list(load_benchmark(name).questions(table))
    replies: dict[str, str] = json.loads((ARTEFACTS / f"{name}.json").read_text())["replies"]
    return Said(table, questions, {q.index: replies[str(q.index)] for q in questions}), replies


@pytest.mark.parametrize("ending", [".xlsx", ".tsv", ".jsonl"])
@pytest.mark.parametrize("name", ["mme", "hallusionbench", "mmbench_dev_cn", "docvqa_val"])
def test_what_is_written_is_read_again(name: str, ending: str, tmp_path: Path) -> None:
    given, replies = said(name)
    path = tmp_path / "out" / f"model_{name}{ending}"
    write_predictions(path, given)
    first = path.read_bytes()
    assert read_predictions(path, questions=given.questions) == replies
    write_predictions(path, given)
    assert path.read_bytes() == first
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".xlsx", ".tsv"])
def test_vlmevalkits_files_have_every_column_but_the_picture(ending: str, tmp_path: Path) -> None:
    given, replies = said("mmbench_dev_en")
    path = tmp_path / f"m{ending}"
    write_predictions(path, given)
    with given.table.open() as file:
        before = [row for row in csv.DictReader(file, delimiter="\t") if row["index"] in replies]
    columns = [name.lower() if len(name) > 1 else name for name in before[0] if name != "image"]
    if ending == ".tsv":
        with path.open() as file:
            after = list(csv.DictReader(file, delimiter="\t"))
    else:
        after = [cells for _, cells in read_sheet(path, [name.lower() for name in [*columns, "prediction"]])]
        columns = [name.lower() for name in columns]
    assert list(after[0]) == [*columns, "prediction"]
    for old, new in zip(before, after, strict=True):
        low = {name.lower() if ending == ".xlsx" or len(name) > 1 else name: cell for name, cell in old.items()}
        assert new == {name: low[name] for name in columns} | {"prediction": replies[old["index"]]}


def test_another_reader_reads_our_spreadsheet_and_we_read_another_writers(tmp_path: Path) -> None:
    calamine = pytest.importorskip("python_calamine")
    writer = pytest.importorskip("xlsxwriter")
    ours = book(tmp_path / "ours.xlsx", [["index", "prediction"], *enumerate(MESSY)])
    rows = calamine.load_workbook(str(ours)).get_sheet_by_index(0).to_python()
    assert rows == [["index", "prediction"], *([float(place), text] for place, text in enumerate(MESSY))]
    theirs = tmp_path / "theirs.xlsx"
    with writer.Workbook(str(theirs)) as other:
        sheet = other.add_worksheet()
        sheet.write_row(0, 0, ["Index", "x", "Prediction"])
        for place, text in enumerate(MESSY):
            sheet.write(place + 1, 0, place)
            sheet.write_string(place + 1, 2, text)
        sheet.write_rich_string(20, 2, "two ", other.add_format({"bold": True}), "fonts")
        sheet.write(20, 0, 20)
        sheet.write(21, 0, 21)
        sheet.write_formula(21, 2, '="A"&"B"', None, "AB")
        sheet.write(22, 0, 22)
        sheet.write(22, 2, True)
        sheet.write(23, 0, 23)
        sheet.write(23, 2, 14)
    expected = {str(place): text for place, text in enumerate(MESSY)}
    assert read_predictions(ours) == expected
    assert read_predictions(theirs) == expected | {"20": "two fonts", "21": "AB", "22": "True", "23": "14"}


@pytest.mark.parametrize("text", ["\x00 control \x1b", "half \ud800 pair", "x" * 40_000])
def test_no_reply_is_lost_or_breaks_a_file(text: str, tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("index\tquestion\n7\tq\n")
    given = Said(table, [Question(7, "7", "q", {}, "a")], {7: text})
    write_predictions(tmp_path / "p.jsonl", given)
    assert read_predictions(tmp_path / "p.jsonl", questions=given.questions) == {"7": text}
    if len(text) > spreadsheet.LONGEST_CELL:
        with pytest.raises(Refusal, match=r"a cell of index 7 has 40,000 characters, and \.xlsx holds 32,767"):
            write_predictions(tmp_path / "p.xlsx", given)
        assert not (tmp_path / "p.xlsx").exists()
    else:
        write_predictions(tmp_path / "p.xlsx", given)
        assert read_predictions(tmp_path / "p.xlsx") == {"7": text}
    write_predictions(tmp_path / "p.tsv", given)
    assert len(read_predictions(tmp_path / "p.tsv")["7"]) == len(text)


def test_an_ending_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"predictions cannot be written as \.csv"):
        write_predictions(tmp_path / "p.csv", said("mme")[0])


# hostile spreadsheets


def altered(path: Path, **members: str) -> Path:
    """A spreadsheet of one row with some members exchanged (named by their stem)."""
    buffer = io.BytesIO()
    write_sheet(buffer, ["index", "prediction"], [[1, "A"]])
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            stem = info.filename.rpartition("/")[2].partition(".")[0]
            new.writestr(info.filename, members.get(stem, old.read(info).decode()))
    return path


def sheet(rows: str) -> str:
    return f'<worksheet xmlns="x"><sheetData>{rows}</sheetData></worksheet>'


HEAD = '<row><c t="str"><v>index</v></c><c t="str"><v>prediction</v></c></row>'
ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"sheet1": ENTITIES + sheet(HEAD + '<row><c t="str"><v>&b;</v></c></row>')}, "it declares entities"),
        ({"sheet1": OUTSIDE + sheet(HEAD + '<row><c t="str"><v>&a;</v></c></row>')}, "it declares entities"),
        ({"sheet1": sheet(HEAD)[:-5]}, "is no readable"),
        ({"sheet1": sheet(HEAD + '<row><c t="s"><v>7</v></c></row>')}, "it has no text number 7"),
        ({"sheet1": sheet(HEAD + '<row><c t="s"><v>-1</v></c></row>')}, "it has no text number -1"),
        ({"sheet1": sheet(HEAD + '<row><c t="s"><v>x</v></c></row>')}, "is no readable"),
        ({"sheet1": sheet(HEAD + f'<row r="{"9" * 5000}"/>')}, "is no readable"),
        ({"sheet1": sheet("<row>" + '<c t="str"><v>a</v></c>' * 16_385 + "</row>")}, "more than 16,384 cells"),
        ({"sheet1": sheet("")}, "no column index, prediction in the first row (the sheet is empty)"),
        ({"sheet1": sheet(HEAD.replace("prediction", "Index"))}, "column index occurs twice"),
        ({"sheet1": sheet(HEAD)}, "no prediction in it"),
        ({"sheet1": sheet(HEAD + '<row><c/><c t="str"><v>A</v></c></row>')}, ":2: no index"),
        ({"sheet1": sheet(HEAD + "<row><c><v>1</v></c></row><row><c><v>1.0</v></c></row>")}, ":3: index 1 has a"),
        ({"workbook": "<workbook/>"}, "it has no sheet"),
    ],
)
def test_a_spoilt_spreadsheet_is_refused(members: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        read_predictions(altered(tmp_path / "p.xlsx", **members))
    assert message in str(refused.value)


def test_links_that_lead_outside_are_not_followed(tmp_path: Path) -> None:
    for target, more in (("file:///etc/passwd", ' TargetMode="External"'), ("../../../etc/passwd", "")):
        links = f'<Relationships><Relationship Id="rId1" Target="{target}"{more}/></Relationships>'
        path = tmp_path / "p.xlsx"
        with zipfile.ZipFile(path, "w") as new:
            new.writestr("xl/workbook.xml", '<workbook xmlns:r="r"><sheets><sheet r:id="rId1"/></sheets></workbook>')
            new.writestr("xl/_rels/workbook.xml.rels", links)
        with pytest.raises(Refusal, match="is no readable"):
            read_predictions(path)


def test_a_cell_far_away_costs_no_more_than_itself(tmp_path: Path) -> None:
    cells = '<c r="A1048576"><v>1</v></c><c r="B1048576" t="str"><v>A</v></c><c r="XFD1048576"><v>1</v></c>'
    far = f'<row r="1048576">{cells}</row>'
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_predictions(altered(tmp_path / "p.xlsx", sheet1=sheet(HEAD + far))) == {"1": "A"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_what_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blank = " " * 3_000_000
    path = altered(
        tmp_path / "p.xlsx", sheet1=sheet(HEAD + blank + '<row><c><v>1</v></c><c t="str"><v>A</v></c></row>')
    )
    assert path.stat().st_size < 20_000
    assert read_predictions(path) == {"1": "A"}
    monkeypatch.setattr(spreadsheet, "UNPACKED_LIMIT", 2_000_000)
    with pytest.raises(Refusal, match="unpacks to 3 MiB, more than 2"):
        read_predictions(path)


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = altered(tmp_path / "p.xlsx", sheet1=sheet(HEAD + " " * 100_000))
    with zipfile.ZipFile(path) as book_:
        size = book_.getinfo("xl/worksheets/sheet1.xml").file_size
    data = path.read_bytes()
    assert data.count(size.to_bytes(4, "little")) == 2
    path.write_bytes(data.replace(size.to_bytes(4, "little"), (500).to_bytes(4, "little")))
    with pytest.raises(Refusal, match="is no readable"):
        read_predictions(path)


# samples of lmms-eval


def samples(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def asked(index: Index, text: str, answer: str, **options: str) -> Question:
    return Question(index, str(index), text, options, answer)


TABLE = [
    asked(10, "Is there a cat? Please answer yes or no.", "Yes"),
    asked(11, "Is there a dog? Please answer yes or no.", "No"),
    asked(12, "Is there a dog? Please answer yes or no.", "Yes"),
    asked(13, "What colour?", "B", A="red", B="blue"),
]
POST = "\nAnswer the question using a single word or phrase."


def test_a_sample_is_found_by_its_number_if_it_asks_the_same(tmp_path: Path) -> None:
    rows = [
        {"doc_id": 0, "target": "Yes", "input": f"Is there a cat?{POST}", "filtered_resps": "Yes", "mme": {"score": 1}},
        {"doc_id": 1, "target": "No", "input": f"Is there a dog?{POST}", "resps": [["no."]], "filtered_resps": ["no"]},
        {"doc_id": 3, "target": "B", "input": "What colour?\nA. red\nB. blue\nAnswer", "resps": ["B"]},
    ]
    assert read_predictions(samples(tmp_path / "s.jsonl", *rows), questions=TABLE) == {
        "10": "Yes",
        "11": "no",
        "13": "B",
    }


def test_in_another_order_a_sample_is_found_by_what_it_asks(tmp_path: Path) -> None:
    rows = [
        {"doc_id": 0, "target": "blue", "input": "Hint.\nWhat colour?\nA. red\nB. blue", "filtered_resps": "A"},
        {"doc_id": 2, "target": "No", "input": f"Is there a dog?{POST}", "filtered_resps": "x"},
        {"doc_id": 7, "target": "", "input": f"Is there a cat?{POST}", "filtered_resps": "y"},
    ]
    assert read_predictions(samples(tmp_path / "s.jsonl", *rows), questions=TABLE) == {"13": "A", "11": "x", "10": "y"}


def test_an_index_in_a_sample_is_believed(tmp_path: Path) -> None:
    rows = [{"doc_id": 3, "input": "?", "target": "A", "gpt_eval_score": {"index": 10}, "filtered_resps": "A"}]
    assert read_predictions(samples(tmp_path / "s.jsonl", *rows), questions=TABLE) == {"10": "A"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"doc_id": 9, "target": "Yes", "input": "Is there a cow?", "filtered_resps": "a"}, "fits 0 rows"),
        ({"doc_id": 9, "target": "", "input": "Is there a dog?", "filtered_resps": "a"}, "fits 2 rows"),
        ({"doc_id": 0, "target": "No", "input": "Is there a cat?", "filtered_resps": "a"}, "fits 0 rows"),
        (
            {"doc_id": 0, "target": "Yes", "input": "Is there a cat?", "resps": [[-1.5, True], [-2.0, False]]},
            "no reply",
        ),
        ({"doc_id": "x", "target": [], "input": None, "filtered_resps": ""}, "fits 0 rows"),
    ],
)
def test_a_sample_of_no_row_or_of_several_is_refused(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=message):
        read_predictions(samples(tmp_path / "s.jsonl", row), questions=TABLE)


def test_samples_need_a_table(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="samples of lmms-eval need the table"):
        read_predictions(samples(tmp_path / "s.jsonl", {"doc_id": 0, "filtered_resps": "a"}))
