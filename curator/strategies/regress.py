"""Regression on mixes (after RegMix and olmix): train on mixes of many candidates, fit, propose, verify.

Each round is one wave of mixes with half of the candidates each, balanced rather than drawn, so that the effects are
told apart with the fewest trials. The fitted effects are judged by the rule like measured ones; while any candidate is
undecided and the rule allows, another round with another seed follows. What is kept is proposed, and verified against
the baseline and everything with all seeds of the rule. An effect is that in the company of half of the others.
"""

from __future__ import annotations

from math import fsum

from curator.comparing import Evidence
from curator.judging import Family
from curator.rounds import ends, finish, refuse_amounts
from curator.study import Finding, Run, Step, Strategy, Study
from registry.trial import CandidateDecision

VERSION = 1
TITLE = "regression: fit effects to balanced mixes, propose, verify"


def decide(study: Study) -> Strategy:
    """Yield waves of runs; return the finding."""
    from curator.fitting import balanced_mixes, fit

    evidence = Evidence(study, fits=True)
    refuse_amounts(study, "regress")
    finding = Finding(path=[Step(None, ())])
    runs: list[Run] = []
    for seed in range(study.rule.max_seeds):
        wave = [Run(joined, seed) for joined in balanced_mixes(study.everything, seed)]
        if seed == 0:
            yield from evidence.measure([*ends(study), *wave])
            whole = evidence.differences(study.everything, (), range(study.rule.seeds))
            evidence.variances = evidence.variances_with([whole])
        elif evidence.may_spend(len(evidence.missing(wave))):
            evidence.spent += len(evidence.missing(wave))
            yield from evidence.measure(wave)
        else:
            break
        runs += wave
        effects = fit(evidence, runs)
        family = Family(len(study.candidates), len(study.candidates), study.rule.max_seeds)
        finding.candidates = [
            evidence.judged(member, effects[member.name], family, "fitted") for member in study.candidates
        ]
        if all(one.verdict != "undecided" for one in finding.candidates):
            break
    for one in finding.candidates:
        one.seeds = sorted({run.seed for run in runs})
        one.trials = [evidence.outcomes[run].trial for run in runs if one.candidate in run.joined]
        one.against = evidence.outcomes[Run((), 0)].mix
    selected = tuple(one.candidate for one in finding.candidates if one.verdict == "kept")
    yield from finish(evidence, finding, selected)
    finding.notes.append(_verified(finding))
    return finding


def _verified(finding: Finding) -> str:
    """What was foretold of the proposal, and what it did."""
    assert finding.selected_minus_baseline is not None
    kept: list[CandidateDecision] = [one for one in finding.candidates if one.verdict == "kept"]
    foretold = fsum(one.average.mean for one in kept)
    measured = finding.selected_minus_baseline
    return f"the fit foretold {foretold:+.1f} points for what was kept; measured {measured.mean:+.1f}"
