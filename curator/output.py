"""How commands print: data on stdout, notes and progress on stderr, foreign text made harmless.

Text of datasets may hold terminal control codes that recolour, retitle or rewrite what a reader sees;
whatever goes to a terminal passes through ``visible``. rich is imported only to show progress.
"""

from __future__ import annotations

import contextlib
import io
import math
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

Advance = Callable[[int], None]
"""Call it with the number of units done since the last call."""

_BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_HARMLESS = "\n\t"
_CSV_BUFFER = 65_536


def visible(text: str) -> str:
    r"""``text`` with control codes, direction overrides and lone surrogates as escapes like ``\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if _is_control(c) else c for c in text)


def one_line(text: str) -> str:
    """``visible`` text on one line, line ends and tabs shown as escapes: for a cell of a table."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _is_control(character: str) -> bool:
    if character in _HARMLESS:
        return False
    return character in _BIDIRECTIONAL or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", errors="backslashreplace").decode("ascii")


def print_json(value: Any) -> None:
    """Print one JSON value on stdout; control codes are escaped by JSON itself."""
    click.echo(_json_safe(_json_text(value, indent=2)))


def print_json_rows(rows: Iterable[dict[str, Any]]) -> None:
    """Print a JSON array of objects on stdout, one a line, as they come."""
    separator = "["
    for row in rows:
        click.echo(separator + _json_safe(_json_text(row)), nl=False)
        separator = ",\n "
    click.echo("[]" if separator == "[" else "]")


def plain(value: Any) -> Any:
    """``value`` in the types that JSON has: NaN and infinity are None, bytes are hex, other values are their text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    from decimal import Decimal

    return float(value) if isinstance(value, Decimal) and value.is_finite() else str(value)


def _json_text(value: Any, indent: int | None = None) -> str:
    import json

    return json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _json_safe(text: str) -> str:
    r"""JSON text whose C1 codes and direction overrides are ``\u`` escapes: the value stays the same."""
    if text.isascii():
        return text
    return "".join(f"\\u{ord(c):04x}" if _is_control(c) else c for c in text)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as CSV on stdout as they come; an absent value is an empty field, a list or struct is JSON.

    Text is exact in a file or pipe; on a terminal control codes are made visible.
    """
    import csv

    shown = visible if sys.stdout.isatty() else str
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([shown(_csv_field(value)) for value in row])
        if buffer.tell() > _CSV_BUFFER:
            click.echo(buffer.getvalue(), nl=False)
            buffer.seek(0)
            buffer.truncate()
    click.echo(buffer.getvalue(), nl=False)


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list, tuple)):
        return _json_text(value)
    return str(value)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, max_width: int | None = None, grouped: bool = True
) -> None:
    """Print rows as an aligned table on stdout: numbers to the right, an absent value as ``-``.

    Thousands are separated unless ``grouped`` is False: a year or a seed is not an amount.

    On a terminal the widest text columns are cut (with ``…``) so that a row fits its width; in a pipe or file
    nothing is cut.
    """
    values = [list(row) for row in rows]
    cells = [[cell(value) if grouped else _ungrouped(value) for value in row] for row in values]
    right = [_is_numeric([row[i] for row in values]) for i in range(len(columns))]
    widths = [max([display_width(name), *(display_width(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    if max_width is None and sys.stdout.isatty():
        import shutil

        max_width = shutil.get_terminal_size().columns
    if max_width is not None:
        widths = _fitted(widths, max_width)
    lines = [list(columns), ["─" * width for width in widths], *cells]
    for line in lines:
        padded = [_padded(text, width, to_right) for text, width, to_right in zip(line, widths, right, strict=True)]
        click.echo("  ".join(padded).rstrip())


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Print ``name  value`` lines, names aligned; fields whose value is None or empty are left out."""
    shown = [(name, value) for name, value in fields if value not in (None, "", [], {}, ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        first, *rest = visible(value if isinstance(value, str) else cell(value)).splitlines() or [""]
        click.echo(f"{name:<{width}}  {first}")
        for line in rest:
            click.echo(f"{'':<{width}}  {line}")


def note(text: str) -> None:
    """Say something to the person on stderr; it is no part of the result."""
    click.echo(visible(text), err=True)


def note_absent(home: Path) -> None:
    """Say that there is no data home at this place, if so: before the first pull that is as it should be."""
    if not home.expanduser().is_dir():
        note(f"there is no data home at {home} yet")


@contextlib.contextmanager
def progress(description: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
    """A progress bar with its rate and the time left, on stderr; it leaves nothing behind and needs a terminal."""
    if not sys.stderr.isatty():
        yield lambda _units: None
        return
    from rich import progress as bars
    from rich.console import Console
    from rich.text import Text

    class Rate(bars.ProgressColumn):
        """Units a second, as soon as there is a rate."""

        def render(self, task: bars.Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed is not None else "")

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn(unit),
        Rate(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(visible(description).replace("[", r"\["), total=total)
        yield lambda units: shown.advance(task, units)


def cell(value: Any) -> str:
    """One value as it stands in a table: thousands separated, floats short, text on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return one_line(", ".join(value))
    if isinstance(value, (dict, list, tuple)):
        return one_line(_json_text(value))
    return one_line(str(value))


def _ungrouped(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else cell(value)


def display_width(text: str) -> int:
    """Columns a text takes in a terminal: wide East Asian characters count two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _is_numeric(values: Sequence[Any]) -> bool:
    from decimal import Decimal

    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) for value in known
    )


def _fitted(widths: list[int], total: int, least: int = 8) -> list[int]:
    """Shrink the widest columns, one step at a time, until the row fits or none is wider than ``least``."""
    fitted = list(widths)
    excess = sum(fitted) + 2 * (len(fitted) - 1) - total
    while excess > 0 and max(fitted) > least:
        widest = max(fitted)
        runner_up = max([width for width in fitted if width < widest], default=least)
        at_widest = fitted.count(widest)
        step = max(1, min(widest - max(runner_up, least), -(-excess // at_widest)))
        fitted = [width - step if width == widest else width for width in fitted]
        excess -= step * at_widest
    return fitted


def _padded(text: str, width: int, to_right: bool) -> str:
    if display_width(text) > width:
        text = _cut(text, width)
    room = " " * (width - display_width(text))
    return room + text if to_right else text + room


def _cut(text: str, width: int) -> str:
    """The longest beginning of ``text`` that leaves a column for ``…``."""
    taken = ""
    for character in text:
        if display_width(taken + character) > width - 1:
            break
        taken += character
    return taken + "…"
