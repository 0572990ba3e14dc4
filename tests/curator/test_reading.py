from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator import reading
from curator.raw_sample import Rejected
from curator.reading import RawFiles, Row, columns_of, read_rows
from registry.errors import Refusal
from tests.curator.data_home import write_json, write_parquet

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(JSON_VALUES, max_size=6), chunk=st.integers(1, 40), indent=st.sampled_from([None, 2]))
def test_a_json_array_is_read_the_same_whatever_the_chunks(rows: list[object], chunk: int, indent: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK_CHARACTERS", chunk)
        path = Path(folder) / "rows.json"
        path.write_text(json.dumps(rows, indent=indent, ensure_ascii=False), encoding="utf-8")
        assert list(read_rows(path)) == rows


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[{"a": 1}', "ends inside"),
        ('[{"a": 1} {"a": 2}]', "expected ','"),
        ('[{"a": 1}, {"a": ]', "is not JSON"),
        ('{"a": 1}', "not a JSON array"),
        ("", "ends inside"),
        ("[" * 100_000, "not JSON|recursion|deep"),
    ],
)
def test_a_damaged_json_file_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(Refusal, match=what) as refused:
        list(read_rows(path))
    assert refused.value.where.partition(":")[0] == "rows.json"


@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('[\n{"a": 1},\n{"a":\n 2},\n{"a": 3\n}}]', 6, "expected ','"),
        ('[\n{"a": 1},\n{"a":\n nope}]', 3, "a row is not JSON .*in line 4"),
        ('[\n{"a": 1}\n]\n\n  [2]', 5, "goes on behind the array"),
        ('[\n{"a": 1},\n{"a": 2},\n\n', 5, "ends inside"),
    ],
)
def test_the_line_of_the_damage_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, text: str, line: int, what: str
) -> None:
    monkeypatch.setattr(reading, "CHUNK_CHARACTERS", chunk)
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(Refusal, match=what) as refused:
        list(read_rows(tmp_path / "rows.json"))
    assert refused.value.where == f"rows.json:{line}"


