"""The words a selection strategy speaks: study, run, outcome, finding. Pure values, no files, no processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from statistics import fmean

from registry.recipe import Quota, RecipePart
from registry.scale import Noise
from registry.statistics import Items
from registry.trial import CandidateDecision, DecisionRule, Effect


@dataclass(frozen=True)
class Edit:
    """What a candidate does to a recipe beyond joining whole: one of the two is given."""

    joins: RecipePart | None = None
    """So much of the dataset, filtered so."""
    quota: Quota | None = None
    """So many rows of the candidate's category in the baseline."""


@dataclass(frozen=True)
class Candidate:
    """A dataset, a part of one, or another edit of the recipe, that may join the baseline."""

    name: str
    dataset: str
    category: str
    part: str | None = None
    samples: int = 0
    truth: str | None = None
    """good | neutral | bad where it is known (the demo)."""
    in_domain: tuple[str, ...] = ()
    """Benchmarks that it is the training split of."""
    edit: Edit | None = None
    """None = it joins whole, once."""

    @property
    def choice(self) -> tuple[str, ...]:
        """Candidates of one choice are other amounts of the same: at most one of them joins."""
        return (self.dataset, self.part or "", self.category if self.edit and self.edit.quota else "")


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
    held_out: tuple[str, ...] = ()
    """Benchmarks that are scored and guide nothing."""

    @property
    def everything(self) -> tuple[str, ...]:
        """Every candidate; of several amounts of the same, the first that was named."""
        first = {candidate.choice: candidate.name for candidate in reversed(self.candidates)}
        return tuple(candidate.name for candidate in self.candidates if first[candidate.choice] == candidate.name)


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
    """Guide benchmark -> 0..100."""
    items: Items
    """Benchmark -> stratum -> item group -> 0..1; may be empty where nobody asks about items."""
    held_out: Mapping[str, float] = field(default_factory=dict)
    """Score on each benchmark that guides nothing."""

    @property
    def average(self) -> float:
        """Mean of the guide benchmarks (the paper's figure)."""
        return fmean(self.scores.values())

    def mean(self, benchmarks: Sequence[str]) -> float:
        """Mean of these benchmarks, guides or not."""
        return fsum([self.scores[name] if name in self.scores else self.held_out[name] for name in benchmarks]) / len(
            benchmarks
        )


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
    notes: list[str] = field(default_factory=list)
    """What is worth knowing of the whole."""


Strategy = Generator[Wave, Outcomes, Finding]
Measure = Callable[[Wave], Outcomes]


def drive(strategy: Strategy, measure: Measure) -> Finding:
    """Answer a strategy until it is done. Whoever measures may train, simulate, or read what is stored."""
    try:
        wave = next(strategy)
        while True:
            wave = strategy.send(measure(wave))
    except StopIteration as end:
        finding: Finding = end.value
        return finding
