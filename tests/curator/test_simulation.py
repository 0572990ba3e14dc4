"""The simulated scorer draws what it says it draws, and the counts over its studies are right."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from curator.cli import cli
from curator.error_rates import Arm, Tally, tally
from curator.simulation import (
    GUIDE,
    JOINED_SHARE,
    TABLE_3,
    Setting,
    SimulatedLaboratory,
    paper_candidates,
    simulate,
)
from curator.simulation_request import SimulationRequest
from curator.study import Run
from registry.errors import Refusal
from registry.scale import load_scale
from registry.taxonomy import SLUGS
from registry.trial import DecisionRule

NOISE = load_scale("demo").noise
CANDIDATES = paper_candidates()
OURS = DecisionRule()


def laboratory(number: int = 0, **changes: Any) -> SimulatedLaboratory:
    return SimulatedLaboratory(Setting(noise=NOISE, **changes), number, CANDIDATES)


# ---- the world --------------------------------------------------------------------------------------------------


def test_there_are_37_candidates_in_the_12_categories_of_the_paper() -> None:
    assert len(CANDIDATES) == 37
    assert list(TABLE_3) == list(SLUGS)


def test_a_third_each_is_good_neutral_and_bad_and_every_study_draws_anew() -> None:
    first, second = laboratory(0), laboratory(1)
    for drawn in (first, second):
        assert Counter(kind.truth for kind in drawn.kinds.values()) == {"good": 12, "neutral": 13, "bad": 12}
    assert first.kinds != second.kinds
    assert first.kinds == laboratory(0).kinds


def test_effects_are_those_that_were_measured_on_average_and_on_their_benchmark() -> None:
    for name, kind in laboratory().kinds.items():
        effects = laboratory().effects[name]
        assert effects.mean() == pytest.approx(kind.average)
        assert effects[GUIDE.index(kind.benchmark)] == kind.largest


def test_scores_differ_by_the_truth_and_noise_of_the_calibrated_size() -> None:
    """Over many studies: the mean of a difference is the effect, its deviation what the scale says of the average."""
    assert NOISE is not None
    found = []
    for number in range(400):
        one = laboratory(number, world="null")
        outcomes = one.measure([Run((), 0), Run(("ocr-0",), 0)])
        found.append(outcomes[Run(("ocr-0",), 0)].average - outcomes[Run((), 0)].average)
    assert np.mean(found) == pytest.approx(0, abs=0.15)
    assert np.std(found) == pytest.approx(NOISE.average, rel=0.1)


def test_what_a_seed_does_to_all_is_in_no_difference() -> None:
    quiet = laboratory(noise_factor=1e-9, world="null")
    outcomes = quiet.measure([Run((), 0), Run(("ocr-0",), 0), Run((), 1)])
    assert outcomes[Run((), 0)].average == pytest.approx(outcomes[Run(("ocr-0",), 0)].average, abs=1e-6)
    assert abs(outcomes[Run((), 0)].average - outcomes[Run((), 1)].average) > 0.1


def test_the_same_mix_in_another_order_is_the_same_trial() -> None:
    one = laboratory()
    outcomes = one.measure([Run(("ocr-0", "ocr-1"), 0), Run(("ocr-1", "ocr-0"), 0)])
    assert len({tuple(outcome.scores.values()) for outcome in outcomes.values()}) == 1
    assert list(one.trained.values()) == [pytest.approx(1 + 2 * JOINED_SHARE)]


def test_the_world_at_the_boundary_costs_exactly_the_margin() -> None:
    effects = laboratory(world="boundary", margin=2.5).effects
    assert {value for effect in effects.values() for value in effect.tolist()} == {-2.5}


def test_a_second_good_one_of_a_category_loses_what_overlaps() -> None:
    one = laboratory(overlap=0.75)
    good = [name for name, kind in one.kinds.items() if kind.truth == "good"]
    by_category = Counter(name.rsplit("-", 1)[0] for name in good)
    category = next(slug for slug, count in by_category.items() if count > 1)
    first, second = sorted(name for name in good if name.startswith(category))[:2]
    alone = one.effects[first] + 0.25 * one.effects[second]
    assert one.truth([second, first]) == pytest.approx(alone)
    assert laboratory().truth([second, first]) == pytest.approx(one.effects[first] + one.effects[second])


def test_a_world_that_is_none_is_refused() -> None:
    with pytest.raises(Refusal, match="did you mean 'null'"):
        SimulationRequest(world="nul").setting()


# ---- counts -----------------------------------------------------------------------------------------------------


def counted(studies: int, *arms: Arm, **changes: Any) -> list[Tally]:
    return tally(Setting(noise=NOISE, **changes), arms, studies)


def test_counts_are_of_every_candidate_of_every_study() -> None:
    ours, everything = counted(3, Arm("individual", OURS), Arm("all", OURS))
    assert (ours.kept["good"].of, ours.kept["neutral"].of, ours.kept["bad"].of) == (36, 39, 36)
    assert {everything.kept[truth].value for truth in ("good", "neutral", "bad")} == {1.0}
    assert everything.trials == [4, 4, 4]
    assert everything.cost.value == pytest.approx(2 * (1 + 6))
    assert (ours.agreement.value, everything.agreement.value) < (1.01, 1.0)
    assert everything.gain.value == pytest.approx(
        np.mean([laboratory(number).truth([one.name for one in CANDIDATES]).mean() for number in range(3)])
    )
    assert ours.best.value == everything.best.value
    assert everything.stated.of == 0  # it decides nothing, so it states no chance


def test_declared_errors_are_counted_where_they_can_happen() -> None:
    [boundary] = counted(2, Arm("all", OURS), world="boundary")
    assert (boundary.beyond.value, boundary.beyond.of) == (1.0, 74)
    assert boundary.needless.of == 0
    [null] = counted(2, Arm("individual", DecisionRule(by="paper", seeds=1, max_seeds=1)), world="null")
    assert null.beyond.of == 0
    assert null.needless.of == 74
    assert null.false_gain.value == 1.0  # better is better to the paper's rule, by chance or not
    assert null.happened.value == pytest.approx(null.happened.hits / 74)
    assert null.happened.value is not None
    assert 0.3 < null.happened.value < 0.9


# ---- what the table in docs/log.md says, on fewer studies -------------------------------------------------------


@pytest.mark.parametrize("strategy", ["individual", "halving"])
def test_our_rule_keeps_its_declared_errors_where_they_are_hardest_to_keep(strategy: str) -> None:
    [boundary] = counted(12, Arm(strategy, OURS), world="boundary")
    assert (boundary.beyond.value or 0) <= (1 - OURS.confidence) / 2 + 0.01
    [null] = counted(12, Arm(strategy, OURS), world="null")
    assert (null.needless.value or 0) <= 1 - OURS.harm_confidence + 0.02
    assert (null.false_gain.value or 0) <= 2 / 12


def test_the_papers_rule_errs_far_more_often_on_the_same_studies() -> None:
    paper = DecisionRule(by="paper", seeds=1, max_seeds=1)
    ours, theirs = counted(12, Arm("individual", OURS), Arm("individual", paper), world="measured")
    assert (ours.kept["good"].value or 0) > 0.98
    assert (ours.false_gain.value or 0) < 0.2
    assert (theirs.false_gain.value or 0) > 0.8
    assert (theirs.kept["bad"].value or 0) > 0.2
    assert (ours.kept["bad"].value or 0) < 0.03
    assert (ours.happened.value or 0) < 0.02


def test_racing_agrees_with_the_sequential_study_at_a_third_of_its_cost() -> None:
    sequential, racing = counted(12, Arm("individual", OURS), Arm("halving", OURS))
    assert (racing.agreement.value or 0) > 0.93
    assert (racing.cost.value or 0) < (sequential.cost.value or 0) / 3


def test_a_study_is_the_same_however_many_others_are_simulated() -> None:
    found = [simulate(Setting(noise=NOISE), "halving", OURS, 7, CANDIDATES)[0] for _ in range(2)]
    assert found[0] == found[1]


# ---- the command ------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    found = CliRunner().invoke(cli, ["simulate", *arguments])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_the_command_prints_a_row_a_strategy_and_the_papers_rule_below() -> None:
    rows = run("--studies", "1", "--strategy", "individual", "--strategy", "all", "--paper-margin", "2").splitlines()
    assert [" ".join(row.split()[:4]) for row in rows[2:]] == [
        "individual statistics, margin 3",
        "all statistics, margin 3",
        "individual paper, margin 2",
    ]


def test_json_has_every_share_with_what_it_is_of() -> None:
    told = json.loads(run("--studies", "2", "--strategy", "individual", "--world", "null", "--json"))
    assert (told["world"], told["studies"], len(told["rows"])) == ("null", 2, 4)
    row = told["rows"][0]
    assert row["neutral_kept"]["of"] == 74
    assert row["good_kept"] == {"value": None, "of": 0}
    assert row["trials"]["least"] <= row["trials"]["mean"] <= row["trials"]["most"]
    assert row["rule"]["comparable_margin"] == 3.0


def test_without_a_choice_every_strategy_is_simulated_and_the_sequential_one_is_first() -> None:
    arms = SimulationRequest().arms()
    assert [arm.strategy for arm in arms[:2]] == ["individual", "all"]
    assert [arm.rule.comparable_margin for arm in arms if arm.rule.by == "paper"] == [0.0, 1.0, 3.0]


def test_a_scale_without_calibrated_noise_and_a_strategy_that_is_none_are_refused() -> None:
    with pytest.raises(Refusal, match="did you mean 'halving'"):
        SimulationRequest(strategies=("halvin",)).arms()
    with pytest.raises(Refusal, match="its noise was never calibrated"):
        SimulationRequest(scale="demo-long").setting()
