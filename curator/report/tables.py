"""The tables of the report as plain values, and their CSV form."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from curator.report.wording import category_title
from registry.trial import Decision, Effect, MixOutcome

Cell = str | int | float | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes text that begins with one of these for a formula."""


@dataclass(frozen=True)
class Table:
    """A named table: column titles and rows of plain values (None = unknown)."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[Cell]]

    def is_number(self, column: int) -> bool:
        """Whether every known value of a column is a number, and one is known."""
        known = [row[column] for row in self.rows if row[column] is not None]
        return bool(known) and all(isinstance(value, int | float) for value in known)

    def without_empty_columns(self) -> Table:
        """The same table without columns in which nothing stands."""
        kept = [i for i in range(len(self.columns)) if any(row[i] not in (None, "") for row in self.rows)]
        rows = [[row[i] for i in kept] for row in self.rows]
        return Table(self.name, self.title, [self.columns[i] for i in kept], rows)

    def csv(self) -> str:
        """The table as CSV; text that a spreadsheet would run as a formula is quoted with an apostrophe."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[_csv_cell(cell) for cell in row] for row in self.rows])
        return buffer.getvalue()


def _csv_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.4f}"
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else str(cell)


def comparison_table(decision: Decision, titles: dict[str, str]) -> Table:
    """Baseline, Selected and All over the guide benchmarks (the paper's Table 5)."""
    columns = ["mix", "name", "samples", *(titles[name] for name in decision.benchmarks), "average"]
    rows: list[list[Cell]] = [
        [title, outcome.mix, outcome.samples, *_scores(decision, outcome), outcome.average]
        for title, outcome in outcomes(decision)
    ]
    return Table("comparison", "Baseline, Selected and All", columns, rows)


def outcomes(decision: Decision) -> list[tuple[str, MixOutcome]]:
    """The mixes that are compared, with their titles."""
    found = [("Baseline", decision.baseline), ("Selected", decision.selected)]
    return found + ([("All", decision.all)] if decision.all is not None else [])


def _scores(decision: Decision, outcome: MixOutcome) -> list[float | None]:
    return [outcome.scores.get(name) for name in decision.benchmarks]


def candidates_table(decision: Decision) -> Table:
    """The selection map: one row a candidate, in the order of the study."""
    columns = ["category", "candidate", "dataset", "part", "samples", "verdict", "label", "truth", "effect"]
    columns += ["low", "high", "standard error", "item bootstrap low", "item bootstrap high", "seeds", "reason"]
    rows: list[list[Cell]] = []
    for category in decision.categories:
        for c in decision.candidates:
            if c.category != category:
                continue
            row: list[Cell] = [category_title(category), c.candidate, c.dataset, c.part, c.samples, c.verdict, c.label]
            low, high = (c.item_bootstrap.low, c.item_bootstrap.high) if c.item_bootstrap else (None, None)
            row += [c.truth, *_effect(c.average), low, high, len(c.seeds), c.reason]
            rows.append(row)
    return Table("candidates", "Selection map", columns, rows)


def effects_table(decision: Decision, titles: dict[str, str]) -> Table:
    """One row per candidate and benchmark: effect, interval, standard error."""
    rows: list[list[Cell]] = []
    for candidate in decision.candidates:
        named = [(titles[name], candidate.benchmarks.get(name)) for name in decision.benchmarks]
        named.append(("average", candidate.average))
        rows += [[candidate.candidate, title, *_effect(effect)] for title, effect in named if effect is not None]
    columns = ["candidate", "benchmark", "effect", "low", "high", "standard error"]
    return Table("effects", "Effect on each benchmark", columns, rows)


def _effect(effect: Effect) -> list[Cell]:
    return [effect.mean, effect.low, effect.high, effect.se]


def path_table(decision: Decision, titles: dict[str, str]) -> Table:
    """The growing baseline (the paper's Figure 4)."""
    columns = ["category", "joined", "samples", *(titles[name] for name in decision.benchmarks), "average"]
    rows: list[list[Cell]] = []
    before: set[str] = set()
    for point in decision.path:
        title = "Baseline" if point.category is None else category_title(point.category)
        new = ", ".join(name for name in point.joined if name not in before)
        before = set(point.joined)
        scores: list[Cell] = [point.scores.get(name) for name in decision.benchmarks]
        rows.append([title, new, point.samples, *scores, point.average])
    return Table("score-path", "Score as categories join", columns, rows)
