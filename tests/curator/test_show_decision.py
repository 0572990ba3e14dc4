"""How a decision and a plan are printed: the same figures for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from curator.laboratory import Laboratory
from curator.show_decision import as_published, print_decision, print_plan
from registry.trial import CandidateDecision, Decision, DecisionRule, Effect, MixOutcome

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
    assert shown[0] == "candidate category verdict label truth effect interval seeds why"
    assert shown[2] == "demo-magnets science kept gain good +4.0 +2.8 … +5.2 3 gain it is"
    assert shown[3] == "demo-wrong\\x1b[2J science dropped harm bad -3.5 -4.8 … -2.2 3 harm it is"


def test_truth_is_a_column_only_where_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    print_decision(decision(truth=False), Path("x"), as_json=False)
    shown = lines(capsys)
    assert "truth" not in shown[0]
    assert shown[2] == "demo-magnets science kept gain +4.0 +2.8 … +5.2 3 gain it is"


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
    assert set(published) == {"name", "strategy", "decisions", "comparison"}
    magnets = published["decisions"][0]
    assert (magnets["effect"], magnets["low"], magnets["high"], magnets["standard_error"]) == (4.0, 2.75, 5.25, 0.5)
    assert set(magnets) == {
        *("candidate", "category", "truth", "verdict", "label", "effect", "low", "high", "standard_error"),
        *("benchmarks", "item_bootstrap", "seeds", "samples", "reason"),
    }
    assert published["comparison"]["scores"]["selected"] == {"mme": 52.0, "mmbench_dev_en": 36.0, "samples": 3072}
    assert published["comparison"]["selected_minus_all"]["mean"] == 5.0
    assert as_published(decision(with_all=False))["comparison"]["all"] is None


# ---- the plan ---------------------------------------------------------------------------------------------------


class Planned:
    """Stands in for a laboratory whose plan is known."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def plan(self) -> dict[str, Any]:
        return {
            "study": "made-up",
            "candidates": [{"name": "demo-magnets", "category": "science", "samples": 1024}],
            "categories": ["science"],
            "seeds": 2,
            "max_seeds": 4,
            "trials_at_least": 6,
            "trials_finished": 1,
            "samples_at_least": 14_336,
            "expected_cpu_seconds": self._seconds,
        }


def planned(seconds: float | None) -> Laboratory:
    return cast(Laboratory, Planned(seconds))


def test_a_plan_says_how_many_trials_and_what_they_cost(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(planned(1234.5), as_json=False)
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].split() == ["demo-magnets", "science", "1,024"]
    assert shown[-1] == (
        "6 trials at least (1 of the first wave are there already), about 1,234 CPU seconds; "
        "1 categories, 2 seeds each, up to 4 where undecided"
    )


def test_a_plan_without_a_measured_pace_names_no_cost(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(planned(None), as_json=False)
    assert "CPU" not in capsys.readouterr().out


def test_a_plan_in_json_is_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(planned(1.5), as_json=True)
    assert json.loads(capsys.readouterr().out) == Planned(1.5).plan()
