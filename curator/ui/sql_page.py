"""The SQL page: a question goes to ``curator query`` in a process of its own, which is read-only and can be ended.

So a question that would take all memory or never end takes nothing from the server but a moment.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from curator.ui.asked import Asked
from curator.ui.library import Library
from curator.ui.rendering import page
from registry.catalog import TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

ROWS = 500
"""Rows that are shown."""
SECONDS = 20.0
"""Seconds until a question is given up."""
LONGEST_ROW = 1 << 20
"""Bytes of a row that are read: one is shown cut, and a larger one ends the answer."""
EXAMPLES = (
    "SELECT category, count(*) AS samples FROM samples GROUP BY 1 ORDER BY 2 DESC",
    "SELECT mix, benchmark, round(avg(score), 1) AS score, count(*) AS seeds FROM scores GROUP BY ALL ORDER BY ALL",
    "SELECT candidate, verdict, effect, low, high FROM decisions ORDER BY effect DESC",
)
_TURNS = threading.Semaphore(2)
"""Questions that are answered at once."""


@dataclass
class Answered:
    """What came of a question."""

    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    more: bool = False
    """Whether there were more rows than are shown."""
    problem: str = ""
    """Why there is no answer."""


def sql(library: Library, request: Request) -> Response:
    """The box, the tables, and the answer if something was asked."""
    asked = Asked(request.query_params).text("sql")
    answered = ask(library.home.path, asked) if asked else None
    return page(request, "sql.html.jinja", sql=asked, answered=answered, tables=TABLES, examples=EXAMPLES, limit=ROWS)


def ask(home: Path, sql: str, seconds: float = SECONDS) -> Answered:
    """Ask ``curator query``: the first rows of the answer, or what it refused."""
    command = [sys.executable, "-m", "curator", "query", "-", "--json", "--home", str(home)]
    pipe = subprocess.PIPE
    with _TURNS, subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        late = threading.Event()

        def give_up() -> None:
            late.set()
            child.kill()

        clock = threading.Timer(seconds, give_up)
        clock.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stderr is not None
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(sql.encode("utf-8", errors="replace"))
                child.stdin.close()
            answered = _first_rows(child.stdout)
            if answered.more:
                child.kill()
            problem = child.stderr.read(LONGEST_ROW).decode("utf-8", errors="replace")
            failed = child.wait() != 0 and not answered.more
        finally:
            clock.cancel()
            child.kill()
    if late.is_set():
        return Answered(problem=f"no answer within {seconds:g} seconds: ask for less, or use 'curator query'")
    return Answered(problem=problem.strip() or "the question ended without an answer") if failed else answered


def _first_rows(lines: IO[bytes]) -> Answered:
    """The rows that are printed, one JSON object a line, until enough are there."""
    answered = Answered()
    for line in _lines(lines):
        row = _row(line)
        if line[-1:] != b"\n" or (row is not None and len(answered.rows) == ROWS):
            answered.more = True
            break
        if row is None:
            continue
        answered.columns = answered.columns or list(row)
        answered.rows.append(list(row.values()))
    return answered


def _lines(lines: IO[bytes]) -> Iterator[bytes]:
    while line := lines.readline(LONGEST_ROW):
        yield line


def _row(line: bytes) -> dict[str, Any] | None:
    """The object on a line of a JSON array, None where there is none."""
    text = line.decode("utf-8", errors="replace").strip().removeprefix("[").removesuffix(",").strip()
    for ending in (text, text.removesuffix("]")):
        with contextlib.suppress(ValueError):
            found = json.loads(ending)
            return found if isinstance(found, dict) else None
    return None
