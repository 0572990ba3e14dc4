"""Individual Select, replayed from made-up outcomes: a strategy is a generator, so a test can be its laboratory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from curator.study import Finding, Run
from registry.errors import Refusal
from registry.scale import Noise
from registry.trial import DecisionRule
from tests.curator.replay import GUIDE, KNOWN, RULE, Replay, Scores, adding, candidate, noisy, only, study

# ---- the table of verdicts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "verdict", "label", "reason"),
    [
        (4.0, "kept", "gain", "raises the average by 4.0 points, beyond chance"),
        (1.4, "kept", "gain", "raises the average by 1.4 points"),
        (1.3, "kept", "comparable", "costs at most 0.1 points (margin 3)"),
        (0.0, "kept", "comparable", "costs at most 1.4 points (margin 3)"),
        (-1.3, "kept", "comparable", "costs at most 2.7 points (margin 3)"),
        (-1.9, "dropped", "harm", "lowers the average by 1.9 points, beyond chance"),
        (-9.0, "dropped", "harm", "lowers the average by 9.0 points, beyond chance"),
        ({"mme": -8.0, "mmbench": 8.0}, "dropped", "harm", "mme falls by 8.0 points, beyond the guard"),
        ({"mme": 30.0, "mmbench": -8.0}, "dropped", "harm", "mmbench falls by 8.0 points, beyond the guard"),
        ({"mme": -2.0, "mmbench": 2.0}, "kept", "comparable", "costs at most"),  # 2.8 standard errors: chance may do it
    ],
)
def test_the_verdict_follows_from_the_interval(effect: float | Scores, verdict: str, label: str, reason: str) -> None:
    decision = only(Replay(adding({"c": effect})).drive(study(candidate("c"))))
    assert (decision.verdict, decision.label) == (verdict, label)
    assert reason in decision.reason
    assert decision.seeds == [0, 1]


def test_the_guard_needs_a_fall_that_matters_and_not_only_one_that_is_certain() -> None:
    exact = Noise(degrees_of_freedom=1e6, average=0.01, benchmarks=dict.fromkeys(GUIDE, 0.01))
    small = only(Replay(adding({"c": {"mme": -1.9, "mmbench": 2.0}})).drive(study(candidate("c"), noise=exact)))
    large = only(Replay(adding({"c": {"mme": -2.1, "mmbench": 9.0}})).drive(study(candidate("c"), noise=exact)))
    assert (small.verdict, large.verdict) == ("kept", "dropped")


def test_the_guard_needs_more_evidence_where_noise_is_known_from_few_repeats() -> None:
    effect = {"mme": -4.0, "mmbench": 4.0}  # 5.7 standard errors
    few = Noise(degrees_of_freedom=2, average=1.0, benchmarks=dict.fromkeys(GUIDE, 1.0))
    decisions = [
        only(Replay(adding({"c": effect})).drive(study(candidate("c"), noise=noise))) for noise in (KNOWN, few)
    ]
    assert decisions[0].label == "harm"
    assert decisions[1].label != "harm"


def test_the_interval_and_its_parts_are_those_of_the_differences() -> None:
    decision = only(Replay(adding({"c": {"mme": 1.0, "mmbench": 4.0}})).drive(study(candidate("c"))))
    half = 1.959964 / math.sqrt(2)
    assert decision.average.mean == pytest.approx(2.5)
    assert decision.average.se == pytest.approx(1 / math.sqrt(2), rel=1e-4)
    assert [decision.average.low, decision.average.high] == pytest.approx([2.5 - half, 2.5 + half], rel=1e-3)
    assert {name: effect.mean for name, effect in decision.benchmarks.items()} == pytest.approx(
        {"mme": 1, "mmbench": 4}
    )
    assert decision.item_bootstrap is not None
    assert decision.item_bootstrap.mean == pytest.approx(2.5)


def test_a_gain_must_hold_over_all_candidates_at_once() -> None:
    alone = only(Replay(adding({"c": 1.5})).drive(study(candidate("c"))))
    many = Replay(adding({"c": 1.5})).drive(study(candidate("c"), *(candidate(f"other{n}") for n in range(9))))
    assert alone.label == "gain"
    assert many.candidates[0].label == "comparable"  # the interval of one in ten is half as wide again
    assert many.candidates[0].average.high == pytest.approx(alone.average.high, rel=1e-4)


def test_a_benchmark_without_calibrated_noise_is_taken_to_be_twice_as_noisy() -> None:
    noise = KNOWN.model_copy(update={"benchmarks": {"mme": 1.0}})
    decision = only(Replay(adding({"c": 0.0})).drive(study(candidate("c"), noise=noise)))
    assert decision.benchmarks["mmbench"].se == pytest.approx(2 * decision.benchmarks["mme"].se, rel=1e-4)


# ---- undecided: more seeds --------------------------------------------------------------------------------------

STRICT = RULE.model_copy(update={"comparable_margin": 1.0})
"""Two seeds leave a loss of 1.4 points open, three 1.1, four 0.98."""


def test_an_undecided_candidate_gets_more_seeds_until_it_is_decided() -> None:
    replay = Replay(adding({"clear": 5.0}))
    finding = replay.drive(study(candidate("open"), candidate("clear"), rule=STRICT))
    decisions = {decision.candidate: decision for decision in finding.candidates}
    assert (decisions["open"].verdict, decisions["open"].seeds) == ("kept", [0, 1, 2, 3])
    assert (decisions["clear"].verdict, decisions["clear"].seeds) == ("kept", [0, 1])
    assert replay.waves[2:4] == [[Run((), 2), Run(("open",), 2)], [Run((), 3), Run(("open",), 3)]]


def test_more_seeds_than_the_rule_allows_are_never_asked_for() -> None:
    replay = Replay(adding({}))
    finding = replay.drive(study(candidate("open"), rule=STRICT.model_copy(update={"max_seeds": 3})))
    decision = only(finding)
    assert (decision.verdict, decision.label, decision.seeds) == ("undecided", "unclear", [0, 1, 2])
    assert decision.reason == "a loss of up to 1.1 points is not excluded"
    assert max(run.seed for run in replay.asked) == 2
    assert finding.selected == ()


@pytest.mark.parametrize(
    ("effect", "label", "seeds"), [(-1.3, "comparable", 2), (-1.4, "harm", 4), (-1.6, "harm", 3), (-1.9, "harm", 2)]
)
def test_a_loss_that_is_likely_but_not_certain_gets_more_seeds(effect: float, label: str, seeds: int) -> None:
    """Two seeds: certain beyond 1.82 points, likely beyond 1.39; three: beyond 1.49; four: beyond 1.29."""
    decision = only(Replay(adding({"c": effect})).drive(study(candidate("c"))))
    assert (decision.label, len(decision.seeds)) == (label, seeds)


def test_a_loss_that_stays_likely_but_not_certain_does_not_join() -> None:
    finding = Replay(adding({"c": -1.6})).drive(study(candidate("c"), rule=RULE.model_copy(update={"max_seeds": 2})))
    assert only(finding).reason == "a loss of 1.6 points is likely but not certain"
    assert (only(finding).verdict, finding.selected) == ("undecided", ())


def test_seeds_decide_either_way() -> None:
    def truth(run: Run) -> Scores:
        late = -6.0 if run.joined and run.seed >= 2 else 0.0
        return dict.fromkeys(GUIDE, 50.0 + late)

    decision = only(Replay(truth).drive(study(candidate("c"), rule=STRICT)))
    assert (decision.verdict, decision.label, decision.seeds) == ("dropped", "harm", [0, 1, 2])
    assert decision.average.mean == pytest.approx(-2.0)


def test_the_trials_of_a_decision_stand_in_the_order_of_its_seeds() -> None:
    replay = Replay(adding({}))
    decision = only(replay.drive(study(candidate("c"), rule=STRICT)))
    assert decision.trials == [replay.outcome(Run(("c",), seed)).trial for seed in range(4)]
    assert (decision.against, decision.samples, decision.dataset) == ("base", 50, "demo-c")


# ---- the growing baseline ---------------------------------------------------------------------------------------

THREE = (
    candidate("s-good", "science"),
    candidate("s-bad", "science"),
    candidate("m-bad", "mathematics"),
    candidate("k-good", "knowledge"),
    candidate("k-fair", "knowledge"),
)
EFFECTS = {"s-good": 5.0, "s-bad": -5.0, "m-bad": -4.0, "k-good": 3.0, "k-fair": 0.0}


def test_what_is_kept_joins_the_baseline_of_the_next_category() -> None:
    replay = Replay(adding(EFFECTS))
    finding = replay.drive(study(*THREE))
    assert finding.selected == ("s-good", "k-good", "k-fair")
    against = {decision.candidate: decision.against for decision in finding.candidates}
    assert against == {
        "s-good": "base",
        "s-bad": "base",
        "m-bad": "base+s-good",
        "k-good": "base+s-good",
        "k-fair": "base+s-good",
    }


def test_the_path_has_a_point_for_every_category_that_added_something() -> None:
    finding = Replay(adding(EFFECTS)).drive(study(*THREE))
    assert [(step.category, step.joined) for step in finding.path] == [
        (None, ()),
        ("science", ("s-good",)),
        ("knowledge", ("s-good", "k-good", "k-fair")),
    ]


def test_selected_is_compared_with_the_baseline_and_with_everything() -> None:
    finding = Replay(adding(EFFECTS)).drive(study(*THREE))
    assert finding.selected_minus_baseline is not None
    assert finding.selected_minus_all is not None
    assert finding.selected_minus_baseline.mean == pytest.approx(8.0)
    assert finding.selected_minus_all.mean == pytest.approx(9.0)
    assert finding.selected_minus_all.low > 0


def test_what_the_grown_baseline_already_knows_is_no_gain_any_more() -> None:
    def truth(run: Run) -> Scores:
        return dict.fromkeys(GUIDE, 55.0 if run.joined else 50.0)  # each of them teaches the same

    finding = Replay(truth).drive(study(candidate("first", "science"), candidate("second", "chart")))
    assert [(d.label, round(d.average.mean, 6)) for d in finding.candidates] == [("gain", 5), ("comparable", 0)]


def test_candidates_of_one_category_are_tried_against_the_same_baseline() -> None:
    def truth(run: Run) -> Scores:
        return dict.fromkeys(GUIDE, 55.0 if run.joined else 50.0)

    finding = Replay(truth).drive(study(candidate("first"), candidate("second")))
    assert [decision.label for decision in finding.candidates] == ["gain", "gain"]


def test_categories_are_decided_in_the_order_asked_for() -> None:
    asked = replace(study(*THREE), categories=("knowledge", "science", "mathematics"))
    finding = Replay(adding(EFFECTS)).drive(asked)
    assert [d.candidate for d in finding.candidates] == ["k-good", "k-fair", "s-good", "s-bad", "m-bad"]
    assert finding.selected == ("k-good", "k-fair", "s-good")


def test_with_nothing_kept_the_baseline_stays() -> None:
    finding = Replay(adding({"c": -9.0})).drive(study(candidate("c")))
    assert finding.selected == ()
    assert [step.joined for step in finding.path] == [()]
    assert finding.selected_minus_baseline is not None
    assert finding.selected_minus_baseline.mean == 0


@pytest.mark.parametrize("rule", [DecisionRule(), STRICT, STRICT.model_copy(update={"seeds": 3, "max_seeds": 5})])
def test_no_run_is_asked_for_twice_and_no_wave_is_empty(rule: DecisionRule) -> None:
    replay = Replay(adding(EFFECTS))
    replay.drive(study(*THREE, rule=rule))
    assert max(Counter(replay.asked).values()) == 1
    assert all(replay.waves)


def test_the_first_wave_is_the_baseline_and_everything() -> None:
    replay = Replay(adding(EFFECTS))
    replay.drive(study(*THREE))
    everything = tuple(one.name for one in THREE)
    assert replay.waves[0] == [Run((), 0), Run((), 1), Run(everything, 0), Run(everything, 1)]


# ---- what is known about noise ----------------------------------------------------------------------------------


def test_one_seed_and_no_prior_are_refused_before_anything_is_trained() -> None:
    replay = Replay(adding(EFFECTS))
    with pytest.raises(Refusal, match="say nothing about chance"):
        replay.drive(study(*THREE, noise=None, rule=RULE.model_copy(update={"seeds": 1})))
    assert replay.waves == []


def test_one_seed_is_enough_with_calibrated_noise() -> None:
    finding = Replay(adding(EFFECTS)).drive(study(*THREE, rule=RULE.model_copy(update={"seeds": 1, "max_seeds": 1})))
    assert [(d.candidate, d.verdict, d.seeds) for d in finding.candidates] == [
        ("s-good", "kept", [0]),
        ("s-bad", "dropped", [0]),
        ("m-bad", "dropped", [0]),
        ("k-good", "kept", [0]),
        ("k-fair", "kept", [0]),
    ]


def test_variance_is_pooled_over_the_candidates_decided_before() -> None:
    wobble = {("first", 0): 1.0, ("first", 1): -1.0, ("second", 0): 3.0, ("second", 1): -3.0}

    def truth(run: Run) -> Scores:
        return dict.fromkeys(GUIDE, 50.0 + (wobble.get((run.joined[-1], run.seed), 0.0) if run.joined else 0.0))

    rule = RULE.model_copy(update={"max_seeds": 2, "comparable_margin": 50.0})
    finding = Replay(truth).drive(
        study(candidate("first", "science"), candidate("second", "chart"), noise=None, rule=rule)
    )
    # alone: (1 + 1) / 1 degree; with the second, whose differences to the grown baseline are 2 and -2: (2 + 8) / 2
    assert [d.average.se for d in finding.candidates] == pytest.approx([math.sqrt(2 / 2), math.sqrt(5 / 2)])


def test_the_same_outcomes_give_the_same_finding() -> None:
    truth = noisy(EFFECTS, 1.0, 3)
    assert Replay(truth).drive(study(*THREE, noise=None)) == Replay(truth).drive(study(*THREE, noise=None))


# ---- how often it errs ------------------------------------------------------------------------------------------

SIX = tuple(candidate(f"{category}-{n}", category) for category in ("science", "chart") for n in range(3))


def many(effects: Mapping[str, float], studies: int) -> list[Finding]:
    return [
        Replay(noisy(effects, 1.0, number)).drive(study(*SIX, noise=None, rule=DecisionRule()))
        for number in range(studies)
    ]


def test_without_any_effect_a_gain_is_claimed_no_more_often_than_declared() -> None:
    findings = many({}, 300)
    false = sum(any(decision.label == "gain" for decision in finding.candidates) for finding in findings)
    declared = 1 - DecisionRule().gain_confidence
    assert false <= 300 * declared + 2 * math.sqrt(300 * declared * (1 - declared))
    kept = sum(decision.verdict == "kept" for finding in findings for decision in finding.candidates)
    assert kept > 0.93 * 300 * len(SIX)


def test_effects_well_above_the_noise_are_found() -> None:
    findings = many({"science-0": 8.0, "science-1": -8.0, "chart-2": -8.0}, 60)
    found = Counter((d.candidate, d.verdict) for finding in findings for d in finding.candidates)
    assert found["science-0", "kept"] == 60
    assert found["science-1", "kept"] + found["chart-2", "kept"] == 0
    gains = sum(d.label == "gain" for finding in findings for d in finding.candidates if d.candidate == "science-0")
    assert gains > 50
    better = [finding.selected_minus_all for finding in findings]
    assert sum(effect is not None and effect.low > 0 for effect in better) > 55
