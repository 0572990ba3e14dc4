"""What goes on in a data home, in a terminal: what is being trained, and the board of what was scored."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curator.output import print_table, visible
from curator.ui.board import AVERAGE, benchmarks_of, board, ranked
from curator.ui.running import Curve, being_made, log_of, read_curve
from registry import facts
from registry.store import Home

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 30
"""Rows of the board that a terminal is shown."""


@dataclass(frozen=True)
class State:
    """A data home at one moment."""

    making: list[tuple[str, Curve | None]]
    """What living processes make, and the curve of a trial that logs its steps."""
    trials: int
    """Trials that are finished."""
    benchmarks: list[str]
    rows: list[dict[str, Any]]
    """The board: one row a mix, best first."""

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        making = [
            {"name": name, "steps": curve.steps if curve else None, "loss": curve.last if curve else None}
            for name, curve in self.making
        ]
        return {"making": making, "trials": self.trials, "mixes": self.rows}

    def cells(self) -> list[list[Any]]:
        """The board as cells: mix, trials, each benchmark, average."""
        names = ["mix", "trials", *self.benchmarks, AVERAGE]
        return [[_rounded(row.get(name)) for name in names] for row in self.rows]


def look(home: Home, words: str = "") -> State:
    """The home now; of what has ``words`` in the name of its trial or mix."""
    found = facts.HomeFacts(home.path)
    making = [
        (one.name, read_curve(log_of(home.aside / one.workspace)) if one.has_curve else None)
        for one in being_made(home)
        if words in one.name
    ]
    trials = [folder.name for folder in home.finished("trials") if words in folder.name]
    scores = [row for row in facts.score_rows(found) if words in row["trial"] or words in str(row["mix"])]
    return State(making, len(trials), benchmarks_of(scores), ranked(board(scores, "mix"), AVERAGE, "mix"))


def watch(home: Home, words: str, every: float) -> None:
    """Show the home and look again every few seconds until it is interrupted."""
    from rich.console import Console
    from rich.live import Live

    with contextlib.suppress(KeyboardInterrupt), Live(console=Console(file=sys.stdout), auto_refresh=False) as live:
        while True:
            live.update(drawn(look(home, words)), refresh=True)
            time.sleep(every)


def print_state(state: State) -> None:
    """The same as plain tables, once."""
    print_table(
        ("being made", "steps", "loss"), [(n, c.steps if c else None, c.last if c else None) for n, c in state.making]
    )
    print_table(("mix", "trials", *state.benchmarks, AVERAGE), state.cells())


def drawn(state: State) -> RenderableType:
    """The state as a terminal shows it; names of others are text, no codes."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text(f"{state.trials:,} trials finished, {len(state.making):,} being made", style="bold")
    table = Table(box=None, pad_edge=False)
    for column in ("mix", "trials", *state.benchmarks, AVERAGE):
        table.add_column(visible(column), justify="left" if column == "mix" else "right")
    for mix, *values in state.cells()[:SHOWN]:
        table.add_row(Text(visible(str(mix))), *("…" if value is None else f"{value:,}" for value in values))
    running = Table(box=None, pad_edge=False, show_header=False)
    for name, curve in state.making:
        told = f"step {curve.steps:,}, loss {curve.last:.3f}" if curve else ""
        running.add_row(Text("running", style="cyan"), Text(visible(name)), told)
    return Group(head, table, running)


def _rounded(value: Any) -> Any:
    return round(value, 1) if isinstance(value, float) else value
