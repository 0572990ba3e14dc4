"""Greedy: the best gain joins first, then the next best on top of it; at the end a backward step.

Every candidate is tried against the baseline once. After that only the few that looked best are tried again on the
grown baseline (effects mostly shrink as others join, so those behind them would not overtake); the best of them that
is still a gain joins, and so on. When none is a gain any more, those that are comparable join as a pool. The backward
step takes each of the joined away once: what harms in the company of the others goes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from curator.comparing import Contrast, Evidence, Joined
from curator.judging import Family
from curator.rounds import finish, joining, try_each
from curator.study import Candidate, Finding, Outcomes, Step, Strategy, Study, Wave
from registry.trial import CandidateDecision

VERSION = 1
TITLE = "greedy: the best gain first, with a backward step"
FRONT = 3
"""Candidates that are tried again on each grown baseline."""
Decided = dict[str, CandidateDecision]
"""Candidate -> the latest verdict on it."""


def decide(study: Study) -> Strategy:
    """Yield waves of runs; return the finding."""
    evidence = Evidence(study)
    decided: Decided = {}
    yield from _try(evidence, [Contrast(one, (one.name,), ()) for one in study.candidates], decided)
    joined: Joined = ()
    while front := _front(study, decided, joined):
        if joined:
            yield from _try(evidence, [Contrast(one, (*joined, one.name), joined) for one in front], decided)
        gains = [one for one in front if decided[one.name].label == "gain"]
        if gains:
            joined += (max(gains, key=lambda one: decided[one.name].average.mean).name,)
    pool = [decided[one.name] for one in _open(study, joined) if decided[one.name].label != "gain"]
    joined += joining(study, pool)
    for name in {candidate.name for candidate in study.candidates} - set(joined):
        if decided[name].verdict == "kept":
            decided[name].verdict = "dropped"
            decided[name].reason = f"another amount of the same joined; else: {decided[name].reason}"
    joined = yield from _backward(evidence, joined, decided)
    finding = Finding([decided[candidate.name] for candidate in study.candidates], [Step(None, ())])
    return (yield from finish(evidence, finding, joined))


def _try(
    evidence: Evidence, contrasts: Sequence[Contrast], decided: Decided
) -> Generator[Wave, Outcomes, list[CandidateDecision]]:
    """Judge candidates and remember what was decided last."""
    count = len(evidence.study.candidates)
    found = yield from try_each(evidence, contrasts, evidence.study.rule.seeds, Family(count, count))
    decided.update({one.candidate: one for one in found})
    return found


def _open(study: Study, joined: Joined) -> list[Candidate]:
    """Candidates that may still join: not those of which another amount did."""
    taken = {candidate.choice for candidate in study.candidates if candidate.name in joined}
    return [candidate for candidate in study.candidates if candidate.choice not in taken]


def _front(study: Study, decided: Decided, joined: Joined) -> list[Candidate]:
    """The best of those whose latest verdict is a gain."""
    gains = [candidate for candidate in _open(study, joined) if decided[candidate.name].label == "gain"]
    return sorted(gains, key=lambda one: -decided[one.name].average.mean)[:FRONT]


def _backward(evidence: Evidence, joined: Joined, decided: Decided) -> Generator[Wave, Outcomes, Joined]:
    """Take each of the joined away once; those that harm go. The others keep the verdict they joined with."""
    by_name = {candidate.name: candidate for candidate in evidence.study.candidates}
    contrasts = [Contrast(by_name[name], joined, tuple(n for n in joined if n != name), "leaves") for name in joined]
    if len(contrasts) < 2:
        return joined
    latest: Decided = {}
    yield from _try(evidence, contrasts, latest)
    harmful = [one for one in latest.values() if one.verdict == "dropped"]
    decided.update({one.candidate: one for one in harmful})
    return tuple(name for name in joined if latest[name].verdict != "dropped")
