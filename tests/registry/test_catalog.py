"""The catalogue answers questions over cards, samples and records, and can do nothing else."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from registry.catalog import ROWS_AT_ONCE, TABLES, Catalog
from registry.errors import Refusal
from registry.facts import HomeFacts
from tests.curator.data_home import make_chats
from tests.small_home import SmallHome, make_small_home


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallHome:
    """One home for all tests here."""
    return make_small_home(tmp_path_factory.mktemp("catalog"))


def ask(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """All rows of an answer."""
    with Catalog.for_query(home, sql) as catalog:
        return catalog.query(sql).rows()


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder and its digest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", TABLES)
def test_every_view_has_its_columns_even_in_an_empty_home(tmp_path: Path, name: str) -> None:
    with Catalog(tmp_path / "nowhere") as catalog:
        described = catalog.query(f"DESCRIBE {name}").rows()
    assert [(row[0], row[1].replace('"', "")) for row in described] == [
        (column, kind.replace('"', "")) for column, kind in TABLES[name].columns.items()
    ]


@pytest.mark.parametrize("name", TABLES)
def test_every_view_has_its_columns_in_a_full_home(small: SmallHome, name: str) -> None:
    with Catalog(small.home.path, [name]) as catalog:
        answer = catalog.query(f"FROM {name}")
        assert answer.columns == list(TABLES[name].columns)
        assert answer.rows()


def test_rows_of_cards_are_all_there(small: SmallHome) -> None:
    found = HomeFacts(small.home.path)
    assert ask(small.home.path, "SELECT name FROM datasets ORDER BY name") == [(name,) for name in found.cards]
    (row,) = ask(small.home.path, "SELECT pulled[1], card->>'title' FROM datasets WHERE name = 'chats'")
    assert row[0].startswith("local-")
    assert row[1] == "chats"


def test_samples_are_read_from_all_finished_folders(small: SmallHome) -> None:
    rows = ask(
        small.home.path, "SELECT dataset, folder, count(*), sum(len(images)) FROM samples GROUP BY ALL ORDER BY ALL"
    )
    assert rows == [("captions", small.captions, 4, 4), ("chats", small.chats, 5, 0)]


def test_questions_join_what_was_made(small: SmallHome) -> None:
    sql = """
        SELECT d.candidate, s.score, m.samples
        FROM decisions d, scores s JOIN mixes m ON m.folder = s.mix JOIN trials t ON t.folder = s.trial
        WHERE t.seed = 0
    """
    assert ask(small.home.path, sql) == [("captions", 62.5, 7)]


def test_answers_are_rows_with_their_trial_and_benchmark(small: SmallHome) -> None:
    sql = (
        'SELECT trial, benchmark, rules, version, "index", reply, extracted, answer, hit FROM answers ORDER BY "index"'
    )
    told = (small.trial, "mme", "2024-05", 1)
    assert ask(small.home.path, sql) == [
        (*told, "1", "Yes.", "Yes", "Yes", True),
        (*told, "2", "Yes, it is", "Yes", "No", False),
    ]
    joined = "SELECT s.score, count(*) FROM answers a JOIN scores s USING (trial, benchmark, rules) GROUP BY 1"
    assert ask(small.home.path, joined) == [(62.5, 2)]
    assert ask(small.home.path, "SELECT question, picture, score_file FROM answers LIMIT 1") == [
        ("Is it red? Please answer yes or no.", "1", "mme-0123456789ab")
    ]


def test_answers_of_an_earlier_layout_lack_what_it_did_not_keep(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    odd = tmp_path / "it's [a-z] * home?"
    small = make_small_home(odd)
    scores = small.home.stage("trials") / small.trial / "scores"
    (scores / "mmbench_dev_en-1.json").write_text('{"benchmark": "mmbench_dev_en", "version": 1, "rules": "it\'s"}')
    pq.write_table(pa.table({"index": ["7"], "reply": ["A"], "hit": [True]}), scores / "mmbench_dev_en-1.parquet")
    sql = "SELECT benchmark, rules, reply, question FROM answers ORDER BY ALL"
    assert ask(small.home.path, sql)[0] == ("mmbench_dev_en", "it's", "A", None)
    assert len(ask(small.home.path, sql)) == 3
    (scores / "mme-0123456789ab.json").unlink()
    (scores / "mme-0123456789ab.parquet").unlink()
    assert ask(small.home.path, sql) == [("mmbench_dev_en", "it's", "A", None)]


def test_a_question_about_answers_opens_no_other_file_of_a_trial(small: SmallHome) -> None:
    settings = small.home.stage("trials") / small.trial / "settings.json"
    with pytest.raises(Refusal, match=r"samples and answers|disabled"):
        ask(small.home.path, f"SELECT * FROM read_text('{settings}'), answers")


def test_a_damaged_file_of_answers_is_named(tmp_path: Path) -> None:
    small = make_small_home(tmp_path)
    file = small.home.stage("trials") / small.trial / "scores" / "mme-0123456789ab.parquet"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(Refusal, match=r"mme-0123456789ab\.parquet: damaged"):
        ask(small.home.path, "SELECT count(*) FROM answers")


def test_a_home_whose_path_has_the_marks_of_a_pattern(tmp_path: Path) -> None:
    odd = tmp_path / "it's [a-z] * home?"
    samples = make_chats(make_small_home(odd).home, odd, "more", 2)
    assert ask(samples.folder.parent.parent, "SELECT count(*) FROM samples") == [(11,)]


def test_only_views_that_are_named_are_filled(tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "broken.yaml").write_text("[", encoding="utf-8")
    assert ask(tmp_path, "SELECT count(*) FROM trials") == [(0,)]
    with pytest.raises(Refusal, match=r"broken\.yaml"):
        ask(tmp_path, "SELECT count(*) FROM datasets")


def test_without_a_name_all_are_there(small: SmallHome) -> None:
    assert [row[0] for row in ask(small.home.path, "SHOW TABLES")] == sorted(TABLES)


def test_long_answers_come_in_batches(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        sizes = [len(batch) for batch in catalog.query(f"SELECT * FROM range({2 * ROWS_AT_ONCE + 1})").batches]
    assert sizes == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]


WRITING = [
    "COPY (SELECT 1) TO '{home}/samples/x.csv'",
    "COPY datasets TO '{home}/x.csv'",
    "EXPORT DATABASE '{home}/samples/out'",
    "ATTACH '{home}/samples/x.db'",
    "CREATE TABLE x AS SELECT 1",
    "INSERT INTO datasets SELECT * FROM datasets",
    "DELETE FROM datasets",
    "DROP VIEW samples",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{home}/samples/x.csv'",
    "WITH x AS (COPY (SELECT 1) TO '{home}/samples/x.csv') FROM x",
    "WITH y AS (SELECT 1), x AS (COPY (FROM y) TO '{home}/samples/x.csv') SELECT 1",
    "with x as (insert into datasets select * from datasets returning *) from x",
    "FROM query('WITH x AS (COPY (SELECT 1) TO ''{home}/samples/x.csv'') FROM x')",
    "SELECT 1; COPY (SELECT 1) TO '{home}/samples/x.csv'",
    "SELECT 1) ; COPY (SELECT 1) TO '{home}/samples/x.csv' --",
]


@pytest.mark.parametrize("sql", WRITING)
def test_nothing_can_be_written(small: SmallHome, sql: str) -> None:
    before = contents(small.home.path)
    with pytest.raises(Refusal):
        ask(small.home.path, sql.format(home=small.home.path))
    assert contents(small.home.path) == before


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('/etc/passwd')",
        "FROM '{home}/mixes/*/rows-*.parquet'",
        "FROM '{home}/samples/../mixes/x.parquet'",
        "FROM read_csv('{home}/cards/chats.yaml')",
        "FROM glob('/etc/*')",
        "FROM 'http://127.0.0.1:9/x.parquet'",
        "FROM 's3://bucket/x.parquet'",
        "FROM read_blob('relative.bin')",
    ],
)
def test_no_file_but_samples_can_be_read(small: SmallHome, sql: str) -> None:
    with pytest.raises(Refusal) as caught:
        ask(small.home.path, sql.format(home=small.home.path))
    assert caught.value.where == "query"


def test_a_mistake_is_shown_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        ask(tmp_path, "SELECT name,\n  catgory\nFROM datasets")
    assert "LINE 2:   catgory" in caught.value.what
    assert '"categories"' in caught.value.what
    assert "curator query --tables" in caught.value.way_out


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("", "no statement"),
        ("-- only a remark", "no statement"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELEC 1", "syntax error"),
        ("SELECT ?", "parameter"),
        ("SELECT 'x'::INTEGER", "Could not convert"),
        ("FROM datasetz", "does not exist"),
    ],
)
def test_what_is_no_single_question_is_refused(tmp_path: Path, sql: str, what: str) -> None:
    with pytest.raises(Refusal, match=what):
        ask(tmp_path, sql)


def test_a_time_with_a_zone_is_refused_in_words_without_pytz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB hands it out through pytz, which comes with some of the extras."""
    monkeypatch.setitem(sys.modules, "pytz", None)
    with pytest.raises(Refusal, match="cannot be shown"):
        ask(tmp_path, "SELECT now()")


def test_an_error_in_a_later_row_is_a_refusal_too(tmp_path: Path) -> None:
    sql = "SELECT CASE WHEN i = 300000 THEN error('late') ELSE i END FROM range(400000) t(i)"
    with pytest.raises(Refusal, match="late"):
        ask(tmp_path, sql)


def test_a_question_may_end_in_a_semicolon_and_hold_remarks(tmp_path: Path) -> None:
    assert ask(tmp_path, "SELECT 1 -- one;\n /* two; */ ;\n") == [(1,)]
