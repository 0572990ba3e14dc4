"""The words a selection strategy speaks: study, run, outcome, finding. Pure values, no files, no processes."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from registry.statistics import Items
from registry.trial import CandidateDecision, DecisionRule, Effect, Noise


@dataclass(frozen=True)
class Candidate:
    """A dataset, or a part of one, that may join the baseline."""

    name: str
    dataset: str
    category: str
    part: str | None = None
    samples: int = 0
    truth: str | None = None
    """good | neutral | bad where it is known (the demo)."""


@dataclass(frozen=True)
class Study:
    """What is asked: which of these candidates should join this baseline, judged by these benchmarks."""

    name: str
    baseline: str
    """Name of the baseline recipe."""
    candidates: tuple[Candidate, ...]
    benchmarks: tuple[str, ...]
    rule: DecisionRule
    categories: tuple[str, ...]
    """Order in which categories are decided."""
    noise: Noise | None = None


@dataclass(frozen=True)
class Run:
    """One trial that a strategy wants: the baseline joined by these candidates, with this seed."""

    joined: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    trial: str
    """Digest."""
    mix: str
    """Human name of the mix."""
    samples: int
    scores: Mapping[str, float]
    """Benchmark -> 0..100."""
    items: Items
    """Benchmark -> stratum -> item group -> 0..1."""

    @property
    def average(self) -> float:
        """Mean of the guide benchmarks (the paper's figure)."""
        return fmean(self.scores.values())


Outcomes = Mapping[Run, Outcome]
Wave = list[Run]


@dataclass(frozen=True)
class Step:
    """One point of the growing baseline."""

    category: str | None
    joined: tuple[str, ...]


@dataclass
class Finding:
    """What a strategy found: verdicts, the path of the baseline, the final comparison."""

    candidates: list[CandidateDecision] = field(default_factory=list)
    path: list[Step] = field(default_factory=list)
    selected: tuple[str, ...] = ()
    selected_minus_baseline: Effect | None = None
    selected_minus_all: Effect | None = None


Strategy = Generator[Wave, Outcomes, Finding]
