"""The views of the catalogue whose rows DuckDB reads from files itself, and never all at once: as SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def samples_view(name: str, columns: Mapping[str, str], files: Sequence[Path]) -> str:
    """A view over the samples in these files."""
    if not files:
        empty = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in columns.items())
        return f"CREATE VIEW {name} AS SELECT {empty} WHERE false"
    paths = ", ".join(quoted(without_glob(str(path))) for path in files)
    stored = ", ".join(f'"{column}"' for column in columns if column != "folder")
    folder = "parse_path(filename)[-2] AS folder"
    return f"CREATE VIEW {name} AS SELECT {stored}, {folder} FROM read_parquet([{paths}], filename = true)"  # noqa: S608 - paths are quoted


def answers_view(name: str, columns: Mapping[str, str], files: Sequence[tuple[Path, Mapping[str, Any]]]) -> str:
    """A view over the rows of these files of answers, with what their score says of all of them.

    A column that an older file lacks is NULL in its rows.
    """
    empty = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in columns.items())
    if not files:
        return f"CREATE VIEW {name} AS SELECT {empty} WHERE false"
    paths = ", ".join(quoted(without_glob(str(path))) for path, _ in files)
    values = ", ".join(_of_file(path, score) for path, score in files)
    of_file = ("trial", "benchmark", "version", "rules")
    stored = ", ".join(f'a."{column}"' for column in columns if column not in (*of_file, "score_file"))
    rows = (
        f"SELECT *, NULL AS filename FROM (SELECT {empty} WHERE false) UNION ALL BY NAME "  # noqa: S608 - all is quoted
        f"SELECT * FROM read_parquet([{paths}], filename = true, union_by_name = true)"
    )
    chosen = f"{', '.join(f'f.{column}' for column in of_file)}, parse_filename(f.file, true) AS score_file, {stored}"
    told = f"(VALUES {values}) AS f(file, {', '.join(of_file)})"
    return f"CREATE VIEW {name} AS SELECT {chosen} FROM ({rows}) AS a JOIN {told} ON a.filename = f.file"  # noqa: S608 - all is quoted


def _of_file(path: Path, score: Mapping[str, Any]) -> str:
    version = score.get("version")
    texts = [quoted(str(value)) for value in (path, score.get("trial"), score.get("benchmark"), score.get("rules"))]
    return (
        f"({texts[0]}, {texts[1]}, {texts[2]}, {version if isinstance(version, int) else 'NULL'}::BIGINT, {texts[3]})"
    )


def without_glob(path: str) -> str:
    """The path with the characters of file patterns taken literally."""
    return re.sub(r"([*?\[])", r"[\1]", path)
