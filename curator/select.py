"""Select: drive a strategy with real trials and write down what was decided.

A killed study goes on where it was, because its laboratory finds the finished trials, and ends with the same decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from curator.laboratory import Laboratory
from curator.study import Candidate, Finding, Outcomes, Run, Wave, drive
from registry.card import load_card
from registry.discovery import load_module
from registry.errors import Refusal, did_you_mean
from registry.identity import digest
from registry.store import Home, Record, dump_json, write_aside
from registry.taxonomy import SLUGS
from registry.trial import DECISION_FILE, Decision, MixOutcome, PathPoint


def run_study(laboratory: Laboratory, strategy_name: str, on_wave: Callable[[Wave], None]) -> Decision:
    """Drive the strategy to its end and build the decision. ``on_wave`` hears what is about to be measured."""
    module = load_module("curator.strategies", strategy_name, "strategy")

    def measure(wave: Wave) -> Outcomes:
        on_wave(wave)
        return laboratory.measure(wave)

    finding = drive(module.decide(laboratory.study), measure)
    return _decision(laboratory, strategy_name, module.VERSION, finding)


def _decision(laboratory: Laboratory, strategy: str, version: int, finding: Finding) -> Decision:
    study = laboratory.study
    everything = study.everything
    assert finding.selected_minus_baseline is not None
    return Decision(
        name=study.name,
        strategy=strategy,
        strategy_version=version,
        scale=laboratory.scale.name,
        rule=study.rule,
        benchmarks=list(study.benchmarks),
        rules=laboratory.rules,
        categories=list(study.categories),
        candidates=finding.candidates,
        path=[_path_point(laboratory, step.category, step.joined) for step in finding.path],
        baseline=_outcome(laboratory, ()),
        selected=_outcome(laboratory, finding.selected),
        all=_outcome(laboratory, everything) if Run(everything, 0) in laboratory.outcomes else None,
        selected_minus_all=finding.selected_minus_all,
        selected_minus_baseline=finding.selected_minus_baseline,
        trials=dict(sorted(laboratory.trials.items())),
        held_out=list(study.held_out),
        notes=finding.notes,
        settings=_decision_settings(laboratory, strategy, version),
    )


def _outcome(laboratory: Laboratory, joined: tuple[str, ...]) -> MixOutcome:
    found = [laboratory.outcomes[Run(joined, seed)] for seed in range(laboratory.study.rule.seeds)]
    scores = {name: fmean(o.scores[name] for o in found) for name in laboratory.study.benchmarks}
    return MixOutcome(
        mix=found[0].mix,
        samples=found[0].samples,
        scores=scores,
        average=fmean(scores.values()),
        by_seed=[o.average for o in found],
        trials=[o.trial for o in found],
        held_out={name: fmean(o.held_out[name] for o in found) for name in laboratory.study.held_out},
    )


def _path_point(laboratory: Laboratory, category: str | None, joined: tuple[str, ...]) -> PathPoint:
    outcome = _outcome(laboratory, joined)
    return PathPoint(
        category=category,
        mix=outcome.mix,
        joined=list(joined),
        samples=outcome.samples,
        scores=outcome.scores,
        average=outcome.average,
        trials=outcome.trials,
    )


def _decision_settings(laboratory: Laboratory, strategy: str, version: int) -> dict[str, Any]:
    """What was asked: the identity of the decision together with its trials."""
    return {
        "strategy": strategy,
        "strategy_version": version,
        "baseline": laboratory.baseline.plain(),
        "pretrain": laboratory.pretrain.plain() if laboratory.pretrain else None,
        "scale": laboratory.scale.model_dump(mode="json", exclude={"base"}),  # its path is this machine's affair
        "base": laboratory.base_digest,
        "candidates": [_asked(candidate) for candidate in laboratory.study.candidates],
        "tables": {bench.name: bench.table_digest for bench in laboratory.benches},
        "rules": laboratory.rules,
        "rule": laboratory.study.rule.model_dump(mode="json"),
    }


def _asked(candidate: Candidate) -> list[Any]:
    """A candidate as it was asked for."""
    edit = candidate.edit
    change = (edit.joins or edit.quota) if edit else None
    changed = [change.model_dump(mode="json", exclude_defaults=True)] if change else []
    return [candidate.name, candidate.dataset, candidate.part, candidate.category, *changed]


def save_decision(home: Home, decision: Decision) -> Path:
    """Write ``decisions/<name>-<d>/``; the same decision is found, not written again."""
    identity = digest({"settings": decision.settings, "trials": decision.trials})
    found = home.find("decisions", identity)
    if found is not None:
        return found
    folder = home.folder("decisions", decision.name, identity)
    record = Record(
        kind="decision",
        name=decision.name,
        digest=identity,
        inputs={f"trials/{name}": key for key, name in decision.trials.items()},
        rows_in=len(decision.candidates),
        rows_out=len(decision.candidates),
        settings=decision.settings,
        command="curator select",
    )
    with home.making(folder, record) as aside:
        write_aside(aside / DECISION_FILE, dump_json(decision.model_dump(mode="json")))
    return folder


def candidate_from(home: Home, name: str, samples: int = 0, truth: str | None = None) -> Candidate:
    """``dataset`` or ``dataset/part`` as a candidate; its category is the part's."""
    dataset, _, part = name.partition("/")
    card = load_card(dataset, home)
    names = [p.name for p in card.parts]
    if part and part not in names:
        hint = did_you_mean(part, names)
        raise Refusal(
            f"candidate '{name}'", f"dataset '{dataset}' has no such part{hint}", f"parts: {', '.join(names)}"
        )
    if not part and len(card.categories) > 1:
        options = ", ".join(f"{dataset}/{p}" for p in names)
        raise Refusal(f"candidate '{name}'", "has parts of several categories", f"name one part: {options}")
    chosen = next(p for p in card.parts if p.name == (part or names[0]))
    return Candidate(name, dataset, chosen.category, part or None, samples, truth, tuple(card.train_split_of))


def category_order(candidates: Iterable[Candidate], asked: Iterable[str] = ()) -> tuple[str, ...]:
    """Categories in the order asked for, then the rest in the order of the paper's Table 3.

    Raises Refusal for what is no category; one without a candidate is passed over.
    """
    asked = list(dict.fromkeys(asked))
    for slug in asked:
        if slug not in SLUGS:
            hint = did_you_mean(slug, SLUGS)
            raise Refusal(f"category '{slug}'", f"is none of the 12{hint}", f"choose one of: {', '.join(SLUGS)}")
    present = {candidate.category for candidate in candidates}
    first = [slug for slug in asked if slug in present]
    return tuple(first + [slug for slug in SLUGS if slug in present and slug not in first])
