"""How a training is run, from the command line to the request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curator.assembly import Base
from curator.train import TrainPlan, memory_plan, runtime_of, write_request
from registry.checkpoint import DEMO_FOLDER
from registry.errors import Refusal
from registry.scale import load_scale
from registry.store import Home
from registry.trial import Runtime, Settings


def given(**changes: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("parallel", "tensor", "micro_rows", "every"))
    return {**nothing, "processes": 1, "nodes": 1, "recompute": False, "compile": False, **changes}


def test_what_is_not_said_is_as_it_always_was() -> None:
    assert runtime_of(load_scale("demo"), given(device="auto")) == Runtime()


def test_the_demos_model_stays_on_the_cpu_unless_it_is_told_otherwise() -> None:
    demo = load_scale("demo")
    large = demo.model_copy(update={"base": "/models/llava"})
    assert runtime_of(demo, given(device="cuda")).device == "cuda"
    assert runtime_of(large, given(device="auto")).device == "auto"


def test_many_processes_share_rows_unless_more_is_asked_for() -> None:
    demo = load_scale("demo")
    assert runtime_of(demo, given(device="cpu", processes=4)).parallel == "ddp"
    both = runtime_of(demo, given(device="cpu", processes=4, nodes=2, parallel="fsdp+tp", tensor=2, micro_rows=3))
    assert (both.parallel, both.tensor_size, both.micro_rows) == ("fsdp+tp", 2, 3)


@pytest.mark.parametrize(("said", "steps", "minutes"), [("200", 200, 30.0), ("20m", 0, 20.0)])
def test_states_are_kept_by_steps_or_minutes(said: str, steps: int, minutes: float) -> None:
    runtime = runtime_of(load_scale("demo"), given(device="cpu", every=said))
    assert (runtime.checkpoint_steps, runtime.checkpoint_minutes) == (steps, minutes)


@pytest.mark.parametrize("said", ["0", "m", "-1", "2h", "1.5", "٣", ""])
def test_no_time_is_refused(said: str) -> None:
    with pytest.raises(Refusal, match="is no time"):
        runtime_of(load_scale("demo"), given(device="cpu", every=said))


def test_what_does_not_add_up_is_refused_in_words() -> None:
    with pytest.raises(Refusal, match="no multiple of 2 that share a layer") as caught:
        runtime_of(load_scale("demo"), given(device="cpu", processes=3, parallel="fsdp+tp", tensor=2))
    assert "Value error" not in caught.value.what


def test_a_request_for_torchrun_holds_all_and_says_the_command(tmp_path: Path) -> None:
    settings = Settings(stage=load_scale("demo").sft, base="b" * 64, mix="c" * 64)
    runtime = Runtime(processes=8, nodes=4, parallel="fsdp+tp")
    plan = TrainPlan("t", settings, Base("base", tmp_path / "base"), tmp_path / "mix", 3, None, runtime)
    command = write_request(Home(tmp_path), plan, tmp_path / "train.json")
    body = json.loads((tmp_path / "train.json").read_bytes())
    assert Runtime.model_validate(body["runtime"]) == runtime
    assert Settings.model_validate(body["settings"]) == settings
    assert " ".join(command[:5]) == "torchrun --nnodes 4 --nproc-per-node 8"
    assert command[-4:] == ["-m", "trainers", "train", str(tmp_path / "train.json")]


def test_a_plan_says_what_memory_it_needs(tmp_path: Path) -> None:
    settings = Settings(stage=load_scale("demo").sft, base="b" * 64, mix="c" * 64)
    plan = TrainPlan("t", settings, Base("demo", DEMO_FOLDER), tmp_path / "mix", 3, None)
    needed = memory_plan(plan)
    assert needed is not None
    assert 1.5 < needed["total"] < 2
    unknown = TrainPlan("t", settings, Base("to fetch"), tmp_path / "mix", 3, None)
    assert memory_plan(unknown) is None
