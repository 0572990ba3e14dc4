"""A trial is reproducible to the bit, whole or not there, made once, and changes only what it may."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from registry.checkpoint import CHECKPOINT
from registry.errors import Refusal
from registry.store import COST, read_record
from tests.trainers.conftest import Toy
from tests.trainers.toy import everything, files_of, ignore, make_mix, stage, train_request
from trainers.loop import learning_rate, make_optimizer
from trainers.model import module_of
from trainers.requests import TrainRequest
from trainers.train import LOG, train
from trainers.workshop import Workshop


def run(toy: Toy, name: str, workshop: Workshop | None = None, **changes: object) -> Path:
    request = train_request(toy.home, toy.base, toy.mix, name, **changes)
    return train(workshop or toy.workshop, request, ignore)[0]


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def test_equal_settings_give_equal_bytes_whatever_the_process_did_before(toy: Toy, tmp_path: Path) -> None:
    folder = run(toy, "same", seed=5)
    first = files_of(folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    again = run(toy, "same", workshop=Workshop(), seed=5)
    assert again == folder
    assert files_of(again) == first
    assert {LOG, "settings.json", "record.json", f"{CHECKPOINT}/model.safetensors"} <= first.keys()


def test_another_seed_is_another_trial(toy: Toy) -> None:
    first, second = run(toy, "seeds", seed=1), run(toy, "seeds", seed=2)
    assert first != second
    assert log_of(first)[0]["loss"] != log_of(second)[0]["loss"]


def test_a_finished_trial_is_not_made_again(toy: Toy) -> None:
    request = train_request(toy.home, toy.base, toy.mix, "once", seed=11)
    folder, there = train(toy.workshop, request, ignore)
    stamp = (folder / "record.json").stat().st_mtime_ns
    events: list[dict[str, object]] = []
    assert train(toy.workshop, request.model_copy(update={"name": "renamed"}), events.append) == (folder, True)
    assert not there
    assert not events
    assert (folder / "record.json").stat().st_mtime_ns == stamp


def test_training_learns_and_says_how(toy: Toy) -> None:
    events: list[dict[str, object]] = []
    request = train_request(toy.home, toy.base, toy.mix, "learns", epochs=3)
    folder, _ = train(toy.workshop, request, events.append)
    log = log_of(folder)
    assert log[-1]["loss"] < log[0]["loss"]
    assert sum(line["samples"] for line in log) == 3 * 240
    assert [line["step"] for line in log] == list(range(1, len(log) + 1))
    told = {"event": "progress", "step": len(log), "steps": len(log), "loss": log[-1]["loss"], "seconds_left": 0.0}
    assert told.items() <= events[-1].items()
    assert {"samples_per_second", "tokens_per_second", "memory_bytes"} == events[-1].keys() - told.keys()
    record = read_record(folder)
    record.check_rows()
    assert (record.kind, record.rows_out) == ("trial", 240)
    assert record.inputs["mix"] == toy.mix[1]
    assert json.loads((folder / COST).read_bytes())["samples"] == 720


def test_the_log_grows_while_it_trains(toy: Toy) -> None:
    request = train_request(toy.home, toy.base, toy.mix, "watched", seed=21)
    request = request.model_copy(update={"runtime": request.runtime.model_copy(update={"log_every": 2})})
    seen: list[tuple[int, int]] = []

    def look(event: dict[str, object]) -> None:
        if event["event"] == "progress":
            (log,) = toy.home.aside.glob(f"*/{LOG}")
            seen.append((int(str(event["step"])), len(log.read_text().splitlines())))

    folder, _ = train(toy.workshop, request, look)
    assert len(seen) > 1
    assert all(step - 1 <= lines <= step for step, lines in seen)
    assert len(log_of(folder)) == seen[-1][0]


def test_frozen_modules_are_unchanged_to_the_bit(toy: Toy) -> None:
    folder = run(toy, "frozen", trains=["adapter"], lr={"adapter": 1e-2})
    before = toy.checkpoint().model.state_dict()
    after = LlavaForConditionalGeneration.from_pretrained(folder / CHECKPOINT).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {module_of(name) for name in changed} == {"adapter"}
    assert len(changed) == 4


def test_every_module_learns_when_asked(toy: Toy) -> None:
    folder = run(toy, "all", **everything(1e-2))
    before = toy.checkpoint().model.state_dict()
    after = LlavaForConditionalGeneration.from_pretrained(folder / CHECKPOINT).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    # Nothing reads the class token's norm, and a key bias of the tower (no rotary turn) shifts all scores alike.
    still = {
        name for name in before if "post_layernorm" in name or name.endswith("encoder.layers.0.self_attn.k_proj.bias")
    }
    assert set(before) - still <= changed


def test_a_second_stage_starts_from_the_first(toy: Toy) -> None:
    mix = make_mix(toy.home, "captions-of-base", [0, 4, 8, 12])
    pre = train_request(toy.home, toy.base, mix, "pre", template="plain", trains=["adapter"], lr={"adapter": 1e-2})
    folder, _ = train(toy.workshop, pre, ignore)
    after = train_request(toy.home, toy.base, toy.mix, "after", init=pre.settings.digest())
    plain = train_request(toy.home, toy.base, toy.mix, "after")
    second, _ = train(toy.workshop, after, ignore)
    third, _ = train(toy.workshop, plain, ignore)
    assert read_record(second).inputs["init"] == read_record(folder).digest
    assert log_of(second)[0]["loss"] != log_of(third)[0]["loss"]


def test_mixed_precision_stays_close(toy: Toy) -> None:
    exact, mixed = run(toy, "exact", seed=3), run(toy, "mixed", seed=3, precision="bf16")
    assert log_of(mixed)[0]["loss"] == pytest.approx(log_of(exact)[0]["loss"], rel=0.02)
    assert log_of(mixed)[-1]["loss"] == pytest.approx(log_of(exact)[-1]["loss"], rel=0.2)


def change(request: TrainRequest, **changes: object) -> TrainRequest:
    return request.model_copy(update={"settings": request.settings.model_copy(update=changes)})


def test_what_does_not_fit_is_refused_and_leaves_nothing(toy: Toy, tmp_path: Path) -> None:
    good = train_request(toy.home, toy.base, toy.mix, "bad", seed=77)
    cases = [
        (change(good, mix="0" * 64), "the settings ask for 000000000000"),
        (change(good, base="1" * 64), "the settings ask for 111111111111"),
        (change(good, init="2" * 64), "is the start of this one but not there"),
        (change(good, stage=stage(template="chatm")), "did you mean 'chatml'"),
        (change(good, stage=stage(trains=[], lr={})), "trains nothing"),
        (change(good, stage=stage(lr={"adapter": 1e30, "llm": 1e30})), "the loss is nan"),
        (good.model_copy(update={"mix": "no-such"}), "not there"),
        (good.model_copy(update={"runtime": good.runtime.model_copy(update={"device": "cuda"})}), "sees no GPU"),
    ]
    before = sorted(path.name for path in toy.home.stage("trials").glob("*"))
    for request, says in cases:
        with pytest.raises(Refusal, match=says):
            train(toy.workshop, request, ignore)
    assert sorted(path.name for path in toy.home.stage("trials").glob("*")) == before
    assert [path for path in toy.home.aside.iterdir() if path.is_dir()] == []


def test_a_killed_run_leaves_nothing_and_the_next_gives_the_same_bytes(toy: Toy) -> None:
    request = train_request(toy.home, toy.base, toy.mix, "killed", epochs=40, seed=21)
    request = request.model_copy(update={"runtime": request.runtime.model_copy(update={"log_every": 1})})
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [sys.executable, "-m", "trainers", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(request.model_dump_json() + "\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["event"] == "progress"
        child.send_signal(signal.SIGKILL)
    folder = toy.home.folder("trials", "killed", request.settings.digest())
    assert not folder.exists()
    assert toy.home.find("trials", request.settings.digest()) is None
    made, there = train(toy.workshop, request, ignore)
    assert (made, there) == (folder, False)
    assert [path for path in toy.home.aside.iterdir() if path.is_dir()] == []
    first = files_of(folder)
    (folder / "record.json").unlink()  # as if it had never been finished
    again, _ = train(Workshop(), request, ignore)
    assert files_of(again) == first


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    rates = [learning_rate(step, 100, 0.03) for step in range(100)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[3] == 1.0
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert learning_rate(0, 1, 0.03) == 1.0
    assert learning_rate(0, 1, 0.0) == 1.0


def test_each_module_has_its_own_rate_and_vectors_do_not_decay(toy: Toy) -> None:
    checkpoint = toy.checkpoint()
    form = stage(lr={"adapter": 1e-3, "llm": 2e-5}, weight_decay=0.1, betas=(0.9, 0.98))
    optimizer, learning = make_optimizer(checkpoint.model, form)
    assert {(group["peak"], group["weight_decay"]) for group in optimizer.param_groups} == {
        (1e-3, 0.1),
        (1e-3, 0.0),
        (2e-5, 0.1),
        (2e-5, 0.0),
    }
    assert all(p.ndim >= 2 for group in optimizer.param_groups if group["weight_decay"] for p in group["params"])
    assert len(learning) == len([p for p in checkpoint.model.parameters() if p.requires_grad])
    assert optimizer.defaults["betas"] == (0.9, 0.98)


def test_workers_and_trackers_change_nothing_of_a_trial(toy: Toy) -> None:
    pytest.importorskip("tensorboard")
    request = train_request(toy.home, toy.base, toy.mix, "fed", seed=31, weighting="root", packing="whole")
    folder, _ = train(toy.workshop, request, ignore)
    first = files_of(folder)
    (folder / "record.json").unlink()
    runtime = request.runtime.model_copy(update={"workers": 2, "track": "tensorboard"})
    again, _ = train(toy.workshop, request.model_copy(update={"runtime": runtime}), ignore)
    assert files_of(again) == first
    events = list((toy.home.path / "tracking" / folder.name).glob("events.*"))
    assert len(events) == 1
    assert b"tokens_per_second" in events[0].read_bytes()


def test_the_weighting_is_part_of_what_a_trial_is(toy: Toy) -> None:
    losses = {run(toy, "weighed", seed=33, weighting=way): way for way in ("token", "sample", "root")}
    assert len(losses) == 3
    assert len({log_of(folder)[0]["loss"] for folder in losses}) == 3
