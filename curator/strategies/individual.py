"""Individual Select (paper, section 3.3), with the paper's "comparable" made a declared rule.

Category by category: each candidate alone joins the current baseline, the model is trained and scored; candidates
that are better or comparable form the pool; the whole pool joins the baseline before the next category begins. The
order of the categories is a setting of the study.

By the rule of statistics a candidate is

* dropped (harm): the interval of its average effect at the confidence for harm lies below zero, or one benchmark
  falls beyond the guard;
* kept (gain): the interval at family-wise confidence lies above zero;
* kept (comparable): the interval excludes a loss beyond the declared margin, and does not lie below zero;
* undecided: none of these; it gets more seeds up to the rule's limit, and does not join.

By the paper's rule one comparison of averages decides.
"""

from __future__ import annotations

from curator.comparing import Contrast, Evidence
from curator.judging import Family
from curator.rounds import ends, finish, joining, try_each
from curator.study import Finding, Run, Step, Strategy, Study

VERSION = 2
TITLE = "Individual Select: one candidate at a time, category by category"


def decide(study: Study) -> Strategy:
    """Yield waves of runs; return the finding."""
    evidence = Evidence(study)
    seeds = range(study.rule.seeds)
    joined: tuple[str, ...] = ()
    finding = Finding(path=[Step(None, ())])
    yield from evidence.measure(ends(study))
    for category in study.categories:
        members = [candidate for candidate in study.candidates if candidate.category == category]
        contrasts = [Contrast(member, (*joined, member.name), joined) for member in members]
        family = Family(len(members), len(study.candidates))
        decisions = yield from try_each(evidence, contrasts, study.rule.seeds, family)
        finding.candidates += decisions
        pool = joining(study, decisions)
        if pool:
            joined += pool
            finding.path.append(Step(category, joined))
            yield from evidence.measure([Run(joined, seed) for seed in seeds])
    return (yield from finish(evidence, finding, joined))
