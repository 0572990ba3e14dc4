"""The board of scores: one row a trial, or a mix with the mean over its trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

AVERAGE = "average"


def benchmarks_of(scores: Sequence[dict[str, Any]]) -> list[str]:
    """Benchmarks of these scores (rows of ``facts.score_rows``), by name."""
    return sorted({str(score["benchmark"]) for score in scores})


def board(scores: Sequence[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """One row a ``trial`` or ``mix``: benchmark -> mean score; an average only where every benchmark was scored."""
    benchmarks = benchmarks_of(scores)
    together: dict[str, dict[str, list[float]]] = {}
    trials: dict[str, set[str]] = {}
    for score in scores:
        name = str(score[by] or "a mix that is not here")
        together.setdefault(name, {}).setdefault(str(score["benchmark"]), []).append(float(score["score"]))
        trials.setdefault(name, set()).add(str(score["trial"]))
    rows = []
    for name, found in together.items():
        means = {benchmark: fmean(values) for benchmark, values in found.items()}
        whole = len(means) == len(benchmarks)
        rows.append({**means, by: name, "trials": len(trials[name]), AVERAGE: fmean(means.values()) if whole else None})
    return rows


def ranked(rows: Sequence[dict[str, Any]], sort: str, by: str, *, rising: bool = False) -> list[dict[str, Any]]:
    """Rows by one column, those without a value last; ties by name."""
    named = sorted(rows, key=lambda row: str(row[by]))
    known = [row for row in named if row.get(sort) is not None]
    return sorted(known, key=lambda row: row[sort], reverse=not rising) + [r for r in named if r.get(sort) is None]
