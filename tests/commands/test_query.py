"""``curator query``: SQL from an argument, a file or stdin; a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from curator.commands.query import SHOWN_ROWS
from registry.catalog import TABLES
from tests.conftest import Curator

VALUES = "SELECT * FROM (VALUES (1, 'a'), (2024, NULL)) v(year, name)"


def test_a_table_by_default(curator: Curator) -> None:
    result = curator("query", VALUES)
    assert result.exit_code == 0
    assert result.stdout == "year  name\n────  ────\n   1  a\n2024  -\n"
    assert result.stderr == ""


def test_json_keeps_values_as_they_are(curator: Curator) -> None:
    sql = "SELECT 1 AS a, 2 AS a, [1.5, 'nan'::DOUBLE] AS l, '{\"k\": [1]}'::JSON AS j, MAP {'x': 1} AS m, NULL AS n"
    assert json.loads(curator("query", sql, "--json").stdout) == [
        {"a": 1, "a_2": 2, "l": [1.5, None], "j": {"k": [1]}, "m": {"x": 1}, "n": None}
    ]


def test_csv_has_a_head_and_exact_fields(curator: Curator) -> None:
    printed = curator("query", VALUES, "--csv").stdout
    assert list(csv.reader(io.StringIO(printed))) == [["year", "name"], ["1", "a"], ["2024", ""]]


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_an_answer_without_rows_is_whole(curator: Curator, form: str) -> None:
    printed = curator("query", "SELECT 1 AS x WHERE false", form).stdout
    assert printed == ("[]\n" if form == "--json" else "x\n")


def test_sql_from_a_file_and_from_stdin(curator: Curator, tmp_path: Path) -> None:
    file = tmp_path / "question.sql"
    file.write_text(VALUES, encoding="utf-8")
    expected = curator("query", VALUES).stdout
    assert curator("query", "--file", str(file)).stdout == expected
    assert curator("query", "-", stdin=VALUES).stdout == expected


def test_a_long_table_is_cut_and_says_so(curator: Curator) -> None:
    sql = f"FROM range({SHOWN_ROWS + 1})"
    result = curator("query", sql)
    assert len(result.stdout.splitlines()) == SHOWN_ROWS + 2
    assert "only the first 1,000 rows" in result.stderr
    assert len(json.loads(curator("query", sql, "--json").stdout)) == SHOWN_ROWS + 1


def test_the_tables_can_be_listed(curator: Curator) -> None:
    text = curator("query", "--tables").stdout
    listed = json.loads(curator("query", "--tables", "--json").stdout)
    assert set(listed) == set(TABLES)
    for name, table in TABLES.items():
        assert f"{name}: {table.summary}" in text
        assert listed[name]["columns"] == table.columns


@pytest.mark.parametrize(
    "arguments", [[], ["SELECT 1", "--file", "x.sql"], ["SELECT 1", "--json", "--csv"], ["--nonsense"]]
)
def test_wrong_usage(curator: Curator, arguments: list[str]) -> None:
    assert curator("query", *arguments).exit_code == 2


def test_a_mistake_is_refused_without_a_traceback(curator: Curator) -> None:
    result = curator("query", "SELECT nme FROM datasets")
    assert result.exit_code == 1
    assert 'Referenced column "nme" not found' in result.stderr
    assert "curator query --tables" in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_not_there_is_refused(curator: Curator, tmp_path: Path) -> None:
    result = curator("query", "-f", str(tmp_path / "absent.sql"))
    assert result.exit_code == 1
    assert "no such file" in result.stderr


def test_a_file_that_is_no_text_is_refused(curator: Curator, tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_bytes(b"SELECT \xff")
    result = curator("query", "-f", str(tmp_path / "x.sql"))
    assert result.exit_code == 1
    assert "is not UTF-8 text (byte 7)" in result.stderr


def test_a_reader_that_stops_early_is_no_error(home_path: Path) -> None:
    line = f"{sys.executable} -m curator query 'FROM range(300000)' --csv --home {home_path} | head -2"
    child = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert child.stdout == "range\n0\n"
    assert child.stderr == ""


def test_text_of_a_sample_cannot_control_the_terminal(curator: Curator) -> None:
    assert curator("query", "SELECT chr(27) || '[2J' AS x").stdout.splitlines()[-1] == "\\x1b[2J"
