"""``curator query``: ask anything of cards, samples, mixes, trials and scores in SQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from curator.options import PathValue, home_option, json_option
from registry.errors import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from registry.catalog import Answer

SHOWN_ROWS = 1000
"""Rows of a text table; --json and --csv print all."""

CARD_TABLES = {"datasets", "parts"}
"""Tables that are filled from cards; all others tell of the data home."""


@click.command(name="query")
@click.argument("sql", required=False)
@click.option("-f", "--file", "file", type=PathValue(dir_okay=False), help="Read the SQL from a file.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--tables", "show_tables", is_flag=True, help="List the tables and their columns.")
@json_option
@home_option
def command(sql: str | None, file: Path | None, as_csv: bool, show_tables: bool, as_json: bool, home: Path) -> None:
    r"""Ask anything of cards, samples, mixes, trials and scores in SQL.

    SQL is one SELECT in DuckDB's dialect, or '-' to read it from stdin. The tables are datasets, parts,
    samples, mixes, trials, scores, answers and decisions; '--tables' lists their columns. Nothing can be written.

    \b
    Examples:
      curator query --tables
      curator query "SELECT category, count(*) AS parts, sum(rows) FROM parts GROUP BY 1 ORDER BY 2 DESC"
      curator query "SELECT dataset, count(*), avg(len(images)) FROM samples GROUP BY 1" --json
      curator query "SELECT mix, benchmark, avg(score), count(*) FROM scores GROUP BY ALL" --csv
      curator query "SELECT trial, reply, count(*) FROM answers WHERE NOT hit GROUP BY ALL ORDER BY 3 DESC LIMIT 9"
      curator query -f question.sql
    """
    from curator.output import note_absent, print_csv, print_json_rows
    from registry.catalog import Catalog, tables_named

    if as_json and as_csv:
        raise click.UsageError("--json and --csv were both given: choose one")
    if show_tables:
        _print_tables(as_json)
        return
    text = _sql_text(sql, file)
    with Catalog.for_query(home, text) as catalog:
        answer = catalog.query(text)
        if set(tables_named(text)) - CARD_TABLES:
            note_absent(home)
        if as_csv:
            print_csv(answer.columns, (row for batch in answer.batches for row in batch))
        elif as_json:
            print_json_rows(_objects(answer))
        else:
            _print_text(answer)


def _sql_text(sql: str | None, file: Path | None) -> str:
    """The query from exactly one of argument, file and stdin."""
    if (sql is None) == (file is None):
        raise click.UsageError("give the SQL, '-' to read it from stdin, or --file")
    if file is None and sql != "-":
        assert sql is not None
        return sql
    data = file.read_bytes() if file is not None else sys.stdin.buffer.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = str(file or "stdin")
        raise Refusal(where, f"is not UTF-8 text (byte {error.start})", "save the SQL as UTF-8") from None


def _print_tables(as_json: bool) -> None:
    from curator.output import print_json, print_table
    from registry.catalog import TABLES

    if as_json:
        print_json({name: {"summary": table.summary, "columns": table.columns} for name, table in TABLES.items()})
        return
    for name, table in TABLES.items():
        click.echo(f"{name}: {table.summary}")
        print_table(("column", "type"), [(f"  {column}", kind) for column, kind in table.columns.items()])
        click.echo()


def _print_text(answer: Answer) -> None:
    """A table of at most ``SHOWN_ROWS`` rows; a note says so when there are more."""
    from itertools import chain, islice

    from curator.output import note, print_table

    rows = chain.from_iterable(answer.batches)
    print_table(answer.columns, islice(rows, SHOWN_ROWS), grouped=False)
    if next(rows, None) is not None:
        note(f"only the first {SHOWN_ROWS:,} rows are shown: add a LIMIT, or --json or --csv for all")


def _objects(answer: Answer) -> Iterator[dict[str, Any]]:
    """Rows as JSON objects; JSON columns are values, not text, and what JSON lacks (NaN, infinity) is null."""
    import json

    from curator.output import plain

    names = _distinct(answer.columns)
    for batch in answer.batches:
        for row in batch:
            values = [
                json.loads(value) if kind == "JSON" and value is not None else plain(value)
                for value, kind in zip(row, answer.types, strict=True)
            ]
            yield dict(zip(names, values, strict=True))


def _distinct(columns: list[str]) -> list[str]:
    """Column names with ``_2``, ``_3`` … added where one occurs again."""
    seen: dict[str, int] = {}
    names = []
    for column in columns:
        seen[column] = seen.get(column, 0) + 1
        names.append(column if seen[column] == 1 else f"{column}_{seen[column]}")
    return names
