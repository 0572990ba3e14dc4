"""What is made of measured runs: noise pooled rightly, questions as a sample, benchmarks left out and held out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from curator.comparing import Contrast, Evidence
from curator.judging import AVERAGE
from curator.study import Outcome, Run, Study
from registry.identity import order_key
from tests.curator.replay import GUIDE, RULE, Replay, Scores, adding, candidate, only, study

PAPER = RULE.model_copy(update={"by": "paper", "seeds": 1, "max_seeds": 1})


# ---- the paper's rule -------------------------------------------------------------------------------------------


def test_the_papers_rule_needs_one_run_and_no_calibration() -> None:
    replay = Replay(adding({"a": 1.0, "b": -3.5}))
    finding = replay.drive(study(candidate("a"), candidate("b"), noise=None, rule=PAPER))
    assert [(one.candidate, one.verdict, one.seeds) for one in finding.candidates] == [
        ("a", "kept", [0]),
        ("b", "dropped", [0]),
    ]
    assert len(replay.asked) == 4  # baseline, everything, and each alone; the pool of one is trained already
    assert {one.wrong for one in finding.candidates} == {None}  # nothing is known about chance


def test_without_known_noise_the_interval_is_that_of_the_questions() -> None:
    questions = {f"q{number}": float(number % 2) for number in range(400)}

    class Asked(Replay):
        def outcome(self, run: Run) -> Outcome:
            right = questions | {"q0": 1.0, "q2": 1.0} if run.joined else questions
            return replace(super().outcome(run), items={name: {"": right} for name in GUIDE})

    decided = only(Asked(adding({"c": 0.5})).drive(study(candidate("c"), noise=None, rule=PAPER)))
    assert decided.item_bootstrap is not None
    assert decided.average.se == decided.item_bootstrap.se
    assert 0 < decided.average.se < 1


# ---- questions are a sample -------------------------------------------------------------------------------------


def test_question_noise_widens_the_interval_by_what_the_bootstrap_says() -> None:
    def measured(rule_questions: bool) -> tuple[float, float]:
        rule = RULE.model_copy(update={"question_noise": rule_questions, "max_seeds": 2})
        coin = {f"q{number}": float(order_key(number) % 2) for number in range(300)}
        tossed = {name: 1 - value if order_key("other", name) % 4 == 0 else value for name, value in coin.items()}

        class Asked(Replay):
            def outcome(self, run: Run) -> Outcome:
                return replace(super().outcome(run), items={n: {"": tossed if run.joined else coin} for n in GUIDE})

        decided = only(Asked(adding({})).drive(study(candidate("c"), rule=rule)))
        assert decided.item_bootstrap is not None
        return decided.average.se, decided.item_bootstrap.se

    seeds_alone, questions = measured(rule_questions=False)
    together, _ = measured(rule_questions=True)
    assert together == pytest.approx(math.hypot(seeds_alone, questions), rel=1e-6)
    assert together > 1.5 * seeds_alone


# ---- benchmarks that are left out or held out -------------------------------------------------------------------


def test_a_training_split_is_judged_without_its_benchmark_too() -> None:
    split = replace(candidate("c"), in_domain=("mmbench", "elsewhere"))
    decided = only(Replay(adding({"c": {"mmbench": 12.0, "mme": -0.4}})).drive(study(split)))
    assert decided.label == "gain"
    assert decided.average.mean == pytest.approx(5.8)
    assert decided.without is not None
    assert decided.without.benchmarks == ["mmbench"]
    assert decided.without.average is not None
    assert decided.without.average.mean == pytest.approx(-0.4)
    assert (decided.without.verdict, decided.without.label) == ("kept", "comparable")


def test_the_noise_of_an_average_of_fewer_benchmarks_is_larger() -> None:
    """Two benchmarks of one point each are said to have an average of one: so one alone has the square root of two."""
    split = replace(candidate("c"), in_domain=("mmbench",))
    evidence = Evidence(study(split))
    variance = evidence.variances["average without mmbench"]
    assert variance is not None
    assert math.sqrt(variance.variance) == pytest.approx(1.0)
    three = replace(study(split), benchmarks=(*GUIDE, "seed"))
    variance = Evidence(three).variances["average without mmbench"]
    assert variance is not None
    apart = {"two": math.sqrt(1 + 4) / 2, "three": math.sqrt(1 + 1 + 4) / 3}  # seed is not calibrated: twice as noisy
    assert math.sqrt(variance.variance) == pytest.approx(apart["two"] / apart["three"])


def test_a_training_split_of_the_only_guide_leaves_nothing_to_judge_by() -> None:
    split = replace(candidate("c"), in_domain=GUIDE)
    decided = only(Replay(adding({"c": 4.0})).drive(study(split)))
    assert decided.verdict == "kept"
    assert decided.without is not None
    assert (decided.without.average, decided.without.verdict) == (None, "undecided")


def test_a_training_split_of_another_benchmark_is_no_special_case() -> None:
    assert only(Replay(adding({})).drive(study(replace(candidate("c"), in_domain=("tabmwp_test",))))).without is None


def test_what_is_held_out_guides_nothing_and_stands_beside() -> None:
    asked = replace(study(candidate("c")), held_out=("fair",))
    ours = only(Replay(adding({"c": {"mme": -4.0, "mmbench": 4.0}}), ("fair",)).drive(asked))
    plain = only(Replay(adding({"c": {"mme": -4.0, "mmbench": 4.0}})).drive(study(candidate("c"))))
    assert ours.held_out["fair"].mean == pytest.approx(0.0)
    assert ours.held_out["fair"].se == pytest.approx(2 * ours.benchmarks["mme"].se, rel=1e-4)
    assert ours.model_copy(update={"held_out": {}}) == plain


def test_a_fall_of_what_is_held_out_never_sets_off_the_guard() -> None:
    asked = replace(study(candidate("c")), held_out=("fair",))

    class Falls(Replay):
        def outcome(self, run: Run) -> Outcome:
            return replace(super().outcome(run), held_out={"fair": 10.0 if run.joined else 90.0})

    decided = only(Falls(adding({})).drive(asked))
    assert decided.held_out["fair"].mean == -80
    assert decided.label == "comparable"


# ---- noise that all differences share ---------------------------------------------------------------------------


def evidence_of(noise: Mapping[str, list[float]], shared: list[float], shares: bool) -> tuple[Evidence, Study]:
    """Candidates whose differences to one mix have noise of their own, and the noise of that mix."""
    asked = study(*map(candidate, noise), noise=None)
    evidence = Evidence(asked, shares=shares)
    for seed, common in enumerate(shared):
        evidence.outcomes[Run((), seed)] = _outcome(50 - common)
        for name, own in noise.items():
            evidence.outcomes[Run((name,), seed)] = _outcome(50 + own[seed])
    return evidence, asked


def _outcome(score: float) -> Outcome:
    return Outcome("t", "m", 1, dict.fromkeys(GUIDE, score), {})


def test_the_noise_of_a_shared_mix_is_not_counted_once_for_each_candidate() -> None:
    """Whether the shared mix happened to differ much or not at all between its seeds: the error stays what it is."""
    draw = np.random.Generator(np.random.PCG64(1))
    noise = {f"c{number}": draw.normal(0, 1, 2).tolist() for number in range(200)}

    def error(shared: list[float], shares: bool) -> float:
        evidence, asked = evidence_of(noise, shared, shares)
        contrasts = [Contrast(one, (one.name,), ()) for one in asked.candidates]
        group = [evidence.differences(one.having, one.lacking, range(2)) for one in contrasts]
        return evidence.estimates(contrasts[0], range(2), evidence.variances_with(group))[AVERAGE].se

    expected = math.sqrt(2 / 2)  # a difference has the variance of two mixes, and there are two of them
    assert error([0.0, 0.0], shares=True) == pytest.approx(expected, rel=0.08)
    assert error([3.0, -3.0], shares=True) == pytest.approx(expected, rel=0.08)
    assert error([0.0, 0.0], shares=False) < 0.8 * expected
    assert error([3.0, -3.0], shares=False) > 2 * expected


# ---- spare trials -----------------------------------------------------------------------------------------------

WIDE = RULE.model_copy(update={"comparable_margin": 1.0, "max_seeds": 6})


def bought(extra: int | None, effects: Mapping[str, float | Scores]) -> tuple[list[list[int]], int]:
    replay = Replay(adding(effects))
    asked = study(*map(candidate, effects), rule=WIDE.model_copy(update={"extra_trials": extra}))
    finding = replay.drive(asked)
    first = 2 * (2 + len(effects))
    return [one.seeds for one in finding.candidates], len(replay.asked) - first


def test_undecided_candidates_buy_seeds_while_spare_trials_last() -> None:
    assert bought(None, {"a": 0.0, "b": 9.0})[0] == [[0, 1, 2, 3], [0, 1]]
    assert bought(0, {"a": 0.0, "b": 9.0})[0] == [[0, 1], [0, 1]]
    assert bought(2, {"a": 0.0, "b": 9.0})[0] == [[0, 1, 2], [0, 1]]  # the baseline's third seed is a trial too
    assert bought(3, {"a": 0.0, "b": 9.0})[0] == [[0, 1, 2], [0, 1]]


def test_spare_trials_go_first_to_what_is_nearest_to_a_decision() -> None:
    seeds, _ = bought(2, {"open": -0.2, "nearly": -1.7})
    assert seeds == [[0, 1], [0, 1, 2]]
