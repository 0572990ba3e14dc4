"""What every strategy promises, and what each does in its own way. Outcomes are made up: a test is the laboratory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from curator.strategies.random import random_mix
from curator.study import Candidate, Edit, Run
from registry.discovery import names, package_folder
from registry.errors import Refusal
from registry.recipe import RecipePart
from tests.curator.replay import GUIDE, KNOWN, RULE, Replay, Scores, Truth, adding, candidate, noisy, study

STRATEGIES = names(package_folder("curator.strategies"), ".py")
JUDGING = [name for name in STRATEGIES if name not in ("all", "random")]
"""Strategies whose verdicts are the rule's."""
SIX = (
    candidate("s-good", "science"),
    candidate("s-bad", "science"),
    candidate("m-bad", "mathematics"),
    candidate("k-good", "knowledge"),
    candidate("k-fair", "knowledge"),
    candidate("t-fair", "text_only"),
)
EFFECTS = {"s-good": 9.0, "s-bad": -9.0, "m-bad": -7.0, "k-good": 6.0, "k-fair": 0.0, "t-fair": 0.0}
EVERYTHING = tuple(one.name for one in SIX)


# ---- what every strategy promises -------------------------------------------------------------------------------


def test_the_strategies_of_the_readme_are_there() -> None:
    assert set(STRATEGIES) >= {"individual", "all", "random", "leave_one_out", "greedy", "halving", "regress"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_run_is_asked_for_twice_and_no_wave_is_empty(strategy: str) -> None:
    replay = Replay(noisy(EFFECTS, 1.0, 5))
    replay.drive(study(*SIX, noise=None), strategy)
    assert max(Counter(replay.asked).values()) == 1
    assert all(replay.waves)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_decision_can_be_computed_again_from_the_same_scores(strategy: str) -> None:
    found = [Replay(noisy(EFFECTS, 1.0, 5)).drive(study(*SIX), strategy) for _ in range(2)]
    assert found[0] == found[1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_candidate_gets_a_verdict_and_what_is_kept_is_selected(strategy: str) -> None:
    finding = Replay(adding(EFFECTS)).drive(study(*SIX), strategy)
    assert sorted(one.candidate for one in finding.candidates) == sorted(EVERYTHING)
    assert sorted(finding.selected) == sorted(one.candidate for one in finding.candidates if one.verdict == "kept")
    assert all(one.trials and one.reason for one in finding.candidates)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_baseline_selected_and_all_are_measured_with_the_seeds_of_the_rule(strategy: str) -> None:
    replay = Replay(adding(EFFECTS))
    finding = replay.drive(study(*SIX), strategy)
    assert {Run(mix, seed) for mix in ((), EVERYTHING, finding.selected) for seed in range(2)} <= set(replay.asked)
    assert finding.selected_minus_baseline is not None
    assert finding.selected_minus_all is not None
    gained = sum(EFFECTS[name] for name in finding.selected)
    assert finding.selected_minus_baseline.mean == pytest.approx(gained)
    assert finding.selected_minus_all.mean == pytest.approx(gained - sum(EFFECTS.values()))


@pytest.mark.parametrize("strategy", JUDGING)
def test_good_ones_stay_and_harmful_ones_go(strategy: str) -> None:
    finding = Replay(adding(EFFECTS)).drive(study(*SIX), strategy)
    assert {one.candidate: one.label for one in finding.candidates} == {
        "s-good": "gain",
        "k-good": "gain",
        "s-bad": "harm",
        "m-bad": "harm",
        "k-fair": "comparable",
        "t-fair": "comparable",
    }
    assert {one.candidate: round(one.average.mean, 1) for one in finding.candidates} == pytest.approx(EFFECTS, abs=0.2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_seed_and_no_calibration_are_refused_before_anything_is_trained(strategy: str) -> None:
    replay = Replay(adding(EFFECTS))
    with pytest.raises(Refusal, match="say nothing about chance"):
        replay.drive(study(*SIX, noise=None, rule=RULE.model_copy(update={"seeds": 1})), strategy)
    assert replay.waves == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_single_candidate_is_a_study(strategy: str) -> None:
    finding = Replay(adding({"c": 9.0})).drive(study(candidate("c")), strategy)
    assert len(finding.candidates) == 1


# ---- several amounts of the same --------------------------------------------------------------------------------


def amount(name: str, share: float) -> Candidate:
    return Candidate(name, "demo-flags", "science", edit=Edit(joins=RecipePart(dataset="demo-flags", proportion=share)))


AMOUNTS = (amount("tenth", 0.1), amount("half", 0.5), candidate("other"))


@pytest.mark.parametrize("strategy", ["individual", "halving", "greedy"])
def test_of_several_amounts_of_the_same_the_best_joins(strategy: str) -> None:
    replay = Replay(adding({"tenth": 4.0, "half": 7.0, "other": 6.0}))
    finding = replay.drive(study(*AMOUNTS), strategy)
    assert set(finding.selected) == {"half", "other"}
    tenth = next(one for one in finding.candidates if one.candidate == "tenth")
    assert tenth.verdict == "dropped"
    assert "amount of the same" in tenth.reason
    assert not [run for run in replay.asked if {"tenth", "half"} <= set(run.joined)]


@pytest.mark.parametrize("strategy", ["all", "leave_one_out", "random", "regress"])
def test_strategies_that_mix_many_refuse_several_amounts_of_the_same(strategy: str) -> None:
    replay = Replay(adding({}))
    with pytest.raises(Refusal, match="cannot choose among several amounts"):
        replay.drive(study(*AMOUNTS), strategy)
    assert replay.waves == []


# ---- each in its own way ----------------------------------------------------------------------------------------


def one_lesson(run: Run) -> Scores:
    """Both good ones teach the same."""
    taught = 8.0 if {"s-good", "k-good"} & set(run.joined) else 0.0
    return dict.fromkeys(GUIDE, 50.0 + taught)


def test_everything_is_one_trial_a_seed() -> None:
    replay = Replay(adding(EFFECTS))
    finding = replay.drive(study(*SIX), "all")
    assert replay.waves == [[Run((), 0), Run((), 1), Run(EVERYTHING, 0), Run(EVERYTHING, 1)]]
    assert {(one.verdict, one.label, one.how) for one in finding.candidates} == {("kept", "unclear", "together")}
    assert {round(one.average.mean, 6) for one in finding.candidates} == {sum(EFFECTS.values())}


def test_racing_gives_one_seed_to_all_and_more_to_those_near_a_threshold() -> None:
    replay = Replay(adding(EFFECTS | {"t-fair": -2.1}))
    finding = replay.drive(study(*SIX), "halving")
    seeds = {one.candidate: len(one.seeds) for one in finding.candidates}
    assert seeds == {**dict.fromkeys(EVERYTHING, 1), "t-fair": 2}
    assert replay.waves[0] == [Run((), 0), *(Run((name,), 0) for name in EVERYTHING)]
    assert replay.waves[1] == [Run((), 1), Run(("t-fair",), 1)]


def test_racing_without_calibrated_noise_begins_with_two_seeds() -> None:
    finding = Replay(noisy(EFFECTS, 0.5, 1)).drive(study(*SIX, noise=None), "halving")
    assert min(len(one.seeds) for one in finding.candidates) == 2


def test_racing_tells_when_the_parts_do_not_add_up() -> None:
    finding = Replay(one_lesson).drive(study(*SIX), "halving")
    assert finding.notes == ["what was kept adds up to +16.0 points; together it gave +8.0"]


def test_leaving_one_out_is_one_wave_and_measures_in_the_company_of_all() -> None:
    replay = Replay(adding(EFFECTS))
    finding = replay.drive(study(*SIX), "leave_one_out")
    without_first = tuple(name for name in EVERYTHING if name != "s-good")
    assert Run(without_first, 0) in replay.waves[0]
    assert len(replay.waves[0]) == 2 * (1 + len(SIX))
    assert {one.how for one in finding.candidates} == {"leaves"}


def test_leaving_one_out_does_not_miss_what_another_teaches_too() -> None:
    finding = Replay(one_lesson).drive(study(*SIX), "leave_one_out")
    labels = {one.candidate: one.label for one in finding.candidates}
    assert (labels["s-good"], labels["k-good"]) == ("comparable", "comparable")


def test_greedy_takes_the_best_first_and_tries_the_next_on_top_of_it() -> None:
    replay = Replay(adding(EFFECTS))
    finding = replay.drive(study(*SIX), "greedy")
    assert finding.selected[:2] == ("s-good", "k-good")
    assert Run(("s-good", "k-good"), 0) in replay.asked
    against = {one.candidate: one.against for one in finding.candidates}
    assert (against["s-good"], against["k-good"], against["k-fair"]) == ("base", "base+s-good", "base")


def test_greedy_sees_that_a_second_gain_is_none_once_the_first_has_joined() -> None:
    finding = Replay(one_lesson).drive(study(*SIX), "greedy")
    labels = {one.candidate: one.label for one in finding.candidates}
    assert sorted((labels["s-good"], labels["k-good"])) == ["comparable", "gain"]


def test_the_backward_step_takes_out_what_harms_in_company() -> None:
    def quarrel(run: Run) -> Scores:
        base = adding({"s-good": 9.0, "k-good": 6.0})(run)
        return {name: score - 7.0 * ({"s-good", "k-fair"} <= set(run.joined)) for name, score in base.items()}

    finding = Replay(quarrel).drive(study(*SIX), "greedy")
    fair = next(one for one in finding.candidates if one.candidate == "k-fair")
    assert (fair.verdict, fair.how) == ("dropped", "leaves")
    assert "k-fair" not in finding.selected
    assert "s-good" in finding.selected


def many(count: int, truth: Truth | None = None) -> tuple[Replay, dict[str, float]]:
    effects = {f"c{number:02d}": (6.0, 0.0, -6.0)[number % 3] for number in range(count)}
    return Replay(truth or adding(effects)), effects


def test_regression_needs_few_more_mixes_than_candidates() -> None:
    replay, effects = many(37)
    finding = replay.drive(study(*map(candidate, effects)), "regress")
    assert len(replay.waves[0]) == 44 + 3  # 44 balanced mixes hold the baseline; its second seed, and everything twice
    assert {one.candidate: one.average.mean for one in finding.candidates} == pytest.approx(effects, abs=0.1)
    assert finding.notes == ["the fit foretold +78.0 points for what was kept; measured +78.0"]
    assert {one.how for one in finding.candidates} == {"fitted"}


def test_regression_buys_other_mixes_with_another_seed_while_any_is_undecided() -> None:
    replay, effects = many(11)
    rule = RULE.model_copy(update={"comparable_margin": 0.5})
    finding = replay.drive(study(*map(candidate, effects), rule=rule), "regress")
    seeds = {tuple(one.seeds) for one in finding.candidates}
    assert seeds == {(0, 1, 2)}
    mixes = [{frozenset(run.joined) for run in replay.asked if run.seed == seed} for seed in (1, 2)]
    assert len(mixes[0] & mixes[1]) <= 3  # baseline and everything are in both
    short = rule.model_copy(update={"extra_trials": 5})
    finding = many(11)[0].drive(study(*map(candidate, effects), rule=short), "regress")
    assert {tuple(one.seeds) for one in finding.candidates} == {(0,)}


def test_regression_is_less_sure_where_effects_do_not_add_up() -> None:
    _, effects = many(12)
    loose = KNOWN.model_copy(update={"degrees_of_freedom": 4.0})

    def quarrel(run: Run) -> Scores:
        apart = 8.0 * (("c00" in run.joined) != ("c01" in run.joined))
        return {name: score + apart for name, score in adding(effects)(run).items()}

    errors = [
        Replay(truth).drive(study(*map(candidate, effects), noise=loose), "regress").candidates[5].average.se
        for truth in (adding(effects), quarrel)
    ]
    assert errors[1] > 2 * errors[0]


def test_random_search_keeps_the_best_of_its_mixes() -> None:
    replay, effects = many(9)
    finding = replay.drive(study(*map(candidate, effects)), "random")
    tried = {run.joined for run in replay.waves[0]} - {tuple(effects)}
    assert finding.selected in tried
    assert max(sum(effects[name] for name in mix) for mix in tried) == sum(effects[n] for n in finding.selected)
    assert {one.label for one in finding.candidates} == {"unclear"}
    assert next(iter(finding.candidates)).reason.endswith(f"the best of {len(tried)} random mixes")


def test_random_mixes_are_the_same_everywhere_and_hold_half() -> None:
    sizes = [len(random_mix(EVERYTHING, number)) for number in range(400)]
    assert sum(sizes) / 400 == pytest.approx(3.0, abs=0.2)
    assert random_mix(EVERYTHING, 3) == random_mix(EVERYTHING, 3)
    assert len({random_mix(EVERYTHING, number) for number in range(400)}) > 50


def test_the_baseline_with_other_seeds_is_compared_as_everywhere() -> None:
    """Noise that a seed gives to all mixes alike is in no effect, whatever the strategy."""

    def shifted(run: Run) -> Scores:
        return {name: score + 20.0 * run.seed for name, score in adding(EFFECTS)(run).items()}

    for strategy in JUDGING:
        plain = Replay(adding(EFFECTS)).drive(study(*SIX), strategy)
        moved = Replay(shifted).drive(study(*SIX), strategy)
        found = [[round(one.average.mean, 6) for one in f.candidates] for f in (plain, moved)]
        assert found[0] == found[1], strategy


def test_candidates_keep_their_place_in_the_mix() -> None:
    """Runs of equal data are one trial only where names come in one order."""
    replay, effects = many(9)
    replay.drive(replace(study(*map(candidate, effects))), "regress")
    assert all(list(run.joined) == sorted(run.joined) for run in replay.asked)
