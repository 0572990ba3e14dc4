"""Racing (successive halving with intervals): one full seed for all, more seeds only for those near a threshold.

Every candidate is tried alone against the first baseline, so all first trials are one wave and no mix ever grows. Where
the noise of the scale is not calibrated the first round takes two seeds. What it cannot see: candidates that repeat
each other, since each looks as good as the other; the sum of the kept effects is set against what they do together.
"""

from __future__ import annotations

from math import fsum

from curator.comparing import Contrast, Evidence
from curator.judging import Family
from curator.rounds import finish, joining, try_each
from curator.study import Finding, Step, Strategy, Study

VERSION = 1
TITLE = "racing: one seed for all, more for those near a threshold"


def decide(study: Study) -> Strategy:
    """Yield waves of runs; return the finding."""
    evidence = Evidence(study, shares=True)
    contrasts = [Contrast(member, (member.name,), ()) for member in study.candidates]
    first = 1 if evidence.calibrated or study.rule.by == "paper" else 2
    finding = Finding(path=[Step(None, ())])
    family = Family(len(contrasts), len(contrasts))
    finding.candidates = yield from try_each(evidence, contrasts, first, family)
    selected = joining(study, finding.candidates)
    yield from finish(evidence, finding, selected)
    assert finding.selected_minus_baseline is not None
    alone = fsum(one.average.mean for one in finding.candidates if one.candidate in selected)
    together = finding.selected_minus_baseline.mean
    finding.notes.append(f"what was kept adds up to {alone:+.1f} points; together it gave {together:+.1f}")
    return finding
