"""What a strategy has measured so far: paired differences of mixes, how noisy they are, and verdicts from both.

A difference is that of two mixes trained with the same seed (common random numbers: the shared samples come in the
same order from the same initial weights). Its variance is pooled over all candidates judged so far and over the
calibration of the scale, since one candidate alone is repeated too rarely to know its own.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from curator.judging import AVERAGE, Estimates, Family, judge
from curator.study import Candidate, Outcome, Outcomes, Run, Study, Wave
from registry.errors import Refusal
from registry.scale import Noise
from registry.statistics import Estimate, PooledVariance, item_bootstrap, pooled_variance
from registry.trial import CandidateDecision, Effect, How, WithoutBenchmark

Figures = Mapping[str, tuple[str, ...]]
"""Name of a figure -> the benchmarks whose mean it is."""
Differences = Mapping[str, Sequence[float]]
"""Figure -> one difference per seed, in points."""
Variances = Mapping[str, PooledVariance | None]
"""Figure -> variance of one difference, as far as it is known; None = not at all."""
Joined = tuple[str, ...]


@dataclass(frozen=True)
class Contrast:
    """A candidate and the two mixes whose difference is its effect."""

    member: Candidate
    having: Joined
    lacking: Joined
    how: How = "joins"


@dataclass
class Evidence:
    """Everything measured so far."""

    study: Study
    fits: bool = False
    """Whether effects are fitted, which needs to know of noise whatever the rule."""
    shares: bool = False
    """Whether one mix stands on a side of every difference, so that they all have its noise in common."""
    outcomes: dict[Run, Outcome] = field(default_factory=dict)
    spent: int = 0
    """Trials that went to further seeds of undecided candidates."""
    figures: Figures = field(init=False)
    variances: Variances = field(init=False)
    """From the scale and the candidates judged before."""

    def __post_init__(self) -> None:
        self.figures = figures_of(self.study)
        self.variances = {figure: self._calibrated(figure) for figure in self.figures}
        blind = not self.calibrated and self.study.rule.seeds < 2
        if blind and (self.fits or self.study.rule.by == "statistics"):
            raise Refusal(
                f"study '{self.study.name}'",
                "one seed and a scale without calibrated noise say nothing about chance",
                "give at least two seeds (--seeds 2), or a 'noise' block in the scale",
            )

    @property
    def calibrated(self) -> bool:
        """Whether the noise of the scale was measured before this study."""
        return self.study.noise is not None

    def _calibrated(self, figure: str) -> PooledVariance | None:
        noise = self.study.noise
        if noise is None:
            return None
        deviation = _deviation(noise, self.study, figure, self.figures[figure])
        return PooledVariance(deviation**2, noise.degrees_of_freedom)

    def measure(self, runs: Wave) -> Generator[Wave, Outcomes, None]:
        """Ask for the runs that were not measured yet."""
        wanted = self.missing(runs)
        if wanted:
            self.outcomes.update((yield wanted))

    def missing(self, runs: Wave) -> Wave:
        """The runs that were not measured yet, each once."""
        return [run for run in dict.fromkeys(runs) if run not in self.outcomes]

    def may_spend(self, trials: int) -> bool:
        """Whether the rule allows so many more trials for further seeds."""
        limit = self.study.rule.extra_trials
        return limit is None or self.spent + trials <= limit

    def differences(self, having: Joined, lacking: Joined, seeds: Sequence[int]) -> dict[str, list[float]]:
        """Figure -> difference per seed."""
        pairs = [(self.outcomes[Run(having, seed)], self.outcomes[Run(lacking, seed)]) for seed in seeds]
        return {
            figure: [ours.mean(names) - theirs.mean(names) for ours, theirs in pairs]
            for figure, names in self.figures.items()
        }

    def variances_with(self, group: Sequence[Differences]) -> Variances:
        """What is known of noise, with the differences of candidates that are judged together."""
        return {figure: self._with(before, [one[figure] for one in group]) for figure, before in self.variances.items()}

    def _with(self, before: PooledVariance | None, own: list[Sequence[float]]) -> PooledVariance | None:
        own = _without_the_shared(own) if self.shares else own
        if before is None:
            return pooled_variance(own)
        return pooled_variance(own, math.sqrt(before.variance), before.degrees_of_freedom)

    def estimates(self, contrast: Contrast, seeds: Sequence[int], variances: Variances) -> Estimates:
        """The effect on every figure."""
        found = {}
        for figure, values in self.differences(contrast.having, contrast.lacking, seeds).items():
            variance = variances[figure]
            estimate = variance.estimate(values) if variance else Estimate(fmean(values), 0.0, math.inf)
            if variance is None or self.study.rule.question_noise:
                estimate = estimate.with_error(self._question_error(contrast, seeds, figure))
            found[figure] = estimate
        return found

    def _question_error(self, contrast: Contrast, seeds: Sequence[int], figure: str) -> float:
        """Standard error that comes of the benchmarks' questions being a sample."""
        effect = self.bootstrap(contrast, seeds, self.figures[figure])
        return effect.se if effect else 0.0

    def bootstrap(self, contrast: Contrast, seeds: Sequence[int], benchmarks: Sequence[str]) -> Effect | None:
        """The effect on these benchmarks with the error of their questions; None where nobody kept them."""
        sides = []
        for joined in (contrast.having, contrast.lacking):
            outcomes = [self.outcomes[Run(joined, seed)] for seed in seeds]
            sides.append([{name: one.items[name] for name in benchmarks if name in one.items} for one in outcomes])
        if not all(items for side in sides for items in side):
            return None
        return item_bootstrap(sides[0], sides[1], self.study.rule.confidence)

    def compare(self, ours: Joined, theirs: Joined) -> Effect:
        """Difference of the average between two mixes of the study, at the rule's own seeds."""
        seeds = range(self.study.rule.seeds)
        contrast = Contrast(self.study.candidates[0], ours, theirs)
        return self.estimates(contrast, seeds, self.variances)[AVERAGE].effect(self.study.rule.confidence)

    def decide(
        self, contrast: Contrast, seeds: Sequence[int], variances: Variances, family: Family
    ) -> CandidateDecision:
        """Judge one candidate by the difference of two mixes."""
        ours = [self.outcomes[Run(contrast.having, seed)] for seed in seeds]
        decided = self.judged(contrast.member, self.estimates(contrast, seeds, variances), family, contrast.how)
        decided.wrong = decided.wrong if variances[AVERAGE] else None
        decided.seeds = list(seeds)
        decided.against = self.outcomes[Run(contrast.lacking, seeds[0])].mix
        decided.trials = [one.trial for one in ours]
        decided.item_bootstrap = self.bootstrap(contrast, seeds, self.study.benchmarks)
        return decided

    def judged(self, member: Candidate, found: Estimates, family: Family, how: How) -> CandidateDecision:
        """The verdict that follows from effects, however they were found."""
        rule = self.study.rule
        guide = {name: found[name] for name in (AVERAGE, *self.study.benchmarks)}
        judgement = judge(rule, guide, family)
        return CandidateDecision(
            candidate=member.name,
            category=member.category,
            dataset=member.dataset,
            part=member.part,
            samples=member.samples,
            verdict=judgement.verdict,
            label=judgement.label,
            reason=judgement.reason,
            wrong=judgement.wrong,
            how=how,
            average=found[AVERAGE].effect(rule.confidence),
            benchmarks={name: found[name].effect(rule.confidence) for name in self.study.benchmarks},
            held_out={name: found[name].effect(rule.confidence) for name in self.study.held_out},
            without=self._without(member, found, family),
            item_bootstrap=None,
            seeds=[0],
            against=self.study.baseline,
            trials=[],
            truth=member.truth,  # type: ignore[arg-type]  # checked by the model
        )

    def _without(self, member: Candidate, found: Estimates, family: Family) -> WithoutBenchmark | None:
        """The verdict without the benchmarks that the candidate is the training split of."""
        left_out = [name for name in self.study.benchmarks if name in member.in_domain]
        if not left_out:
            return None
        others = [name for name in self.study.benchmarks if name not in left_out]
        if not others:
            return WithoutBenchmark(benchmarks=left_out, average=None, verdict="undecided", label="unclear")
        average = found[_average_without(left_out)]
        judgement = judge(self.study.rule, {AVERAGE: average, **{name: found[name] for name in others}}, family)
        return WithoutBenchmark(
            benchmarks=left_out,
            average=average.effect(self.study.rule.confidence),
            verdict=judgement.verdict,
            label=judgement.label,
        )


