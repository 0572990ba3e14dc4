"""How long commands take to start, in CPU seconds, against the least they could take.

``python -m tests.speed.startup [--rounds N] [--home FOLDER]``. Every command's ``--help`` is compared with
``import click``; ``list``, ``show`` and ``query`` with ``import click, duckdb``. All are run in turn, N times,
so that a busy moment hits each alike; medians are compared. Exit status 1 when a ratio is above the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from curator.cli import COMMANDS
from registry.discovery import names
from registry.facts import PACKAGED_CARDS

LIMIT = 1.5
CLICK = ("-c", "import click")
DUCKDB = ("-c", "import click, duckdb")
QUERY = "SELECT category, count(*), sum(rows) FROM parts JOIN datasets ON dataset = name GROUP BY 1"


@dataclass(frozen=True)
class Case:
    """A command line (arguments of the interpreter) and the one it is compared with."""

    label: str
    arguments: tuple[str, ...]
    floor: tuple[str, ...]


def cases() -> list[Case]:
    """Everything that must start fast."""
    curator = ("-c", "from curator.cli import main; main()")  # what the installed script does
    helps = [Case("--help", (*curator, "--help"), CLICK)]
    helps += [Case(f"{name} --help", (*curator, name, "--help"), CLICK) for name in COMMANDS]
    card = (names(PACKAGED_CARDS, ".yaml") or ["none"])[0]
    return [
        *helps,
        Case("list", (*curator, "list"), DUCKDB),
        Case("list --json", (*curator, "list", "--json"), DUCKDB),
        Case("show", (*curator, "show", card), DUCKDB),
        Case("query", (*curator, "query", QUERY), DUCKDB),
    ]


def environment(home: Path, bytecode: Path) -> dict[str, str]:
    """Ours, with compiled modules kept in ``bytecode`` as an installed program has them beside it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "CURATOR_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": str(bytecode)}


def cpu_seconds(arguments: tuple[str, ...], variables: dict[str, str]) -> float:
    """User and system time of one interpreter run with these arguments."""
    child = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=variables
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"python {' '.join(arguments)} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def measure(chosen: list[Case], rounds: int, home: Path) -> dict[tuple[str, ...], float]:
    """Median CPU seconds of each distinct command line, all run in turn; one round before counts for nothing."""
    lines = list(dict.fromkeys(line for case in chosen for line in (case.floor, case.arguments)))
    seconds: dict[tuple[str, ...], list[float]] = {line: [] for line in lines}
    with tempfile.TemporaryDirectory() as bytecode:
        variables = environment(home, Path(bytecode))
        for turn in range(rounds + 1):
            for line in lines:
                spent = cpu_seconds(line, variables)
                if turn:
                    seconds[line].append(spent)
    return {line: statistics.median(values) for line, values in seconds.items()}


def main() -> int:
    """Measure, print a table, and say whether all ratios are within the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="times each is run (default: 11)")
    parser.add_argument("--home", type=Path, help="data home to use (default: an empty one)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as empty:
        chosen = cases()
        medians = measure(chosen, given.rounds, given.home or Path(empty))
    print(f"{'command':<26} {'CPU s':>7} {'floor':>7} {'ratio':>6}")
    worst = 0.0
    for case in chosen:
        spent, floor = medians[case.arguments], medians[case.floor]
        worst = max(worst, spent / floor)
        print(f"{case.label:<26} {spent:7.3f} {floor:7.3f} {spent / floor:6.2f}")
    print(f"worst ratio {worst:.2f}, limit {LIMIT}")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
