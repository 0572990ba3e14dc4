"""What a study will probably take, before anything is spent: its strategy is run on simulated studies of its size.

Effects and noise are those of ``curator simulate``, sizes and pace those of this home. So the figures are a forecast
with a range: what is undecided, and what grows the baseline, is known only when it is measured.
"""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import fmean
from typing import Any, NamedTuple

from curator.laboratory import Laboratory
from curator.rounds import ends
from curator.simulation import GUIDE, Setting, SimulatedLaboratory
from curator.study import Run, Study, drive
from registry.discovery import load_module
from registry.scale import Noise
from registry.store import COST, Home, read_record

STUDIES = 20
"""Simulated studies: their spread is the range that is told."""
TYPICAL_NOISE = Noise(degrees_of_freedom=20, average=1.0)
"""Of a scale whose noise was never calibrated; it decides how many are undecided, nothing else."""


class Pace(NamedTuple):
    """Measured seconds per trained sample."""

    cpu: float
    wall: float
    """Of a trainer process, and so of the GPU that it has to itself."""


def plan_study(laboratory: Laboratory, strategy: str) -> dict[str, Any]:
    """Trials, waves, samples and hours, and what of the first trials is already there."""
    study = laboratory.study
    baseline = laboratory.mix_of(Run((), 0))[1].samples
    first_stage = laboratory.pretrain_mix[1].samples if laboratory.pretrain_mix else 0
    simulated = [_simulated(laboratory, strategy, baseline, number) for number in range(STUDIES)]
    trials = [len(one.trained) + _seeds(one) * bool(first_stage) for one in simulated]
    samples = [sum(one.trained.values()) * baseline + _seeds(one) * first_stage for one in simulated]
    elapsed = [_elapsed(one, laboratory.workers.count) * baseline for one in simulated]
    pace = measured_pace(laboratory.home)
    return {
        "study": study.name,
        "strategy": strategy,
        "candidates": [{"name": c.name, "category": c.category, "samples": c.samples} for c in study.candidates],
        "categories": list(study.categories),
        "seeds": study.rule.seeds,
        "max_seeds": study.rule.max_seeds,
        "trials": {"least": min(trials), "mean": fmean(trials), "most": max(trials)},
        "first_trials": len(ends(study)),
        "first_trials_finished": laboratory.finished(ends(study)),
        "waves": fmean(sum(map(bool, one.waves)) for one in simulated),
        "samples": fmean(samples),
        "cpu_hours": fmean(samples) * pace.cpu / 3600 if pace else None,
        "trainer_hours": fmean(samples) * pace.wall / 3600 if pace else None,
        "hours": fmean(elapsed) * pace.wall / 3600 if pace else None,
    }


def measured_pace(home: Home) -> Pace | None:
    """Over all trials finished in this home; None without any."""
    cpu, wall, samples = 0.0, 0.0, 0
    for folder in home.finished("trials"):
        cost = folder / COST
        if cost.is_file():
            told = json.loads(cost.read_bytes())
            cpu += float(told.get("cpu_seconds", 0))
            wall += float(told.get("wall_seconds", 0))
            samples += read_record(folder).rows_out
    return Pace(cpu / samples, wall / samples) if samples else None


def _simulated(laboratory: Laboratory, strategy: str, baseline: int, number: int) -> SimulatedLaboratory:
    """One simulated study of these candidates by this rule."""
    study: Study = replace(
        laboratory.study,
        candidates=tuple(replace(candidate, in_domain=()) for candidate in laboratory.study.candidates),
        benchmarks=GUIDE,
        held_out=(),
        rule=laboratory.study.rule.model_copy(update={"question_noise": False}),
    )
    sizes = {candidate.name: candidate.samples / max(1, baseline) for candidate in study.candidates}
    setting = Setting(noise=study.noise or TYPICAL_NOISE)
    one = SimulatedLaboratory(setting, number, study.candidates, sizes)
    drive(load_module("curator.strategies", strategy, "strategy").decide(study), one.measure)
    return one


def _seeds(simulated: SimulatedLaboratory) -> int:
    """Seeds that were used: each trains the first stage once."""
    return len({seed for _, seed in simulated.trained})


def _elapsed(simulated: SimulatedLaboratory, workers: int) -> float:
    """Trainings of the baseline one after the other where ``workers`` share each wave and wait for its end."""
    total = 0.0
    for wave in simulated.waves:
        loads = [0.0] * workers
        for cost in sorted(wave, reverse=True):
            loads[loads.index(min(loads))] += cost
        total += max(loads)
    return total
