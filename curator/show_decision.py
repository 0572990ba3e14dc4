"""How a plan and a decision are printed: a table for people, JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from curator.laboratory import Laboratory
from curator.output import note, print_json, print_table
from registry.trial import CandidateDecision, Decision, Effect, MixOutcome

COLUMNS = ("candidate", "category", "verdict", "label", "effect", "interval", "seeds", "why")


def print_decision(decision: Decision, folder: Path, as_json: bool) -> None:
    """Verdicts, then the comparison of the paper's Table 5."""
    if as_json:
        print_json(as_published(decision) | {"folder": str(folder)})
        return
    known = any(candidate.truth for candidate in decision.candidates)
    columns = (*COLUMNS[:4], "truth", *COLUMNS[4:]) if known else COLUMNS
    print_table(columns, [_row(candidate, known) for candidate in decision.candidates])
    click.echo()
    print_comparison(decision)
    note(f"decision: {folder}")


def print_comparison(decision: Decision) -> None:
    """Baseline / Selected / All, each with its benchmarks, average and samples."""
    named = [("Baseline", decision.baseline), ("Selected", decision.selected), ("All", decision.all)]
    rows = [
        [
            title,
            outcome.samples,
            *[round(outcome.scores[name], 1) for name in decision.benchmarks],
            round(outcome.average, 1),
        ]
        for title, outcome in named
        if outcome is not None
    ]
    print_table(("mix", "samples", *decision.benchmarks, "average"), rows)
    for title, effect in (
        ("Selected - Baseline", decision.selected_minus_baseline),
        ("Selected - All", decision.selected_minus_all),
    ):
        if effect is not None:
            click.echo(f"{title}: {effect.mean:+.1f} ({_interval(effect)}, standard error {effect.se:.2f})")


def as_published(decision: Decision) -> dict[str, Any]:
    """The stable JSON form of a decision: verdicts with effects, and the comparison."""
    return {
        "name": decision.name,
        "strategy": decision.strategy,
        "decisions": [_candidate_json(candidate) for candidate in decision.candidates],
        "comparison": {
            "baseline": decision.baseline.average,
            "selected": decision.selected.average,
            "all": decision.all.average if decision.all else None,
            "selected_minus_baseline": decision.selected_minus_baseline.model_dump(),
            "selected_minus_all": decision.selected_minus_all.model_dump() if decision.selected_minus_all else None,
            "scores": {title: outcome.scores | {"samples": outcome.samples} for title, outcome in _outcomes(decision)},
        },
    }


def print_plan(laboratory: Laboratory, as_json: bool) -> None:
    """What a study would train at least, and what of it is already there."""
    plan = laboratory.plan()
    if as_json:
        print_json(plan)
        return
    print_table(
        ("candidate", "category", "samples"), [[c["name"], c["category"], c["samples"]] for c in plan["candidates"]]
    )
    click.echo()
    seconds = plan["expected_cpu_seconds"]
    cost = f", about {seconds:,.0f} CPU seconds" if seconds is not None else ""
    click.echo(
        f"{plan['trials_at_least']} trials at least "
        f"({plan['trials_finished']} of the first wave are there already){cost}; "
        f"{len(plan['categories'])} categories, {plan['seeds']} seeds each, up to {plan['max_seeds']} where undecided"
    )


def _outcomes(decision: Decision) -> list[tuple[str, MixOutcome]]:
    named = [("baseline", decision.baseline), ("selected", decision.selected), ("all", decision.all)]
    return [(title, outcome) for title, outcome in named if outcome is not None]


def _row(candidate: CandidateDecision, known: bool) -> list[Any]:
    left = [candidate.candidate, candidate.category, candidate.verdict, candidate.label]
    right = [f"{candidate.average.mean:+.1f}", _interval(candidate.average), len(candidate.seeds), candidate.reason]
    return [*left, *([candidate.truth] if known else []), *right]


def _interval(effect: Effect) -> str:
    return f"{effect.low:+.1f} … {effect.high:+.1f}"


def _candidate_json(candidate: CandidateDecision) -> dict[str, Any]:
    return {
        "candidate": candidate.candidate,
        "category": candidate.category,
        "truth": candidate.truth,
        "verdict": candidate.verdict,
        "label": candidate.label,
        "effect": candidate.average.mean,
        "low": candidate.average.low,
        "high": candidate.average.high,
        "standard_error": candidate.average.se,
        "benchmarks": {name: effect.model_dump() for name, effect in candidate.benchmarks.items()},
        "item_bootstrap": candidate.item_bootstrap.model_dump(),
        "seeds": candidate.seeds,
        "samples": candidate.samples,
        "reason": candidate.reason,
    }
