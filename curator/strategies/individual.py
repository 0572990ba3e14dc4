"""Individual Select (paper, section 3.3), with the paper's "comparable" made a declared, tested rule.

Category by category: each candidate alone joins the current baseline, the model is trained and scored; candidates
that are better or comparable form the pool; the whole pool joins the baseline before the next category begins.

The verdict on a candidate rests on differences to the baseline of the same seed (common random numbers: the shared
samples come in the same order from the same initial weights). Their variance is pooled over all candidates so far
and over the calibration of the scale. A candidate is

* dropped (harm): the interval of its average effect at the confidence for harm lies below zero, or one benchmark
  falls beyond the guard;
* kept (gain): the interval at family-wise confidence lies above zero;
* kept (comparable): the interval excludes a loss beyond the declared margin, and does not lie below zero;
* undecided: none of these; it gets more seeds up to the rule's limit, and does not join.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from curator.study import Candidate, Finding, Outcome, Outcomes, Run, Step, Strategy, Study, Wave
from registry.errors import Refusal
from registry.statistics import PooledVariance, item_bootstrap, pooled_variance
from registry.trial import CandidateDecision, DecisionRule, Effect, Label, Verdict

VERSION = 1
TITLE = "Individual Select: one candidate at a time, category by category"
AVERAGE = "average"


@dataclass
class _Evidence:
    """Everything measured so far, and the differences that the variance is pooled from."""

    study: Study
    outcomes: dict[Run, Outcome] = field(default_factory=dict)
    differences: dict[str, list[list[float]]] = field(default_factory=dict)
    """Figure (average or benchmark) -> one list of paired differences per decided candidate."""

    def missing(self, runs: Wave) -> Wave:
        return [run for run in dict.fromkeys(runs) if run not in self.outcomes]

    def paired(self, joined: tuple[str, ...], against: tuple[str, ...], seeds: Sequence[int]) -> dict[str, list[float]]:
        """Figure -> difference per seed, in points."""
        pairs = [(self.outcomes[Run(joined, seed)], self.outcomes[Run(against, seed)]) for seed in seeds]
        figures = {AVERAGE: [ours.average - theirs.average for ours, theirs in pairs]}
        for name in self.study.benchmarks:
            figures[name] = [ours.scores[name] - theirs.scores[name] for ours, theirs in pairs]
        return figures

    def variance(self, figure: str, own: Sequence[Sequence[float]]) -> PooledVariance:
        """Variance of one difference of this figure, from all candidates decided before and these."""
        prior, degrees = None, 0.0
        if self.study.noise is not None:
            noise = self.study.noise
            prior = noise.average if figure == AVERAGE else noise.benchmarks.get(figure, noise.average * 2)
            degrees = noise.degrees_of_freedom
        pooled = pooled_variance([*self.differences.get(figure, []), *own], prior, degrees)
        if pooled is None:
            raise Refusal(
                f"study '{self.study.name}'",
                "one seed and a scale without calibrated noise say nothing about chance",
                "give at least two seeds (--seeds 2), or a 'noise' block in the scale",
            )
        return pooled


def decide(study: Study) -> Strategy:
    """Yield waves of runs; return the finding."""
    evidence = _Evidence(study)
    seeds = range(study.rule.seeds)
    evidence.variance(AVERAGE, [[0.0] * len(seeds)])  # refuses before anything is trained what could not be decided
    everything = tuple(candidate.name for candidate in study.candidates)
    joined: tuple[str, ...] = ()
    finding = Finding(path=[Step(None, ())])
    yield from _measure(evidence, [Run(names, seed) for names in ((), everything) for seed in seeds])
    for category in study.categories:
        members = [candidate for candidate in study.candidates if candidate.category == category]
        decisions = yield from _decide_category(evidence, members, joined)
        finding.candidates += decisions
        pool = tuple(decision.candidate for decision in decisions if decision.verdict == "kept")
        if pool:
            joined += pool
            finding.path.append(Step(category, joined))
            yield from _measure(evidence, [Run(joined, seed) for seed in seeds])
    finding.selected = joined
    finding.selected_minus_baseline = _compare(evidence, joined, (), seeds)
    finding.selected_minus_all = _compare(evidence, joined, everything, seeds)
    return finding


def _measure(evidence: _Evidence, runs: Wave) -> Generator[Wave, Outcomes, None]:
    """Ask for the runs that were not measured yet."""
    wanted = evidence.missing(runs)
    if wanted:
        evidence.outcomes.update((yield wanted))


def _decide_category(
    evidence: _Evidence, members: list[Candidate], joined: tuple[str, ...]
) -> Generator[Wave, Outcomes, list[CandidateDecision]]:
    """Try every candidate of one category against the same baseline; undecided ones get more seeds."""
    rule = evidence.study.rule
    seeds = {member.name: list(range(rule.seeds)) for member in members}
    undecided = list(members)
    decisions: dict[str, CandidateDecision] = {}
    while undecided:
        runs = [Run(base, s) for m in undecided for s in seeds[m.name] for base in (joined, (*joined, m.name))]
        yield from _measure(evidence, runs)
        paired = {m.name: evidence.paired((*joined, m.name), joined, seeds[m.name]) for m in members}
        for member in members:
            decisions[member.name] = _verdict(evidence, member, joined, seeds[member.name], paired)
        undecided = [
            m for m in members if decisions[m.name].verdict == "undecided" and len(seeds[m.name]) < rule.max_seeds
        ]
        for member in undecided:
            seeds[member.name].append(len(seeds[member.name]))
    for figures in paired.values() if members else ():
        for figure, values in figures.items():
            evidence.differences.setdefault(figure, []).append(values)
    return [decisions[member.name] for member in members]


def _verdict(
    evidence: _Evidence,
    member: Candidate,
    joined: tuple[str, ...],
    seeds: Sequence[int],
    paired: dict[str, dict[str, list[float]]],
) -> CandidateDecision:
    """Apply the rule to one candidate. ``paired`` holds the differences of all candidates of its category."""
    study, rule = evidence.study, evidence.study.rule
    own = paired[member.name]
    variance = {figure: evidence.variance(figure, [p[figure] for p in paired.values()]) for figure in own}
    on_average, beyond = variance[AVERAGE], math.erf(rule.guard_standard_errors / math.sqrt(2))
    evidence_for = _Intervals(
        average=on_average.effect(own[AVERAGE], rule.confidence),
        harm=on_average.effect(own[AVERAGE], rule.harm_confidence),
        family=on_average.effect(own[AVERAGE], rule.gain_confidence, comparisons=len(study.candidates)),
        guards={name: variance[name].effect(own[name], beyond) for name in study.benchmarks},
    )
    verdict, label, reason = _judge(rule, evidence_for)
    ours = [evidence.outcomes[Run((*joined, member.name), seed)] for seed in seeds]
    theirs = [evidence.outcomes[Run(joined, seed)] for seed in seeds]
    return CandidateDecision(
        candidate=member.name,
        category=member.category,
        dataset=member.dataset,
        part=member.part,
        samples=member.samples,
        verdict=verdict,
        label=label,
        reason=reason,
        average=evidence_for.average,
        benchmarks={name: variance[name].effect(own[name], rule.confidence) for name in study.benchmarks},
        item_bootstrap=item_bootstrap([o.items for o in ours], [o.items for o in theirs], rule.confidence),
        seeds=list(seeds),
        against=theirs[0].mix,
        trials=[o.trial for o in ours],
        truth=member.truth,  # type: ignore[arg-type]  # checked by the model
    )


@dataclass(frozen=True)
class _Intervals:
    """One effect at the confidences that the rule asks for."""

    average: Effect
    harm: Effect
    family: Effect
    """Simultaneous over all candidates of the study."""
    guards: dict[str, Effect]
    """Each benchmark at the confidence that the guard's standard errors would have if they were known exactly."""


