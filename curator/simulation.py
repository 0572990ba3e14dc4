"""Simulated studies with known truth: what a strategy and a rule get right, how often they err, and what they cost.

The scores are made up, everything else is real: the strategies and the rule are the ones that ``select`` runs. Effects
are drawn from those measured one by one at small scale, the noise is a scale's calibrated one, and 37 candidates
stand in the 12 categories as in the paper's Table 3. So the figures say how often a rule is right about effects of
that size and noise of that kind; they say nothing of how large the effects of real datasets are.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from curator.study import Candidate, Finding, Outcome, Outcomes, Run, Study, Wave, drive
from registry.discovery import load_module
from registry.errors import Refusal, did_you_mean
from registry.identity import order_key
from registry.scale import Noise
from registry.trial import DecisionRule

Scores = npt.NDArray[np.float64]
Truth = Literal["good", "neutral", "bad"]

GUIDE = ("mme", "mmbench_dev_en", "scienceqa_test", "seedbench_img")
TABLE_3 = {
    "captioning": 6,
    "general_qa": 2,
    "science": 3,
    "chart": 5,
    "mathematics": 4,
    "knowledge": 1,
    "ocr": 5,
    "document": 1,
    "grounding": 1,
    "conversation": 5,
    "text_only": 3,
    "screen": 1,
}
"""Category -> candidates of the paper, 37 in all."""
JOINED_SHARE = 5 / 37
"""Size of a candidate beside the baseline's: the paper's mix of everything is about six times its baseline."""
START = 44.0
SEED_DEVIATION = 5.0
"""What a seed does to all mixes alike; differences do not see it."""


class Kind(NamedTuple):
    """An effect that was measured at small scale: on the average, and on the benchmark that it moved most."""

    truth: Truth
    average: float
    benchmark: str
    largest: float

    def effects(self) -> Scores:
        """The effect on each guide benchmark; what is not known of three of them is spread evenly."""
        rest = (self.average * len(GUIDE) - self.largest) / (len(GUIDE) - 1)
        return np.array([self.largest if name == self.benchmark else rest for name in GUIDE])


MEASURED = (
    Kind("good", 14.3, "scienceqa_test", 23.8),
    Kind("good", 4.6, "mmbench_dev_en", 7.3),
    Kind("good", 4.0, "scienceqa_test", 10.6),
    Kind("good", 3.7, "mme", 9.3),
    Kind("good", 1.5, "seedbench_img", 5.2),
    Kind("neutral", 0.0, "mme", 0.0),
    Kind("neutral", -0.5, "mme", -0.5),
    Kind("neutral", -0.9, "seedbench_img", -2.2),
    Kind("neutral", 0.1, "mme", 0.1),
    Kind("bad", -2.6, "seedbench_img", -7.2),
    Kind("bad", -2.9, "mme", -11.4),
    Kind("bad", -3.5, "seedbench_img", -6.6),
    Kind("bad", -4.3, "mme", -22.0),
)
"""Effects over four seeds of a prototype at the size of scale ``demo``: skills, redundant sets, systematic faults."""
COUNTS: dict[Truth, int] = {"good": 12, "neutral": 13, "bad": 12}
WORLDS = {
    "measured": "effects as measured: a third good, a third neutral, a third bad",
    "null": "no candidate has any effect",
    "boundary": "every candidate costs exactly the margin on each benchmark: the worst case of calling one comparable",
}


@dataclass(frozen=True)
class Setting:
    """What is simulated."""

    world: str = "measured"
    noise: Noise | None = None
    """What the rule is told about noise; the truth is ``noise_factor`` times that."""
    told: bool = True
    """False keeps the calibration from the rule."""
    noise_factor: float = 1.0
    overlap: float = 0.0
    """Share of its effect that a good candidate loses where another good one of its category is there."""
    margin: float = 3.0
    """Loss of every candidate in the world ``boundary``."""
    seed: int = 0

    def check(self) -> None:
        """Raise Refusal for a world that does not exist."""
        if self.world not in WORLDS:
            hint = did_you_mean(self.world, WORLDS)
            raise Refusal(f"world '{self.world}'", f"there is none{hint}", f"choose one of: {', '.join(WORLDS)}")


def paper_candidates() -> list[Candidate]:
    """37 candidates in 12 categories; their truth is drawn for each study."""
    return [
        Candidate(f"{category}-{number}", f"{category}-{number}", category)
        for category, count in TABLE_3.items()
        for number in range(count)
    ]


@dataclass
class SimulatedLaboratory:
    """One study with drawn truth: answers runs with made-up scores, and remembers what they would have cost."""

    setting: Setting
    number: int
    candidates: Sequence[Candidate]
    sizes: Mapping[str, float] = field(default_factory=dict)
    """Candidate -> samples beside the baseline's; ``JOINED_SHARE`` where it is not given."""
    trained: dict[tuple[frozenset[str], int], float] = field(default_factory=dict)
    """Mix and seed -> cost in trainings of the baseline: what is the same mix is trained once."""
    waves: list[list[float]] = field(default_factory=list)
    """Cost of the trials of each wave."""
    _truths: dict[frozenset[str], Scores] = field(default_factory=dict)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What each candidate is in this study."""
        names = [candidate.name for candidate in self.candidates]
        if self.setting.world != "measured":
            loss = -self.setting.margin if self.setting.world == "boundary" else 0.0
            kind = Kind("bad" if loss else "neutral", loss, GUIDE[0], loss)
            return dict.fromkeys(names, kind)
        draw = np.random.Generator(np.random.PCG64(order_key(self.setting.seed, self.number, "kinds")))
        truths: list[Truth] = [truth for truth, count in COUNTS.items() for _ in range(count)]
        shuffled = draw.permutation(len(names)) * len(truths) // len(names)
        of = {truth: [kind for kind in MEASURED if kind.truth == truth] for truth in COUNTS}
        return {
            name: of[truths[place]][int(draw.integers(len(of[truths[place]])))]
            for name, place in zip(names, shuffled.tolist(), strict=True)
        }

    @cached_property
    def effects(self) -> dict[str, Scores]:
        """True effect of each candidate alone."""
        return {name: kind.effects() for name, kind in self.kinds.items()}

    @cached_property
    def _category(self) -> dict[str, str]:
        return {candidate.name: candidate.category for candidate in self.candidates}

    def truth(self, joined: Sequence[str]) -> Scores:
        """True scores of a mix above the baseline's."""
        found = np.zeros(len(GUIDE))
        taught: set[str] = set()
        for name in sorted(joined):
            good = self.kinds[name].truth == "good"
            found += self.effects[name] * (1 - self.setting.overlap * (good and self._category[name] in taught))
            if good:
                taught.add(self._category[name])
        return found

    def measure(self, wave: Wave) -> Outcomes:
        """Scores of these runs: true ones, what the seed does to all, and noise of each trial's own."""
        costs = []
        for run in wave:
            key = (frozenset(run.joined), run.seed)
            if key not in self.trained:
                self.trained[key] = 1 + sum(self.sizes.get(name, JOINED_SHARE) for name in run.joined)
                costs.append(self.trained[key])
        self.waves.append(costs)
        return {run: self._outcome(run) for run in wave}

    def _outcome(self, run: Run) -> Outcome:
        mix = frozenset(run.joined)
        if mix not in self._truths:
            self._truths[mix] = START + self.truth(run.joined)
        shared = SEED_DEVIATION * self._draw("seed", run.seed).gauss()
        own = self._draw(*sorted(mix), run.seed)
        noise = np.array([own.gauss(0.0, deviation) for deviation in self._deviations])
        scores = self._truths[mix] + shared + noise
        return Outcome(
            trial="+".join((*run.joined, str(run.seed))),
            mix="+".join(("baseline", *run.joined)),
            samples=0,
            scores=dict(zip(GUIDE, scores.tolist(), strict=True)),
            items={},
        )

    def _draw(self, *key: str | int) -> random.Random:
        """Numbers that depend on what they are for, and on no other draw."""
        return random.Random(order_key(self.setting.seed, self.number, *key))

    @cached_property
    def _deviations(self) -> list[float]:
        """Standard deviation of a trial: a difference has that of two."""
        noise = self.setting.noise
        assert noise is not None, "a simulated scorer has noise"
        paired = [noise.benchmarks.get(name, noise.average * 2) for name in GUIDE]
        return [deviation * self.setting.noise_factor / math.sqrt(2) for deviation in paired]


def simulated_study(setting: Setting, rule: DecisionRule, candidates: Sequence[Candidate]) -> Study:
    """The study that a strategy is asked; it knows nothing of the truth."""
    return Study(
        name="simulated",
        baseline="baseline",
        candidates=tuple(candidates),
        benchmarks=GUIDE,
        rule=rule,
        categories=tuple(dict.fromkeys(candidate.category for candidate in candidates)),
        noise=setting.noise if setting.told else None,
    )


def simulate(
    setting: Setting, strategy: str, rule: DecisionRule, number: int, candidates: Sequence[Candidate]
) -> tuple[Finding, SimulatedLaboratory]:
    """Run one simulated study to its end."""
    laboratory = SimulatedLaboratory(setting, number, candidates)
    module = load_module("curator.strategies", strategy, "strategy")
    return drive(module.decide(simulated_study(setting, rule, candidates)), laboratory.measure), laboratory
