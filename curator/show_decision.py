"""How a plan and a decision are printed: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from curator.output import note, print_json, print_table
from registry.trial import CandidateDecision, Decision, Effect, MixOutcome

COLUMNS = ("candidate", "category", "verdict", "label", "effect", "interval", "seeds", "chance wrong", "why")


def print_decision(decision: Decision, folder: Path, as_json: bool) -> None:
    """Verdicts, then the comparison of the paper's Table 5."""
    if as_json:
        print_json(as_published(decision) | {"folder": str(folder)})
        return
    known = any(candidate.truth for candidate in decision.candidates)
    held_out = [f"{name} (held out)" for name in decision.held_out]
    columns = (*COLUMNS[:4], *(["truth"] if known else []), *COLUMNS[4:-1], *held_out, COLUMNS[-1])
    print_table(columns, [_row(candidate, known, decision.held_out) for candidate in decision.candidates])
    for line in [*_in_domain(decision), *decision.notes]:
        click.echo(line)
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
            *[round(outcome.held_out[name], 1) for name in decision.held_out],
        ]
        for title, outcome in named
        if outcome is not None
    ]
    held_out = [f"{name} (held out)" for name in decision.held_out]
    print_table(("mix", "samples", *decision.benchmarks, "average", *held_out), rows)
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
        "rule": decision.rule.model_dump(),
        "notes": decision.notes,
        "decisions": [_candidate_json(candidate) for candidate in decision.candidates],
        "comparison": {
            "baseline": decision.baseline.average,
            "selected": decision.selected.average,
            "all": decision.all.average if decision.all else None,
            "selected_minus_baseline": decision.selected_minus_baseline.model_dump(),
            "selected_minus_all": decision.selected_minus_all.model_dump() if decision.selected_minus_all else None,
            "scores": {title: outcome.scores | {"samples": outcome.samples} for title, outcome in _outcomes(decision)},
            "held_out": {title: outcome.held_out for title, outcome in _outcomes(decision)},
        },
    }


def print_plan(plan: dict[str, Any], as_json: bool) -> None:
    """What a study will probably train, and what of it is already there (see ``curator.study_plan``)."""
    if as_json:
        print_json(plan)
        return
    print_table(
        ("candidate", "category", "samples"), [[c["name"], c["category"], c["samples"]] for c in plan["candidates"]]
    )
    click.echo()
    trials = plan["trials"]
    click.echo(
        f"strategy {plan['strategy']}: about {trials['mean']:.0f} trials ({trials['least']} to {trials['most']}) "
        f"in {plan['waves']:.0f} waves, {plan['samples']:,.0f} samples trained; "
        f"{plan['first_trials_finished']} of the {plan['first_trials']} of baseline and everything are there already"
    )
    click.echo(
        f"{len(plan['categories'])} categories, {plan['seeds']} seeds each, up to {plan['max_seeds']} where undecided"
    )
    if plan["cpu_hours"] is None:
        click.echo("no trial of this home tells how long that takes")
        return
    click.echo(
        f"at the pace of this home's trials: {_hours(plan['hours'])} with these workers, {_hours(plan['cpu_hours'])} "
        f"of CPU, {_hours(plan['trainer_hours'])} of trainers (of GPUs, where each has one)"
    )


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _in_domain(decision: Decision) -> Iterator[str]:
    """What is to be known of candidates that are the training split of a guide benchmark."""
    for one in decision.candidates:
        if one.without is None:
            continue
        split_of = f"{one.candidate} is the training split of {', '.join(one.without.benchmarks)}"
        if one.without.average is None:
            yield f"{split_of}: nothing else guides this study"
            continue
        effect = f"{one.without.average.mean:+.1f} ({_interval(one.without.average)})"
        yield f"{split_of}: without, {effect} and {one.without.verdict} ({one.without.label})"


def _outcomes(decision: Decision) -> list[tuple[str, MixOutcome]]:
    named = [("baseline", decision.baseline), ("selected", decision.selected), ("all", decision.all)]
    return [(title, outcome) for title, outcome in named if outcome is not None]


def _row(candidate: CandidateDecision, known: bool, held_out: list[str]) -> list[Any]:
    name = candidate.candidate + (" *" if candidate.without else "")
    left = [name, candidate.category, candidate.verdict, candidate.label, *([candidate.truth] if known else [])]
    effect = [f"{candidate.average.mean:+.1f}", _interval(candidate.average), len(candidate.seeds)]
    beside = [f"{candidate.held_out[name].mean:+.1f}" for name in held_out]
    return [*left, *effect, _chance(candidate.wrong), *beside, candidate.reason]


def _chance(wrong: float | None) -> str:
    """A chance in per cent; none where nothing is known of it."""
    if wrong is None:
        return "–"
    return f"{100 * wrong:.1f} %" if wrong >= 0.001 else "<0.1 %"


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
        "item_bootstrap": candidate.item_bootstrap.model_dump() if candidate.item_bootstrap else None,
        "chance_wrong": candidate.wrong,
        "how": candidate.how,
        "held_out": {name: effect.model_dump() for name, effect in candidate.held_out.items()},
        "without_in_domain": candidate.without.model_dump() if candidate.without else None,
        "seeds": candidate.seeds,
        "samples": candidate.samples,
        "reason": candidate.reason,
    }