def test_every_row_says_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "a"}\n\n{"id": "b"}\n3\n{"id"\n')
    write_json(tmp_path / "rows.json", [{"id": "c"}, 4])
    write_parquet(tmp_path / "rows.parquet", [{"id": "d"}, {"id": "e"}])
    files = [tmp_path / f"rows.{ending}" for ending in ("jsonl", "json", "parquet")]
    rows = list(RawFiles(tmp_path, files, {"id": "id"}).rows())
    assert [row.place for row in rows] == [
        *(f"rows.jsonl:{line}" for line in (1, 3, 4, 5)),
        *("rows.json#0", "rows.json#1", "rows.parquet#0", "rows.parquet#1"),
    ]
    assert [row.detail for row in rows if isinstance(row, Rejected)] == [
        "int",
        "line 5: Expecting ':' delimiter (column 6)",
        "int",
    ]


def test_a_damaged_line_is_one_row_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": 2}\n{"a": \n{"a": "\xff"}\n[' + b"[" * 100_000 + b'\n{"a": 3}')
    rows = list(RawFiles(tmp_path, [path], {"a": "a"}).rows())
    assert [row.values["a"] for row in rows if isinstance(row, Row)] == [1, 2, 3]
    assert [(row.reason, row.detail[:7]) for row in rows if isinstance(row, Rejected)] == [
        ("line is not JSON", "line 4:"),
        ("line is not JSON", "line 5:"),
        ("line is not JSON", "line 6:"),
    ]


@pytest.mark.parametrize("rest", ["[3]", " garbage", "\n\n{}", " " * 3_000_000 + "x"])
def test_what_stands_behind_the_array_is_never_lost(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text("[1, 2]" + rest)
    with pytest.raises(Refusal, match="goes on behind the array"):
        list(read_rows(path))
    path.write_text("[1, 2]\n  \n")
    assert list(read_rows(path)) == [1, 2]


def test_a_file_without_any_wanted_column_has_its_rows_all_the_same(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "rows.parquet", [{"other": 1}, {"other": 2}])
    assert list(read_rows(path, ["a"])) == [{}, {}]


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_bytes_that_are_no_such_file_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    path.write_bytes(b"[\xff\xfe" * 40)
    with pytest.raises(Refusal, match="pull the dataset again"):
        list(read_rows(path))


def test_a_byte_order_mark_is_no_part_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b"\xef\xbb\xbf" + b'[{"a": "\xc3\xa9"}]')
    assert list(read_rows(path)) == [{"a": "é"}]


def test_parquet_reads_the_columns_asked_for_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_BYTES", 100)
    path = write_parquet(tmp_path / "rows.parquet", [{"a": i, "b": "x" * 50} for i in range(20)], row_group_size=7)
    assert list(read_rows(path, ["a", "absent"])) == [{"a": i} for i in range(20)]


def test_columns_of_each_kind_of_file(tmp_path: Path) -> None:
    assert columns_of(write_parquet(tmp_path / "a.parquet", [{"x": 1, "y": 2}])) == {"x", "y"}
    assert columns_of(write_json(tmp_path / "b.json", [{"x": 1}, {"z": 2}])) == {"x", "z"}
    (tmp_path / "c.jsonl").write_text('{"x": 1}\n3\n')
    assert columns_of(tmp_path / "c.jsonl") == {"x"}


def test_rows_without_an_id_are_named_by_file_and_row(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", [{"id": 7}, {"id": None}, [], {"id": "\ud800"}])
    files = RawFiles(tmp_path, [tmp_path / "deep" / "a.json"], {"id": "id", "text": "absent"})
    rows = list(files.rows())
    assert [row.source_id for row in rows] == ["7", "deep/a.json#1", "deep/a.json#2", "\\ud800"]
    assert rows[2] == Rejected("deep/a.json#2", "row is not an object", "list", "deep/a.json#2")
    assert rows[0] == Row("7", {"id": 7, "text": None}, "deep/a.json", "deep/a.json#0", {})


def test_labels_are_the_cells_that_rules_look_at_as_text(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", [{"kind": "qa", "n": 3, "l": ["é"]}, {}])
    rows = RawFiles(tmp_path, [path], {}, labels=("kind", "n", "l")).rows()
    assert [row.labels for row in rows if isinstance(row, Row)] == [
        {"kind": "qa", "n": "3", "l": '["é"]'},
        {"kind": "", "n": "", "l": ""},
    ]


def test_a_limit_reads_the_first_rows_of_all_files_together(tmp_path: Path) -> None:
    paths = [write_json(tmp_path / f"{name}.json", [{"id": f"{name}{i}"} for i in range(3)]) for name in "ab"]
    rows = RawFiles(tmp_path, paths, {"id": "id"}, limit=4).rows()
    assert [row.source_id for row in rows] == ["a0", "a1", "a2", "b0"]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_rows_that_lie_inside_an_object_are_streamed(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK_CHARACTERS", chunk)
    path = tmp_path / "rows.json"
    rows = [{"q": "a}]"}, {"q": 2}]
    path.write_text(json.dumps({"info": {"data": [0]}, "n": 1.5, "data": {"x": "}", "questions": rows, "more": 3}}))
    assert list(read_rows(path, rows_at="data.questions")) == rows
    assert columns_of(path, "data.questions") == {"q"}
    with pytest.raises(Refusal, match="has no 'answers'"):
        list(read_rows(path, rows_at="data.answers"))
    with pytest.raises(Refusal, match="no object that could hold 'deep'"):
        list(read_rows(path, rows_at="data.questions.deep"))


def test_an_option_has_a_default_and_known_values(tmp_path: Path) -> None:
    assert RawFiles(tmp_path, [], {}).option("style", "one", "two") == "one"
    assert RawFiles(tmp_path, [], {}, {"style": "two"}).option("style", "one", "two") == "two"
    with pytest.raises(Refusal, match="'three' is not known"):
        RawFiles(tmp_path, [], {}, {"style": "three"}).option("style", "one", "two")
