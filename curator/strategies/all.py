"""Everything joins: the control that a selection must beat. One verdict for all together, none for each alone."""

from __future__ import annotations

from curator.comparing import Contrast, Evidence
from curator.judging import AVERAGE, Family
from curator.rounds import ends, finish, refuse_amounts
from curator.study import Finding, Step, Strategy, Study

VERSION = 1
TITLE = "all candidates together, as the control"


def decide(study: Study) -> Strategy:
    """Yield waves of runs; return the finding."""
    evidence = Evidence(study)
    refuse_amounts(study, "all")
    seeds, everything = range(study.rule.seeds), study.everything
    yield from evidence.measure(ends(study))
    evidence.variances = evidence.variances_with([evidence.differences(everything, (), seeds)])
    finding = Finding(path=[Step(None, ())])
    for member in study.candidates:
        one = evidence.decide(Contrast(member, everything, (), "together"), seeds, evidence.variances, Family(1, 1))
        one.verdict, one.label = "kept", "unclear"
        one.reason = f"taken with all others: together {one.average.mean:+.1f} points"
        finding.candidates.append(one)
    finding.notes.append(f"nothing was tried alone: every effect ({AVERAGE} and benchmarks) is that of all together")
    return (yield from finish(evidence, finding, everything))
