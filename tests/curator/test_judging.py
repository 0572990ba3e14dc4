"""The decision rule as a function of effects and their errors: verdicts, and the chance that they are wrong."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from curator.judging import AVERAGE, Family, judge
from registry.statistics import Estimate
from registry.trial import DecisionRule
from tests.curator.replay import RULE

ALONE = Family(1, 1)


def known(mean: float, se: float = 1.0) -> Estimate:
    return Estimate(mean, se, math.inf)


def chance(deviations: float) -> float:
    """How often a normal variable is as far out as this, on one side."""
    return 1 - NormalDist().cdf(deviations)


@pytest.mark.parametrize(
    ("mean", "label", "wrong"),
    [
        (2.5, "gain", chance(2.5)),  # that there is none
        (0.0, "comparable", chance(3.0)),  # that it costs the margin of three
        (-2.3, "unclear", chance(2.3)),  # that it does no harm, and is left out for nothing
        (-4.0, "harm", chance(4.0)),
    ],
)
def test_every_verdict_states_its_chance_of_being_wrong(mean: float, label: str, wrong: float) -> None:
    found = judge(RULE, {AVERAGE: known(mean)}, ALONE)
    assert found.label == label
    assert found.wrong == pytest.approx(wrong, rel=1e-6)


def test_where_the_guard_drops_the_chance_is_that_of_its_benchmark() -> None:
    found = judge(RULE, {AVERAGE: known(0.0), "mme": known(-5.0), "seed": known(-3.5)}, ALONE)
    assert found.reason == "mme falls by 5.0 points, beyond the guard"
    assert found.wrong == pytest.approx(chance(5.0), rel=1e-6)


@pytest.mark.parametrize(
    ("mean", "verdict", "label"),
    [(0.1, "kept", "gain"), (0.0, "kept", "comparable"), (-1.0, "kept", "comparable"), (-1.1, "dropped", "harm")],
)
@pytest.mark.parametrize("se", [0.01, 5.0])
def test_by_the_papers_rule_the_measured_average_alone_decides(
    mean: float, verdict: str, label: str, se: float
) -> None:
    rule = DecisionRule(by="paper", comparable_margin=1.0, seeds=1, max_seeds=1)
    found = judge(rule, {AVERAGE: known(mean, se), "mme": known(-50.0)}, ALONE)
    assert (found.verdict, found.label) == (verdict, label)


def test_the_papers_rule_says_how_likely_chance_did_it() -> None:
    rule = DecisionRule(by="paper", comparable_margin=0.0, seeds=1, max_seeds=1)
    assert judge(rule, {AVERAGE: known(0.5)}, ALONE).wrong == pytest.approx(chance(0.5), rel=1e-6)
    assert judge(rule, {AVERAGE: known(-0.5)}, ALONE).wrong == pytest.approx(chance(0.5), rel=1e-6)


def test_a_margin_of_nothing_is_for_the_papers_rule_alone() -> None:
    with pytest.raises(ValueError, match="no measurement excludes every loss"):
        DecisionRule(comparable_margin=0)


@pytest.mark.parametrize(("over", "label"), [("candidate", "harm"), ("category", "unclear"), ("study", "unclear")])
def test_errors_over_more_verdicts_ask_for_more_certainty(over: str, label: str) -> None:
    """2.7 standard errors: beyond 99 % for one candidate, not for one of five."""
    rule = RULE.model_copy(update={"errors_over": over})
    assert judge(rule, {AVERAGE: known(-2.7)}, Family(5, 20)).label == label


def test_errors_over_a_study_are_shared_by_more_than_those_over_a_category() -> None:
    """3.2 standard errors are beyond the error of five verdicts, not of a hundred."""
    found = {
        over: judge(RULE.model_copy(update={"errors_over": over}), {AVERAGE: known(-3.2)}, Family(5, 100)).label
        for over in ("category", "study")
    }
    assert found == {"category": "harm", "study": "unclear"}


def test_looks_share_an_error_that_is_declared_for_more_than_a_candidate() -> None:
    rule = RULE.model_copy(update={"errors_over": "category"})
    labels = [judge(rule, {AVERAGE: known(-2.7)}, Family(1, 1, looks)).label for looks in (1, 3)]
    assert labels == ["harm", "unclear"]
