"""A laboratory of made-up scores: drives a strategy through a whole study without files or processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from curator.study import Candidate, Finding, Outcome, Outcomes, Run, Study, Wave, drive
from registry.discovery import load_module
from registry.identity import digest, order_key
from registry.scale import Noise
from registry.taxonomy import SLUGS
from registry.trial import CandidateDecision, DecisionRule

GUIDE = ("mme", "mmbench")
KNOWN = Noise(degrees_of_freedom=1e6, average=1.0, benchmarks=dict.fromkeys(GUIDE, 1.0))
"""Noise of one point a difference, known all but exactly: two seeds give a 95 % interval of ± 1.386."""
RULE = DecisionRule(
    confidence=0.95,
    harm_confidence=0.99,
    gain_confidence=0.95,
    comparable_margin=3.0,
    guard_standard_errors=3.0,
    guard_margin=2.0,
    seeds=2,
    max_seeds=4,
)
"""The rule of most tests, written out: they are about how it is applied, not about the numbers chosen for users."""

Scores = Mapping[str, float]
Truth = Callable[[Run], Scores]


@dataclass
class Replay:
    """A laboratory of made-up scores that remembers what it was asked."""

    truth: Truth
    held_out: tuple[str, ...] = ()
    waves: list[Wave] = field(default_factory=list)

    def outcome(self, run: Run) -> Outcome:
        scores = self.truth(run)
        return Outcome(
            trial=digest([list(run.joined), run.seed]),
            mix="+".join(("base", *run.joined)),
            samples=100 * (1 + len(run.joined)),
            scores=scores,
            items={name: {"": {"only": score / 100}} for name, score in scores.items()},
            held_out={name: sum(scores.values()) for name in self.held_out},
        )

    def drive(self, study: Study, strategy: str = "individual") -> Finding:
        return drive(load_module("curator.strategies", strategy, "strategy").decide(study), self.measure)

    def measure(self, wave: Wave) -> Outcomes:
        self.waves.append(wave)
        return {run: self.outcome(run) for run in wave}

    @property
    def asked(self) -> list[Run]:
        return [run for wave in self.waves for run in wave]


def candidate(name: str, category: str = "science") -> Candidate:
    return Candidate(name, f"demo-{name}", category, samples=50)


def study(*candidates: Candidate, noise: Noise | None = KNOWN, rule: DecisionRule | None = None) -> Study:
    present = {one.category for one in candidates}
    return Study(
        name="made-up",
        baseline="base",
        candidates=candidates,
        benchmarks=GUIDE,
        rule=rule or RULE,
        categories=tuple(slug for slug in SLUGS if slug in present),
        noise=noise,
    )


def adding(effects: Mapping[str, float | Scores], baseline: float = 50.0) -> Truth:
    """Scores without noise: every joined candidate adds its effect (to every benchmark, or to those named)."""

    def truth(run: Run) -> Scores:
        found = dict.fromkeys(GUIDE, baseline)
        for name in run.joined:
            effect = effects.get(name, 0.0)
            for benchmark in GUIDE:
                found[benchmark] += effect if isinstance(effect, (int, float)) else effect.get(benchmark, 0.0)
        return found

    return truth


def noisy(effects: Mapping[str, float], deviation: float, number: int) -> Truth:
    """Scores with seeded noise of their own in every trial, and noise of the seed that all its trials share."""

    def truth(run: Run) -> Scores:
        own = np.random.Generator(np.random.PCG64(order_key(number, *run.joined, "seed", run.seed)))
        shared = np.random.Generator(np.random.PCG64(order_key(number, "shared", run.seed))).normal(0, 5)
        scores = own.normal(50 + shared + sum(effects.get(name, 0.0) for name in run.joined), deviation, len(GUIDE))
        return dict(zip(GUIDE, scores.tolist(), strict=True))

    return truth


def only(finding: Finding) -> CandidateDecision:
    [decision] = finding.candidates
    return decision
