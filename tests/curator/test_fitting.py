"""Balanced mixes and the regression on them: what a design promises, and how far its intervals can be trusted."""

from __future__ import annotations

import itertools
import math

import pytest

from curator.comparing import Evidence
from curator.fitting import balanced_mixes, fit
from curator.judging import AVERAGE
from curator.study import Run
from registry.errors import Refusal
from tests.curator.replay import GUIDE, Replay, adding, candidate, noisy, study


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 37, 60])
def test_every_pair_is_as_often_together_as_apart(count: int) -> None:
    names = [f"c{number}" for number in range(count)]
    mixes = balanced_mixes(names, 0)
    assert len(mixes) <= 2 * count + 12
    for name in names:
        assert sum(name in mix for mix in mixes) == len(mixes) / 2
    for one, other in itertools.combinations(names[:12], 2):
        assert sum(one in mix and other in mix for mix in mixes) == len(mixes) / 4


def test_another_number_gives_other_mixes_of_the_same_kind() -> None:
    names = [f"c{number:02d}" for number in range(20)]
    first, second = (set(balanced_mixes(names, number)) for number in (0, 1))
    assert len(first & second) < 3
    assert balanced_mixes(names, 1) == balanced_mixes(names, 1)


def evidence_for(replay: Replay, runs: list[Run], count: int, known: bool = True) -> Evidence:
    asked = study(*(candidate(f"c{number:02d}") for number in range(count)))
    evidence = Evidence(asked if known else study(*asked.candidates, noise=None), fits=True)
    evidence.outcomes.update(replay.measure(runs))
    return evidence


def runs_of(count: int, seeds: int = 1) -> list[Run]:
    names = [f"c{number:02d}" for number in range(count)]
    return [Run(mix, seed) for seed in range(seeds) for mix in balanced_mixes(names, seed)]


def test_effects_that_add_up_are_found_exactly() -> None:
    effects = {f"c{number:02d}": number - 5.0 for number in range(10)}
    runs = runs_of(10)
    found = fit(evidence_for(Replay(adding(effects)), runs, 10), runs)
    assert {name: one[AVERAGE].mean for name, one in found.items()} == pytest.approx(effects, abs=0.05)
    assert set(found["c00"]) == {AVERAGE, *GUIDE}


def test_ninety_five_per_cent_of_the_intervals_hold_the_truth() -> None:
    effects = {f"c{number:02d}": (number % 5) - 2.0 for number in range(18)}
    inside = total = 0
    runs = runs_of(18)
    for number in range(60):
        found = fit(evidence_for(Replay(noisy(effects, 1.0, number)), runs, 18), runs)
        for name, truth in effects.items():
            effect = found[name][AVERAGE].effect(0.95)
            inside += effect.low <= truth <= effect.high
            total += 1
    share = inside / total
    assert 0.92 < share < 0.985


def test_the_error_is_that_of_the_design() -> None:
    """Half of 24 trials against the other half, each with half the variance of a difference of one point."""
    runs = runs_of(20)
    found = fit(evidence_for(Replay(adding({})), runs, 20), runs)
    sure = math.sqrt(0.5 * (1 / 12 + 1 / 12))
    assert found["c00"][AVERAGE].se == pytest.approx(sure, rel=0.02)


def test_a_seed_that_lifts_all_mixes_lifts_no_effect() -> None:
    runs = runs_of(6, seeds=2)
    plain = Replay(adding({"c00": 4.0}))
    lifted = Replay(lambda run: {k: v + 30.0 * run.seed for k, v in adding({"c00": 4.0})(run).items()})
    means = [fit(evidence_for(replay, runs, 6), runs)["c00"][AVERAGE].mean for replay in (plain, lifted)]
    assert means[0] == pytest.approx(means[1]) == pytest.approx(4.0, abs=0.05)


def test_too_few_mixes_to_tell_noise_are_refused() -> None:
    runs = [Run((), 0), Run(("c00",), 0), Run(("c00", "c01"), 0)]
    evidence = evidence_for(Replay(noisy({}, 1.0, 0)), runs, 2, known=False)
    with pytest.raises(Refusal, match="3 mixes leave nothing to tell the noise of 2 candidates from"):
        fit(evidence, runs)


def test_the_same_mixes_give_the_same_numbers() -> None:
    runs = runs_of(12)
    found = [fit(evidence_for(Replay(noisy({}, 1.0, 3)), runs, 12), runs)["c03"][AVERAGE] for _ in range(2)]
    assert found[0] == found[1]


def test_without_calibration_the_noise_is_that_of_the_residuals() -> None:
    runs = runs_of(4, seeds=3)
    evidence = evidence_for(Replay(noisy({}, 2.0, 1)), runs, 4, known=False)
    estimate = fit(evidence, runs)["c00"][AVERAGE]
    assert estimate.degrees_of_freedom == pytest.approx(len(runs) - 3 - 4, abs=0.3)
    assert estimate.se == pytest.approx(math.sqrt(2.0**2 / 2 * 4 / len(runs)), rel=0.5)
