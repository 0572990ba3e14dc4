"""Leave one out: everything joins, and each candidate is judged by what its absence does.

All trials but the second seeds of the undecided are one wave. A candidate whose lesson another one teaches too is not
missed, so of two that repeat each other both look comparable; and what stands beside all the harmful ones is
measured in their company.
"""

from __future__ import annotations

from curator.comparing import Contrast, Evidence
from curator.judging import Family
from curator.rounds import finish, joining, refuse_amounts, try_each
from curator.study import Finding, Step, Strategy, Study

VERSION = 1
TITLE = "leave one out: what each candidate is worth to all others together"


def decide(study: Study) -> Strategy:
    """Yield waves of runs; return the finding."""
    evidence = Evidence(study, shares=True)
    refuse_amounts(study, "leave_one_out")
    everything = study.everything
    contrasts = [
        Contrast(member, everything, tuple(name for name in everything if name != member.name), "leaves")
        for member in study.candidates
    ]
    finding = Finding(path=[Step(None, ())])
    family = Family(len(contrasts), len(contrasts))
    finding.candidates = yield from try_each(evidence, contrasts, study.rule.seeds, family)
    return (yield from finish(evidence, finding, joining(study, finding.candidates)))
