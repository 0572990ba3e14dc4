"""The report of a decision that was not made category by category, and what it says of certainty."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.report import wording
from curator.report.figures import draw_files, path_stops
from curator.report.page import build_report, rule_fields
from curator.report.selection_map import selection_map
from registry.store import Home
from registry.trial import Decision, DecisionRule, Effect, WithoutBenchmark
from tests.curator.report_home import BENCHMARKS, demo_plans, make_decision


@pytest.fixture
def raced() -> Decision:
    """The demo's decision as ``halving`` would have made it: one step from the baseline to what was kept."""
    decision = make_decision(demo_plans(), {}, {})
    decision.strategy = "halving"
    decision.path = decision.path[:1]
    decision.notes = ["what was kept adds up to +28.1 points; together it gave +26.7"]
    return decision


def test_what_was_kept_joins_under_its_category_though_there_was_no_path(raced: Decision) -> None:
    steps = {step.title: step for step in selection_map(raced).steps}
    kept = [one.candidate for one in raced.candidates if one.verdict == "kept"]
    assert [name for step in steps.values() for name in step.joined] == kept
    assert all(step.point is None for step in steps.values())


def test_the_path_has_two_ends(raced: Decision) -> None:
    stops = path_stops(raced)
    assert [stop.title for stop in stops] == ["Baseline", "Selected"]
    assert stops[1].point.average == raced.selected.average
    assert set(draw_files(raced, {name: name for name in BENCHMARKS})) >= {"score-path.svg", "selection-map.png"}


def test_how_the_effects_were_found_is_said(raced: Decision) -> None:
    text = wording.found_by(raced)
    assert text.startswith("Strategy halving: a candidate joins a mix. The dot is its effect")
    assert text.endswith("What was kept adds up to +28.1 points; together it gave +26.7.")
    raced.candidates[0].how = "fitted"
    assert "a candidate joins a mix and effects are fitted to mixes of many candidates" in wording.found_by(raced)


def test_the_limit_of_an_order_is_that_of_the_sequential_study_alone(raced: Decision) -> None:
    sequential = raced.model_copy(update={"strategy": "individual"})
    said = [any("another order" in limit for limit in wording.limits(one, BENCHMARKS)) for one in (raced, sequential)]
    assert said == [False, True]


def test_a_verdict_says_how_certain_it_is(raced: Decision) -> None:
    one = raced.candidates[0]
    assert wording.certainty(one) == ""
    one.wrong = 0.0004
    assert wording.certainty(one).endswith("under 0.1\N{NARROW NO-BREAK SPACE}%.")
    one.wrong = 0.021
    one.held_out = {"tabmwp_test": Effect(mean=1.5, low=0.5, high=2.5, se=0.5)}
    average = Effect(mean=-0.5, low=-1.5, high=0.5, se=0.5)
    one.without = WithoutBenchmark(benchmarks=["mme"], average=average, verdict="kept", label="comparable")
    minus = wording.MINUS
    assert wording.certainty(one) == (
        "Chance of being wrong: 2.1\N{NARROW NO-BREAK SPACE}%. Held out, tabmwp_test: +1.5 (+0.5 to +2.5). "
        f"It is the training split of mme; without, {minus}0.5 ({minus}1.5 to +0.5) and kept."
    )
    one.without = WithoutBenchmark(benchmarks=BENCHMARKS, average=None, verdict="undecided", label="unclear")
    assert wording.certainty(one).endswith("nothing else guides this study.")


def test_every_setting_of_the_rule_can_be_read() -> None:
    shown = {name: value for name, value, _ in rule_fields(DecisionRule(extra_trials=12))}
    assert (shown["by"], shown["question noise"], shown["extra trials"]) == ("statistics", "no", "12")
    assert {name: value for name, value, _ in rule_fields(DecisionRule())}["extra trials"] == "none"


def test_the_page_shows_an_effect_without_a_bootstrap(raced: Decision, tmp_path: Path) -> None:
    raced.candidates[0].item_bootstrap = None
    raced.candidates[0].wrong = 0.021
    home = Home(tmp_path / "home")
    build_report(home, raced, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<td class="num quiet">–</td>' in page
    assert "Strategy halving:" in page
    assert "Chance of being wrong: 2.1" in page
    assert "Nothing joins." in page
