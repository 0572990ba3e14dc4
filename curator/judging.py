"""The decision rule: from effects with their errors to a verdict, its reason, and the chance that it is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from registry.statistics import Estimate
from registry.trial import DecisionRule, Label, Verdict

AVERAGE = "average"
"""The figure that decides: the mean of the guide benchmarks."""
Estimates = Mapping[str, Estimate]
"""Figure (average or benchmark) -> effect."""


@dataclass(frozen=True)
class Judgement:
    """What follows from the effects of one candidate."""

    verdict: Verdict
    label: Label
    reason: str
    wrong: float
    """Chance of being wrong (one-sided p value)."""


@dataclass(frozen=True)
class Family:
    """How many candidates a verdict stands beside."""

    category: int
    study: int
    looks: int = 1
    """Times that a candidate may be judged, with more seeds each time."""

    def errors(self, rule: DecisionRule) -> int:
        """Tests that share the error of harm and comparable."""
        if rule.errors_over == "candidate":
            return 1
        return self.looks * (self.category if rule.errors_over == "category" else self.study)


def judge(rule: DecisionRule, found: Estimates, family: Family) -> Judgement:
    """Apply the rule: harm first, then the guard, then gain, then comparable."""
    if rule.by == "paper":
        return _by_the_papers_rule(rule.comparable_margin, found[AVERAGE])
    effect, errors = found[AVERAGE], family.errors(rule)
    if effect.effect(rule.harm_confidence, errors).high < 0:
        reason = f"lowers the average by {-effect.mean:.1f} points, beyond chance"
        return Judgement("dropped", "harm", reason, effect.chance_above(0.0))
    fallen = _fallen(rule, found)
    if fallen is not None:
        loss = found[fallen]
        reason = f"{fallen} falls by {-loss.mean:.1f} points, beyond the guard"
        return Judgement("dropped", "harm", reason, loss.chance_above(0.0))
    if effect.effect(rule.gain_confidence, family.study).low > 0:
        reason = f"raises the average by {effect.mean:.1f} points, beyond chance"
        return Judgement("kept", "gain", reason, effect.chance_below(0.0))
    shown = effect.effect(rule.confidence, errors)
    if shown.high < 0:
        reason = f"a loss of {-effect.mean:.1f} points is likely but not certain"
        return Judgement("undecided", "unclear", reason, effect.chance_above(0.0))
    if shown.low > -rule.comparable_margin:
        reason = f"costs at most {max(0.0, -shown.low):.1f} points (margin {rule.comparable_margin:g})"
        return Judgement("kept", "comparable", reason, effect.chance_below(-rule.comparable_margin))
    reason = f"a loss of up to {-shown.low:.1f} points is not excluded"
    return Judgement("undecided", "unclear", reason, effect.chance_above(0.0))


def _by_the_papers_rule(margin: float, effect: Estimate) -> Judgement:
    """Better or comparable stays: the measured figure alone. How likely chance did it is told all the same."""
    if effect.mean > 0:
        reason = f"surpasses the mix without it by {effect.mean:.1f} points"
        return Judgement("kept", "gain", reason, effect.chance_below(0.0))
    if effect.mean >= -margin:
        reason = f"{-effect.mean:.1f} points below the mix without it, within {margin:g}"
        return Judgement("kept", "comparable", reason, effect.chance_below(-margin))
    reason = f"{-effect.mean:.1f} points below the mix without it, more than {margin:g}"
    return Judgement("dropped", "harm", reason, effect.chance_above(0.0))


def _fallen(rule: DecisionRule, found: Estimates) -> str | None:
    """The benchmark that falls furthest of those beyond the guard."""
    beyond = math.erf(rule.guard_standard_errors / math.sqrt(2))
    fallen = [
        (effect.mean, name)
        for name, effect in found.items()
        if name != AVERAGE and effect.mean < -rule.guard_margin and effect.effect(beyond).high < 0
    ]
    return min(fallen)[1] if fallen else None
