"""How a decision and a plan are printed: the same figures for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curator.show_decision import as_published, print_decision, print_plan
from registry.trial import CandidateDecision, Decision, DecisionRule, Effect, MixOutcome, WithoutBenchmark

BENCHMARKS = ["mme", "mmbench_dev_en"]


def effect(mean: float) -> Effect:
    return Effect(mean=mean, low=mean - 1.25, high=mean + 1.25, se=0.5)


def outcome(mix: str, samples: int, mme: float, mmbench: float) -> MixOutcome:
    scores = {"mme": mme, "mmbench_dev_en": mmbench}
    return MixOutcome(
        mix=mix,
        samples=samples,
        scores=scores,
        average=(mme + mmbench) / 2,
        by_seed=[(mme + mmbench) / 2],
        trials=["t"],
    )


def candidate(name: str, mean: float, verdict: str, label: str, truth: str | None) -> CandidateDecision:
    return CandidateDecision.model_validate(
        {
            "candidate": name,
            "category": "science",
            "dataset": name,
            "samples": 1024,
            "verdict": verdict,
            "label": label,
            "reason": f"{label} it is",
            "average": effect(mean),
            "benchmarks": {benchmark: effect(mean) for benchmark in BENCHMARKS},
            "item_bootstrap": effect(mean / 2),
            "wrong": 0.023,
            "seeds": [0, 1, 2],
            "against": "base",
            "trials": ["t"],
            "truth": truth,
        }
    )


def decision(truth: bool = True, with_all: bool = True) -> Decision:
    return Decision(
        name="made-up",
        strategy="individual",
        strategy_version=1,
        scale="demo",
        rule=DecisionRule(),
        benchmarks=BENCHMARKS,
        rules="2024-05",
        categories=["science"],
        candidates=[
            candidate("demo-magnets", 4.0, "kept", "gain", "good" if truth else None),
            candidate("demo-wrong\x1b[2J", -3.5, "dropped", "harm", "bad" if truth else None),
        ],
        path=[],
        baseline=outcome("base", 2048, 50.0, 30.04),
        selected=outcome("base+demo-magnets", 3072, 52.0, 36.0),
        all=outcome("base+1+demo-wrong", 4096, 49.0, 29.0) if with_all else None,
        selected_minus_all=effect(5.0) if with_all else None,
        selected_minus_baseline=effect(3.98),
        trials={"t": "base-s0"},
    )


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What went to stdout, blanks run together."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_verdicts_come_with_effect_interval_and_reason(capsys: pytest.CaptureFixture[str]) -> None:
    print_decision(decision(), Path("/home/decisions/made-up-0"), as_json=False)
    shown = lines(capsys)
    assert shown[0] == "candidate category verdict label truth effect interval seeds chance wrong why"
    assert shown[2] == "demo-magnets science kept gain good +4.0 +2.8 … +5.2 3 2.3 % gain it is"
    assert shown[3] == "demo-wrong\\x1b[2J science dropped harm bad -3.5 -4.8 … -2.2 3 2.3 % harm it is"


def test_truth_is_a_column_only_where_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    print_decision(decision(truth=False), Path("x"), as_json=False)
    shown = lines(capsys)
    assert "truth" not in shown[0]
    assert shown[2] == "demo-magnets science kept gain +4.0 +2.8 … +5.2 3 2.3 % gain it is"


def test_the_comparison_is_the_papers_table_5(capsys: pytest.CaptureFixture[str]) -> None:
    print_decision(decision(), Path("x"), as_json=False)
    shown = lines(capsys)
    start = shown.index("mix samples mme mmbench_dev_en average")
    assert shown[start + 2] == "Baseline 2,048 50 30 40"
    assert shown[start + 3] == "Selected 3,072 52 36 44"
    assert shown[start + 4] == "All 4,096 49 29 39"
    assert shown[start + 5] == "Selected - Baseline: +4.0 (+2.7 … +5.2, standard error 0.50)"
    assert shown[start + 6] == "Selected - All: +5.0 (+3.8 … +6.2, standard error 0.50)"


def test_without_a_mix_of_everything_nothing_is_said_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_decision(decision(with_all=False), Path("x"), as_json=False)
    out = capsys.readouterr().out
    assert "All" not in out
    assert "Selected - Baseline" in out


def test_the_folder_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_decision(decision(), Path("/home/decisions/made-up-0"), as_json=False)
    out, err = capsys.readouterr()
    assert err == "decision: /home/decisions/made-up-0\n"
    assert "/home/decisions" not in out


def test_json_is_the_published_form_and_its_folder_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    print_decision(decision(), Path("/home/decisions/made-up-0"), as_json=True)
    out, err = capsys.readouterr()
    assert err == ""
    published = json.loads(json.dumps(as_published(decision())))
    assert json.loads(out) == published | {"folder": "/home/decisions/made-up-0"}


def test_the_published_form_keeps_its_fields() -> None:
    """Programs read it: a field may be added, none may go or change its meaning."""
    published = as_published(decision())
    assert set(published) == {"name", "strategy", "rule", "notes", "decisions", "comparison"}
    magnets = published["decisions"][0]
    assert (magnets["effect"], magnets["low"], magnets["high"], magnets["standard_error"]) == (4.0, 2.75, 5.25, 0.5)
    assert set(magnets) == {
        *("candidate", "category", "truth", "verdict", "label", "effect", "low", "high", "standard_error"),
        *("benchmarks", "item_bootstrap", "seeds", "samples", "reason"),
        *("chance_wrong", "how", "held_out", "without_in_domain"),
    }
    assert published["comparison"]["scores"]["selected"] == {"mme": 52.0, "mmbench_dev_en": 36.0, "samples": 3072}
    assert published["comparison"]["selected_minus_all"]["mean"] == 5.0
    assert as_published(decision(with_all=False))["comparison"]["all"] is None


def test_chances_are_told_in_per_cent_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    told = decision()
    told.candidates[0].wrong, told.candidates[1].wrong = 0.0004, None
    print_decision(told, Path("x"), as_json=False)
    shown = lines(capsys)
    assert shown[2].endswith("3 <0.1 % gain it is")
    assert shown[3].endswith("3 – harm it is")


def test_a_training_split_of_a_guide_is_marked_and_judged_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    told = decision()
    told.candidates[0].without = WithoutBenchmark(
        benchmarks=["mme"], average=effect(0.5), verdict="kept", label="comparable"
    )
    told.candidates[1].without = WithoutBenchmark(
        benchmarks=BENCHMARKS, average=None, verdict="undecided", label="unclear"
    )
    print_decision(told, Path("x"), as_json=False)
    shown = lines(capsys)
    assert shown[2].startswith("demo-magnets * science kept")
    assert "demo-magnets is the training split of mme: without, +0.5 (-0.8 … +1.8) and kept (comparable)" in shown
    assert any(
        line.endswith("is the training split of mme, mmbench_dev_en: nothing else guides this study") for line in shown
    )
    assert as_published(told)["decisions"][0]["without_in_domain"]["average"]["mean"] == 0.5


def test_held_out_scores_stand_beside_and_outside_the_average(capsys: pytest.CaptureFixture[str]) -> None:
    told = decision()
    told.held_out = ["tabmwp_test"]
    told.notes = ["more than its parts"]
    for one, gain in zip(told.candidates, (2.5, -1.0), strict=True):
        one.held_out = {"tabmwp_test": effect(gain)}
    for outcome_of, score in ((told.baseline, 20.0), (told.selected, 22.0), (told.all, 21.0)):
        assert outcome_of is not None
        outcome_of.held_out = {"tabmwp_test": score}
    print_decision(told, Path("x"), as_json=False)
    shown = lines(capsys)
    assert shown[0].endswith("chance wrong tabmwp_test (held out) why")
    assert shown[2].endswith("2.3 % +2.5 gain it is")
    assert "Selected 3,072 52 36 44 22" in shown
    assert "more than its parts" in shown
    published = as_published(told)
    assert published["comparison"]["held_out"]["selected"] == {"tabmwp_test": 22.0}
    assert published["notes"] == ["more than its parts"]


# ---- the plan ---------------------------------------------------------------------------------------------------


def plan(hours: float | None) -> dict[str, Any]:
    return {
        "study": "made-up",
        "strategy": "halving",
        "candidates": [{"name": "demo-magnets", "category": "science", "samples": 1024}],
        "categories": ["science"],
        "seeds": 2,
        "max_seeds": 4,
        "trials": {"least": 6, "mean": 8.4, "most": 12},
        "first_trials": 4,
        "first_trials_finished": 1,
        "waves": 3.2,
        "samples": 14_336.0,
        "cpu_hours": hours,
        "trainer_hours": hours and hours / 2,
        "hours": hours and hours / 8,
    }


def test_a_plan_says_how_many_trials_and_what_they_cost(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(plan(4.0), as_json=False)
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].split() == ["demo-magnets", "science", "1,024"]
    assert shown[-3:] == [
        (
            "strategy halving: about 8 trials (6 to 12) in 3 waves, 14,336 samples trained; "
            "1 of the 4 of baseline and everything are there already"
        ),
        "1 categories, 2 seeds each, up to 4 where undecided",
        (
            "at the pace of this home's trials: 30.0 min with these workers, 4.0 h of CPU, 2.0 h of trainers "
            "(of GPUs, where each has one)"
        ),
    ]


def test_a_plan_without_a_measured_pace_names_no_cost(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(plan(None), as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "no trial of this home tells how long that takes"


def test_a_plan_in_json_is_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(plan(1.5), as_json=True)
    assert json.loads(capsys.readouterr().out) == plan(1.5)
