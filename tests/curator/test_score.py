"""Predictions files: formats, what is missing or too much, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from curator.predictions import read_predictions
from curator.score import score_predictions, scoring_of, write_answers
from registry.errors import Refusal

TABLE = "index\tquestion\timage\tA\tB\tanswer\tcategory\n" + "".join(
    f"{index}\tq\t{'iVBORw0KGgo' * 7}\tred\tblue\t{answer}\tc\n" for index, answer in enumerate("ABBA")
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.tsv"
    path.write_text(TABLE)
    return path


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def replies(path: Path, said: dict[int, object]) -> Path:
    return lines(path, *({"index": index, "prediction": reply, "model": "m"} for index, reply in said.items()))


def test_both_formats_give_the_same(tmp_path: Path, table: Path) -> None:
    said: dict[int, object] = {0: "A", 1: "red", 2: "two\nlines\tB", 3: 'a "B"'}
    as_json = replies(tmp_path / "p.jsonl", said)
    as_tsv = tmp_path / "p.tsv"
    as_tsv.write_text('prediction\tindex\nA\t0\nred\t001\n"two\nlines\tB"\t2\n"a ""B"""\t3\n')
    assert read_predictions(as_json) == read_predictions(as_tsv)
    results = [score_predictions(path, table, "seedbench_img", "2024-05") for path in (as_json, as_tsv)]
    assert results[0] == results[1]
    assert results[0].score == 50


def test_an_index_may_be_text_and_a_reply_a_number_or_nothing(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", {"index": " 07", "prediction": 4}, {"index": "v_1", "prediction": None})
    assert read_predictions(path) == {"7": "4", "v_1": ""}


def test_missing_predictions_are_refused_unless_partial(tmp_path: Path, table: Path) -> None:
    path = replies(tmp_path / "p.jsonl", {0: "A", 1: "B"})
    with pytest.raises(Refusal, match="2 of 4 questions have no reply"):
        score_predictions(path, table, "seedbench_img", "2024-05")
    result = score_predictions(path, table, "seedbench_img", "2024-05", partial=True)
    assert (result.score, result.partial, len(result.answers)) == (100, True, 2)
    assert result.notes == ["partial: 2 of 4 questions have a prediction"]


def test_predictions_for_other_rows_are_counted(tmp_path: Path, table: Path) -> None:
    path = replies(tmp_path / "p.jsonl", {0: "A", 1: "B", 2: "B", 3: "A", 99: "A"})
    result = score_predictions(path, table, "seedbench_img", "2024-05", partial=True)
    (note,) = result.notes
    assert note.startswith("1 predictions are for no row of the table")
    assert not result.partial


def test_nothing_in_common_is_refused(tmp_path: Path, table: Path) -> None:
    path = replies(tmp_path / "p.jsonl", {77: "A"})
    with pytest.raises(Refusal, match="no question to score"):
        score_predictions(path, table, "seedbench_img", "2024-05", partial=True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "p.jsonl",
            '{"index": 1, "prediction": "A"}\n{"index": 1, "prediction": "B"}\n',
            ":2: index 1 has a prediction",
        ),
        ("p.jsonl", '\n{"index": 1}\n', ":2: no index and prediction in it (index)"),
        ("p.jsonl", '{"index": 1, "predictions": "A"}\n', ":1: no index and prediction in it (index, predictions)"),
        ("p.jsonl", "[1]\n", ":1: no index and prediction in it (list)"),
        ("p.jsonl", "A\n", ":1: not a JSON object"),
        ("p.jsonl", '{"index": [1], "prediction": "A"}\n', ":1: index or prediction is not plain text"),
        ("p.jsonl", '{"index": 1, "prediction": {"text": "A"}}\n', ":1: index or prediction is not plain text"),
        ("p.jsonl", "", "no prediction in it"),
        ("p.jsonl", "\udcff\n", ":1: not a JSON object"),
        ("p.tsv", "index\treply\n", ":1: no column prediction"),
        ("p.tsv", "index\tprediction\n1\n", ":2: 1 cells where the header has 2"),
        ("p.xlsx", "", "is no readable .xlsx file"),
        ("p", "", "predictions cannot be read from a file without ending"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(Refusal, match=re.escape(message)):
        read_predictions(path)


def test_answers_are_written_beside_their_prediction(tmp_path: Path, table: Path) -> None:
    path = replies(tmp_path / "p.jsonl", {0: "A.", 1: "red", 2: "?", 3: "A"})
    scoring = scoring_of(path, table, "seedbench_img", "2024-05")
    write_answers(tmp_path / "out" / "answers.jsonl", scoring)
    rows = [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    assert rows[1] == {
        "index": 1,
        "group": "1",
        "prediction": "red",
        "extracted": "A",
        "hit": False,
        "judged": False,
    }
    assert [row["hit"] for row in rows] == [True, False, False, True]
