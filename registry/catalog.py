"""The catalogue: DuckDB views over cards and records, opened in memory, read-only, closed to everything else.

The files are the truth and the catalogue is thrown away after the question, so no lock and no crash can
damage it and any number of processes may ask while others write. A query may read the sample files of its
data home, and its files of answers, and nothing else: no other file, no network, no extension, no writing statement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from registry import facts
from registry.catalog_views import answers_view, quoted, samples_view, without_glob
from registry.errors import Refusal

if TYPE_CHECKING:
    import duckdb

ROWS_AT_ONCE = 4096


class Table(NamedTuple):
    """One view of the catalogue."""

    summary: str
    columns: dict[str, str]
    """Column -> DuckDB type."""
    rows: Callable[[facts.HomeFacts], list[facts.Row]] | None
    """Reads its rows from the data home; None for ``samples`` and ``answers``, whose files DuckDB reads itself."""


_IMAGES = "STRUCT(sha256 VARCHAR, width INTEGER, height INTEGER)[]"
_MESSAGES = 'STRUCT("role" VARCHAR, content STRUCT("type" VARCHAR, "text" VARCHAR)[])[]'

TABLES: dict[str, Table] = {
    "datasets": Table(
        "one row a dataset card",
        {
            "name": "VARCHAR",
            "title": "VARCHAR",
            "stage": "VARCHAR",
            "role": "VARCHAR",
            "format": "VARCHAR",
            "categories": "VARCHAR[]",
            "samples": "BIGINT",
            "images": "BIGINT",
            "exact": "BOOLEAN",
            "image_regime": "VARCHAR",
            "languages": "VARCHAR[]",
            "licence": "VARCHAR",
            "images_licence": "VARCHAR",
            "generator_terms": "VARCHAR",
            "hub_repo": "VARCHAR",
            "config": "VARCHAR",
            "revision": "VARCHAR",
            "gated": "VARCHAR",
            "paper_status": "VARCHAR",
            "arxiv": "VARCHAR",
            "homepage": "VARCHAR",
            "pulled": "VARCHAR[]",
            "card": "JSON",
        },
        facts.dataset_rows,
    ),
    "parts": Table(
        "one row a part of a dataset; each part has one category",
        {
            "dataset": "VARCHAR",
            "part": "VARCHAR",
            "category": "VARCHAR",
            "table3_unit": "VARCHAR",
            "rows": "BIGINT",
        },
        facts.part_rows,
    ),
    "samples": Table(
        "one row a sample of everything pulled into the data home",
        {
            "id": "VARCHAR",
            "dataset": "VARCHAR",
            "part": "VARCHAR",
            "source_id": "VARCHAR",
            "category": "VARCHAR",
            "images": _IMAGES,
            "messages": _MESSAGES,
            "folder": "VARCHAR",
        },
        None,
    ),
    "mixes": Table(
        "one row a built mix",
        {
            "name": "VARCHAR",
            "folder": "VARCHAR",
            "digest": "VARCHAR",
            "recipe_digest": "VARCHAR",
            "content_digest": "VARCHAR",
            "samples": "BIGINT",
            "images": "BIGINT",
            "datasets": "MAP(VARCHAR, BIGINT)",
            "categories": "MAP(VARCHAR, BIGINT)",
            "parts": "JSON",
            "recipe": "JSON",
        },
        facts.mix_rows,
    ),
    "trials": Table(
        "one row a training run on one mix",
        {
            "name": "VARCHAR",
            "folder": "VARCHAR",
            "digest": "VARCHAR",
            "stage": "VARCHAR",
            "seed": "BIGINT",
            "mix": "VARCHAR",
            "mix_content": "VARCHAR",
            "base": "VARCHAR",
            "init": "VARCHAR",
            "samples": "BIGINT",
            "cost": "JSON",
            "settings": "JSON",
        },
        facts.trial_rows,
    ),
    "scores": Table(
        "one row a benchmark and a trial (or another model, by its folder in models/); score is 0..100",
        {
            "trial": "VARCHAR",
            "mix": "VARCHAR",
            "stage": "VARCHAR",
            "seed": "BIGINT",
            "benchmark": "VARCHAR",
            "version": "BIGINT",
            "rules": "VARCHAR",
            "score": "DOUBLE",
            "questions": "BIGINT",
            "unresolved": "BIGINT",
            "partial": "BOOLEAN",
            "metrics": "MAP(VARCHAR, DOUBLE)",
            "breakdown": "MAP(VARCHAR, DOUBLE)",
        },
        facts.score_rows,
    ),
    "answers": Table(
        "one row a model, benchmark and question: what was asked, replied, and what it was taken for",
        {
            "trial": "VARCHAR",
            "benchmark": "VARCHAR",
            "version": "BIGINT",
            "rules": "VARCHAR",
            "score_file": "VARCHAR",
            "index": "VARCHAR",
            "group": "VARCHAR",
            "category": "VARCHAR",
            "question": "VARCHAR",
            "answer": "VARCHAR",
            "reply": "VARCHAR",
            "extracted": "VARCHAR",
            "hit": "BOOLEAN",
            "judged": "BOOLEAN",
            "picture": "VARCHAR",
            "prompt": "VARCHAR",
            "prompt_digest": "VARCHAR",
        },
        None,
    ),
    "decisions": Table(
        "one row a candidate of a decision; effect, low and high in points of the guide average",
        {
            "decision": "VARCHAR",
            "folder": "VARCHAR",
            "digest": "VARCHAR",
            "strategy": "VARCHAR",
            "scale": "VARCHAR",
            "candidate": "VARCHAR",
            "dataset": "VARCHAR",
            "part": "VARCHAR",
            "category": "VARCHAR",
            "samples": "BIGINT",
            "verdict": "VARCHAR",
            "label": "VARCHAR",
            "effect": "DOUBLE",
            "low": "DOUBLE",
            "high": "DOUBLE",
            "effects": "JSON",
            "reason": "VARCHAR",
            "against": "VARCHAR",
            "seeds": "BIGINT[]",
            "truth": "VARCHAR",
        },
        facts.decision_rows,
    ),
}


class Answer(NamedTuple):
    """Column names and DuckDB types, and the rows as they are read."""

    columns: list[str]
    types: list[str]
    batches: Iterator[list[tuple[Any, ...]]]

    def rows(self) -> list[tuple[Any, ...]]:
        """All rows at once."""
        return [row for batch in self.batches for row in batch]


class Catalog:
    """The catalogue of one data home; use it as a context manager.

    Only the views named in ``tables`` are filled (all of them by default).
    """

    def __init__(self, home: Path, tables: list[str] | None = None) -> None:
        import duckdb

        self._found = facts.HomeFacts(home)
        self.tables = list(TABLES) if tables is None else tables
        self._connection = duckdb.connect(
            ":memory:", config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        )
        for name in self.tables:
            self._fill(name, TABLES[name])
        self._lock()

    @classmethod
    def for_query(cls, home: Path, sql: str) -> Catalog:
        """The catalogue with the views whose names occur in ``sql``; all of them when none does."""
        return cls(home, tables_named(sql) or None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def query(self, sql: str) -> Answer:
        """Answer one reading statement.

        Raises:
            Refusal: it is no single SELECT (or DESCRIBE, SHOW, SUMMARIZE), it would write, it names something
                that is not there, or it asks for a file outside the samples of the data home.
        """
        import duckdb

        try:
            self._refuse_writing(sql)
            cursor = self._connection.execute(sql)
            described = cursor.description or []
            first = cursor.fetchmany(ROWS_AT_ONCE)
        except duckdb.Error as error:
            raise self._refusal(error) from None
        names, types = [str(column[0]) for column in described], [str(column[1]) for column in described]
        return Answer(names, types, self._batches(first, cursor))

    def _batches(
        self, first: list[tuple[Any, ...]], cursor: duckdb.DuckDBPyConnection
    ) -> Iterator[list[tuple[Any, ...]]]:
        import duckdb

        batch = first
        try:
            while batch:
                yield batch
                batch = cursor.fetchmany(ROWS_AT_ONCE)
        except duckdb.Error as error:
            raise self._refusal(error) from None

    def _fill(self, name: str, table: Table) -> None:
        if table.rows is None:
            self._fill_from_files(name, table)
            return
        rows = [{column: row.get(column) for column in table.columns} for row in table.rows(self._found)]
        nested = [column for column, kind in table.columns.items() if kind == "JSON"]
        for row in rows:  # as text and cast: DuckDB reads nested JSON at half the speed of a string that holds it
            row.update({column: json.dumps(row[column]) for column in nested if row[column] is not None})
        types = {column: "VARCHAR" if kind == "JSON" else kind for column, kind in table.columns.items()}
        chosen = ", ".join(f'row."{column}"::{kind} AS "{column}"' for column, kind in table.columns.items())
        self._connection.execute(
            f"CREATE TABLE {name} AS SELECT {chosen} FROM (SELECT unnest(from_json(?::JSON, ?)) AS row)",  # noqa: S608 - names are ours
            [json.dumps(rows), json.dumps([types])],
        )

    def _fill_from_files(self, name: str, table: Table) -> None:
        """A view over the samples or the answers; DuckDB reads the files' heads for it."""
        import duckdb

        try:
            if name == "answers":
                view = answers_view(name, table.columns, self._answers)
            else:
                view = samples_view(name, table.columns, facts.sample_files(self._found.home))
            self._connection.execute(view)
        except duckdb.Error as error:
            raise self._refusal(error) from None

    @cached_property
    def _answers(self) -> list[tuple[Path, facts.Row]]:
        return list(facts.answer_files(self._found.home))

    def _refusal(self, error: Exception, lines_before: int = 0) -> Refusal:
        """What went wrong with a query: the first samples file that cannot be read, or else what DuckDB says."""
        import duckdb

        from registry.damage import damaged  # loads pydantic, which an answer does without

        about_a_file = isinstance(error, (duckdb.IOException, duckdb.InvalidInputException)) and ".parquet" in str(
            error
        )
        if about_a_file or type(error) is duckdb.Error:  # its reader of thrift names no file, nor a kind of error
            for path in self._read_files():
                try:
                    cursor = self._connection.execute(f"FROM read_parquet([{quoted(without_glob(str(path)))}])")
                    while cursor.fetchmany(ROWS_AT_ONCE):
                        pass
                except duckdb.Error as damage:
                    return damaged(path, str(damage).splitlines()[0])
        return _query_refusal(error, lines_before)

    def _read_files(self) -> list[Path]:
        """The files that DuckDB reads for this catalogue's views."""
        samples = facts.sample_files(self._found.home) if "samples" in self.tables else []
        return samples + ([path for path, _ in self._answers] if "answers" in self.tables else [])

    def _lock(self) -> None:
        """From here on: no file but samples and answers, no network, no extension, no spilling, no change of this."""
        samples = f"{self._found.home / 'samples'}/"
        allowed = ", ".join(map(quoted, {samples, without_glob(samples)}))
        self._connection.execute(f"SET allowed_directories = [{allowed}]")
        if "answers" in self.tables and self._answers:
            paths = {form for path, _ in self._answers for form in (str(path), without_glob(str(path)))}
            self._connection.execute(f"SET allowed_paths = [{', '.join(map(quoted, sorted(paths)))}]")
        self._connection.execute("SET temp_directory = ''")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def _refuse_writing(self, sql: str) -> None:
        """Let one reading statement pass.

        A statement's type is not enough, because a CTE of a SELECT may hold a COPY or an INSERT. As the body of
        a view DuckDB refuses those itself, so the statement is tried as one before it is run.
        """
        import duckdb

        statements = self._connection.extract_statements(sql)
        if len(statements) != 1:
            what = "more than one statement" if statements else "no statement"
            raise Refusal("query", what, "give one SELECT")
        kind = str(statements[0].type).rpartition(".")[2]
        if kind != "SELECT":
            raise Refusal("query", f"{kind} is not a reading statement", "the catalogue is read-only: give one SELECT")
        try:
            self._connection.execute(f"CREATE TEMP VIEW checked_query AS\n{statements[0].query}")
            self._connection.execute("DROP VIEW checked_query")
        except duckdb.Error as error:
            if "CTE" in str(error) and "not allowed" in str(error):
                what = "a WITH clause that writes"
                raise Refusal("query", what, "the catalogue is read-only: give one SELECT") from None
            raise self._refusal(error, lines_before=1) from None


def tables_named(sql: str) -> list[str]:
    """The tables whose names occur in a query."""
    words = set(re.findall(r"[a-z_]+", sql.lower()))
    return [name for name in TABLES if name in words]


def _query_refusal(error: Exception, lines_before: int = 0) -> Refusal:
    """What DuckDB says, with its position in the query, and where to look."""
    text = re.sub(
        r"^LINE (\d+):", lambda found: f"LINE {int(found[1]) - lines_before}:", str(error), flags=re.MULTILINE
    )
    if "'pytz'" in text:
        return Refusal("query", "a time with a zone cannot be shown", "cast it: now()::TIMESTAMP, or …::VARCHAR")
    if "external access" in text or "disabled by configuration" in text or "disabled through" in text:
        return Refusal("query", text, "a query reads the catalogue, samples and answers of the data home only")
    tables = ", ".join(TABLES)
    return Refusal("query", text, f"tables are {tables}; 'curator query --tables' lists their columns")