def figures_of(study: Study) -> Figures:
    """The guide average, each benchmark, and the average without those that a candidate is the training split of."""
    figures = {AVERAGE: study.benchmarks} | {name: (name,) for name in (*study.benchmarks, *study.held_out)}
    for candidate in study.candidates:
        left_out = [name for name in study.benchmarks if name in candidate.in_domain]
        if left_out and len(left_out) < len(study.benchmarks):
            others = tuple(name for name in study.benchmarks if name not in left_out)
            figures[_average_without(left_out)] = others
    return figures


def _without_the_shared(own: list[Sequence[float]]) -> list[Sequence[float]]:
    """Differences whose pooled variance is right though they share the noise of one mix.

    A seed's mean over the candidates holds the shared noise. What is left of a difference without it is the noise of
    the other mix alone, which is taken to be half of the whole.
    """
    repeated = [values for values in own if len(values) > 1]
    if len(repeated) < 2:
        return own
    seeds = range(min(map(len, repeated)))
    means = [fmean([values[seed] for values in repeated]) for seed in seeds]
    scale = math.sqrt(2 * len(repeated) / (len(repeated) - 1))
    return [[(values[seed] - means[seed]) * scale for seed in seeds] for values in repeated]


def _average_without(left_out: Sequence[str]) -> str:
    return f"{AVERAGE} without {', '.join(left_out)}"


def _deviation(noise: Noise, study: Study, figure: str, names: Sequence[str]) -> float:
    """Calibrated standard deviation of a difference; a benchmark that was not calibrated counts as twice as noisy."""
    if figure == AVERAGE:
        return noise.average

    def apart(benchmarks: Sequence[str]) -> float:
        """What the deviation of a mean would be if benchmarks had nothing to do with each other."""
        return math.hypot(*(noise.benchmarks.get(name, noise.average * 2) for name in benchmarks)) / len(benchmarks)

    return apart(names) if len(names) == 1 else noise.average * apart(names) / apart(study.benchmarks)
