"""Trials: what a trial is makes its digest, how it is run does not; scales and scores are checked strictly."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from registry.errors import Refusal
from registry.identity import file_digest
from registry.scale import Noise, Scale, load_scale, scale_names
from registry.scores import Replying, score_path
from registry.trial import BenchmarkScore, CandidateDecision, DecisionRule, Effect, Lora, Runtime, Settings, Stage

STAGE = Stage(
    name="sft",
    template="plain",
    trains=["adapter", "llm"],
    lr={"adapter": 1e-3, "llm": 2e-5},
    capacity=256,
    rows_per_step=8,
)
SETTINGS = Settings(stage=STAGE, base="b" * 64, mix="c" * 64, seed=3)

SCALE = """\
name: tiny
title: for the tests
base: demo
sft:
  name: sft
  template: plain
  trains: [llm]
  lr: {llm: 2e-5}
  capacity: 64
  rows_per_step: 2
noise:
  degrees_of_freedom: 20
  average: 0.8
  benchmarks: {mme: 1.5}
"""


def test_the_digest_of_settings_is_golden() -> None:
    """A change here retrains every trial anyone has: raise SETTINGS_VERSION and know why."""
    assert SETTINGS.digest() == "902714950c465f540d17f51053ad41fb432c9392d088a35f5ae2c4d2f6753ed7"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"mix": "d" * 64},
        {"base": "d" * 64},
        {"init": "d" * 64},
        {"version": 3},
        *[
            {"stage": STAGE.model_copy(update=update)}
            for update in (
                {"name": "other"},
                {"template": "vicuna"},
                {"lr": {"adapter": 1e-3, "llm": 1e-5}},
                {"capacity": 257},
                {"rows_per_step": 4},
                {"epochs": 2},
                {"warmup_ratio": 0.0},
                {"weight_decay": 0.1},
                {"betas": (0.9, 0.95)},
                {"clip_norm": 0.5},
                {"precision": "bf16"},
                {"too_long_limit": 0.1},
                {"unsupervised_limit": 0.1},
                {"fit": "crop"},
                {"lora": Lora(r=8, alpha=16)},
            )
        ],
    ],
    ids=str,
)
def test_every_setting_is_part_of_the_identity(change: dict[str, Any]) -> None:
    assert SETTINGS.model_copy(update=change).digest() != SETTINGS.digest()


def test_how_a_trial_is_run_is_no_part_of_it() -> None:
    assert not set(Runtime.model_fields) & {*Settings.model_fields, *Stage.model_fields}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Settings.model_validate(SETTINGS.model_dump() | {"runtime": Runtime().model_dump()})
    assert not {"benchmarks", "rules"} & set(Settings.model_fields)


def test_settings_survive_json_with_their_identity() -> None:
    again = Settings.model_validate_json(SETTINGS.model_dump_json())
    assert again == SETTINGS
    assert again.digest() == SETTINGS.digest()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"trains": ["llm"]}, "lr names .* but trains"),
        ({"lr": {"llm": 2e-5}}, "lr names .* but trains"),
        ({"trains": ["head"]}, "'vision', 'adapter' or 'llm'"),
        ({"lr": {"adapter": 1e-3, "llm": float("nan")}}, "finite number"),
        ({"capacity": 8}, "greater than or equal to 16"),
        ({"rows_per_step": 0}, "greater than or equal to 1"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"precision": "fp16"}, "'fp32' or 'bf16'"),
        ({"dropout": 0.1}, "Extra inputs"),
    ],
)
def test_a_stage_that_makes_no_sense_is_refused(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Stage.model_validate(STAGE.model_dump() | change)


def test_a_scale_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SCALE)
    scale = load_scale(str(path))
    assert scale.sft.lr == {"llm": 2e-5}
    assert scale.pretrain is None
    assert scale.noise == Noise(degrees_of_freedom=20, average=0.8, benchmarks={"mme": 1.5})


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("lr: {llm: 2e-5}", "lr: {llm: fast}", ":8", "sft.lr.llm: Input should be a valid number"),
        ("lr: {llm: 2e-5}", "lr: {adapter: 1}", ":4", "lr names"),
        ("average: 0.8", "average: 0", ":13", "greater than 0"),
        ("rows_per_step: 2", "rows_per_stpe: 2", ":10", "did you mean 'rows_per_step'?"),
    ],
)
def test_a_wrong_scale_is_refused_at_its_line(tmp_path: Path, old: str, new: str, where: str, what: str) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SCALE.replace(old, new))
    with pytest.raises(Refusal) as caught:
        load_scale(str(path))
    everything = str(caught.value)
    assert what in everything
    assert caught.value.where == f"{path}{where}"


def test_every_packaged_scale_is_sound_and_called_as_its_file() -> None:
    assert "demo" in scale_names()
    scales: list[Scale] = [load_scale(name) for name in scale_names()]
    assert [scale.name for scale in scales] == scale_names()


def test_an_unknown_scale_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refusal, match="did you mean 'demo'"):
        load_scale("dmeo")


@pytest.mark.parametrize(
    "change",
    [
        {"confidence": 0.5},
        {"confidence": 1.0},
        {"gain_confidence": 2.0},
        {"comparable_margin": 0},
        {"comparable_margin": float("nan")},
        {"guard_standard_errors": 0},
        {"guard_margin": -1},
        {"seeds": 0},
        {"max_seeds": 0},
        {"patience": 1},
    ],
    ids=str,
)
def test_a_rule_that_could_not_decide_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DecisionRule.model_validate(change)


def test_a_verdict_is_one_of_those_that_are_known() -> None:
    effect = Effect(mean=0, low=-1, high=1, se=0.5)
    fields: dict[str, Any] = {
        "candidate": "demo-flags",
        "category": "knowledge",
        "dataset": "demo-flags",
        "samples": 10,
        "verdict": "kept",
        "label": "gain",
        "reason": "raises the average",
        "average": effect,
        "benchmarks": {},
        "item_bootstrap": effect,
        "seeds": [0],
        "against": "base",
        "trials": [],
    }
    assert CandidateDecision.model_validate(fields).truth is None
    for wrong in ({"verdict": "maybe"}, {"label": "great"}, {"truth": "unknown"}, {"cost": 1}):
        with pytest.raises(ValidationError):
            CandidateDecision.model_validate(fields | wrong)


# ---- where scores lie -------------------------------------------------------------------------------------------


def test_a_score_lies_beside_its_trial_under_what_it_depends_on(tmp_path: Path) -> None:
    path = score_path(tmp_path, "mme", 1, "2024-05", "a" * 64, Replying(16))
    assert path == tmp_path / "scores" / "mme-4da068a054f7.json"
    others = [
        score_path(tmp_path, "mmbench_dev_en", 1, "2024-05", "a" * 64, Replying(16)),
        score_path(tmp_path, "mme", 2, "2024-05", "a" * 64, Replying(16)),
        score_path(tmp_path, "mme", 1, "2025-01", "a" * 64, Replying(16)),
        score_path(tmp_path, "mme", 1, "2024-05", "b" * 64, Replying(16)),
        score_path(tmp_path, "mme", 1, "2024-05", "a" * 64, Replying(32)),
        score_path(tmp_path / "other", "mme", 1, "2024-05", "a" * 64, Replying(16)),
    ]
    assert len({path, *others}) == len(others) + 1


def test_a_file_digest_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"index\tquestion\n" * 100_000)
    assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_score_survives_json() -> None:
    score = BenchmarkScore(
        benchmark="mme",
        version=1,
        rules="2024-05",
        table_digest="a" * 64,
        score=61.5,
        items={"p1": 1.0},
        strata={"p1": "color"},
    )
    assert BenchmarkScore.model_validate_json(score.model_dump_json()) == score
