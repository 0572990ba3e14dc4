"""Scores by hand, for tests of what is computed of them."""

from __future__ import annotations

from collections.abc import Mapping

from registry.trial import BenchmarkScore


def scored(
    items: Mapping[str, float],
    strata: Mapping[str, str] | None = None,
    clusters: Mapping[str, str] | None = None,
    ratios: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    benchmark: str = "seedbench_img",
    partial: bool = False,
) -> BenchmarkScore:
    """A stored score whose figure follows from its items."""
    cells: dict[str, list[float]] = {}
    for group, value in items.items():
        cells.setdefault((strata or {}).get(group, ""), []).append(value)
    score = 100 * sum(sum(values) / len(values) for values in cells.values()) / len(cells) if cells else 0.0
    return BenchmarkScore(
        benchmark=benchmark,
        version=1,
        rules="2024-05",
        table_digest="t" * 64,
        score=score,
        metrics={"overall": score},
        items=dict(items),
        strata=dict(strata or {}),
        clusters=dict(clusters or {}),
        ratios={name: dict(groups) for name, groups in (ratios or {}).items()},
        partial=partial,
        questions=len(items),
    )
