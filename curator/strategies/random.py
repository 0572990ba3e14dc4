"""Random search: as many random mixes as there are candidates, and the best of them wins. The control of all searches.

The first mixes are trained with one seed; the best few again with all seeds of the rule. A verdict is no more than
whether a candidate is in the mix that won; the effect shown beside it is fitted to all mixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from curator.comparing import Evidence, Joined
from curator.judging import Family
from curator.rounds import ends, finish, refuse_amounts
from curator.study import Finding, Run, Step, Strategy, Study
from registry.identity import order_key

VERSION = 1
TITLE = "random search over mixes, as the control"
FINALISTS = 3


def decide(study: Study) -> Strategy:
    """Yield waves of runs; return the finding."""
    from curator.fitting import fit

    evidence = Evidence(study, fits=True)
    refuse_amounts(study, "random")
    seeds, count = range(study.rule.seeds), len(study.candidates)
    mixes: list[Joined] = list(dict.fromkeys([(), *(random_mix(study.everything, n) for n in range(count))]))
    runs = [Run(joined, 0) for joined in mixes]
    yield from evidence.measure([*ends(study), *runs])
    evidence.variances = evidence.variances_with([evidence.differences(study.everything, (), seeds)])

    def score(joined: Joined, over: Sequence[int]) -> float:
        return fmean(evidence.outcomes[Run(joined, seed)].average for seed in over)

    finalists = sorted(mixes, key=lambda joined: -score(joined, [0]))[:FINALISTS]
    yield from evidence.measure([Run(joined, seed) for joined in finalists for seed in seeds])
    winner = max(finalists, key=lambda joined: score(joined, seeds))
    effects = fit(evidence, runs)
    finding = Finding(path=[Step(None, ())])
    for member in study.candidates:
        one = evidence.judged(member, effects[member.name], Family(count, count), "fitted")
        one.verdict, one.label = ("kept" if member.name in winner else "dropped"), "unclear"
        one.reason = f"{'in' if member.name in winner else 'not in'} the best of {len(mixes)} random mixes"
        one.trials = [evidence.outcomes[run].trial for run in runs if member.name in run.joined]
        one.against = evidence.outcomes[Run((), 0)].mix
        finding.candidates.append(one)
    return (yield from finish(evidence, finding, winner))


def random_mix(names: Sequence[str], number: int) -> Joined:
    """Each of the candidates with probability one half; the same for the same number on every machine."""
    return tuple(name for name in names if order_key("random", number, name) % 2)