def _judge(rule: DecisionRule, found: _Intervals) -> tuple[Verdict, Label, str]:
    """The rule itself: harm first, then the guard, then gain, then comparable."""
    average = found.average
    if found.harm.high < 0:
        return "dropped", "harm", f"lowers the average by {-average.mean:.1f} points, beyond chance"
    guards = found.guards.items()
    fallen = [(effect.mean, name) for name, effect in guards if effect.high < 0 and effect.mean < -rule.guard_margin]
    if fallen:
        loss, name = min(fallen)
        return "dropped", "harm", f"{name} falls by {-loss:.1f} points, beyond the guard"
    if found.family.low > 0:
        return "kept", "gain", f"raises the average by {average.mean:.1f} points, beyond chance"
    if average.high < 0:
        return "undecided", "unclear", f"a loss of {-average.mean:.1f} points is likely but not certain"
    if average.low > -rule.comparable_margin:
        cost = max(0.0, -average.low)
        return "kept", "comparable", f"costs at most {cost:.1f} points (margin {rule.comparable_margin:g})"
    return "undecided", "unclear", f"a loss of up to {-average.low:.1f} points is not excluded"


def _compare(evidence: _Evidence, ours: tuple[str, ...], theirs: tuple[str, ...], seeds: Sequence[int]) -> Effect:
    """Difference of the average between two mixes of the study."""
    figures = evidence.paired(ours, theirs, seeds)
    variance = evidence.variance(AVERAGE, [])
    return variance.effect(figures[AVERAGE], evidence.study.rule.confidence)
