"""What strategies share: trying candidates in rounds of seeds, joining what was kept, and the comparison at the end."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from curator.comparing import Contrast, Evidence, Joined
from curator.judging import Family
from curator.study import Finding, Outcomes, Run, Study, Wave
from registry.errors import Refusal
from registry.trial import CandidateDecision


def try_each(
    evidence: Evidence, contrasts: Sequence[Contrast], seeds: int, family: Family
) -> Generator[Wave, Outcomes, list[CandidateDecision]]:
    """Judge candidates together, each by its own two mixes.

    What stays undecided gets one seed more, and again, as far as the rule allows.
    """
    family = replace(family, looks=max(1, evidence.study.rule.max_seeds - seeds + 1))
    given = {one.member.name: list(range(seeds)) for one in contrasts}
    decisions: dict[str, CandidateDecision] = {}
    variances = evidence.variances
    under_way = list(contrasts)
    while under_way:
        yield from evidence.measure([run for one in under_way for run in _runs(one, given[one.member.name])])
        group = [evidence.differences(one.having, one.lacking, given[one.member.name]) for one in contrasts]
        variances = evidence.variances_with(group)
        for one in contrasts:
            decisions[one.member.name] = evidence.decide(one, given[one.member.name], variances, family)
        under_way = _another_seed(evidence, contrasts, decisions)
        for one in under_way:
            given[one.member.name].append(len(given[one.member.name]))
    evidence.variances = variances  # from now on they tell of the noise of others
    return [decisions[one.member.name] for one in contrasts]


def _runs(contrast: Contrast, seeds: Sequence[int]) -> Wave:
    return [Run(joined, seed) for seed in seeds for joined in (contrast.lacking, contrast.having)]


def _another_seed(
    evidence: Evidence, contrasts: Sequence[Contrast], decisions: dict[str, CandidateDecision]
) -> list[Contrast]:
    """The undecided that get another seed. Where spare trials are few, what is nearest to a decision comes first."""
    found = {one.member.name: decisions[one.member.name] for one in contrasts}
    may = [one for one in contrasts if found[one.member.name].verdict == "undecided"]
    may = [one for one in may if len(found[one.member.name].seeds) < evidence.study.rule.max_seeds]
    chosen: list[Contrast] = []
    wanted: Wave = []
    for one in sorted(may, key=lambda contrast: found[contrast.member.name].wrong or 0.0):
        with_it = evidence.missing([*wanted, *_runs(one, [len(found[one.member.name].seeds)])])
        if evidence.may_spend(len(with_it)):
            chosen, wanted = [*chosen, one], with_it
    evidence.spent += len(wanted)
    return [one for one in contrasts if one in chosen]


def joining(study: Study, decisions: Sequence[CandidateDecision]) -> Joined:
    """What joins of the candidates that were kept: all of them, but of several amounts of the same only the best.

    The others are marked as dropped in its favour.
    """
    choice = {candidate.name: candidate.choice for candidate in study.candidates}
    best: dict[tuple[str, ...], CandidateDecision] = {}
    for decided in decisions:
        before = best.get(choice[decided.candidate])
        if decided.verdict == "kept" and (before is None or decided.average.mean > before.average.mean):
            best[choice[decided.candidate]] = decided
    for decided in decisions:
        chosen = best.get(choice[decided.candidate])
        if decided.verdict == "kept" and chosen is not None and chosen is not decided:
            decided.verdict = "dropped"
            decided.reason = f"'{chosen.candidate}' is the better amount of the same; else: {decided.reason}"
    return tuple(decided.candidate for decided in decisions if decided.verdict == "kept")


def refuse_amounts(study: Study, strategy: str) -> None:
    """Raise Refusal where candidates are several amounts of the same and a strategy cannot choose among them."""
    if len(study.everything) < len(study.candidates):
        raise Refusal(
            f"study '{study.name}'",
            f"strategy '{strategy}' cannot choose among several amounts of the same dataset",
            "take --strategy individual, halving or greedy, or name one amount",
        )


def ends(study: Study) -> Wave:
    """The baseline and everything, between which a selection lies, with the seeds of the rule."""
    return [Run(joined, seed) for joined in ((), study.everything) for seed in range(study.rule.seeds)]


def finish(evidence: Evidence, finding: Finding, selected: Joined) -> Generator[Wave, Outcomes, Finding]:
    """Measure baseline, selected and all with the rule's seeds, and compare them."""
    own = [Run(selected, seed) for seed in range(evidence.study.rule.seeds)]
    yield from evidence.measure([*ends(evidence.study), *own])
    finding.selected = selected
    finding.selected_minus_baseline = evidence.compare(selected, ())
    finding.selected_minus_all = evidence.compare(selected, evidence.study.everything)
    return finding
