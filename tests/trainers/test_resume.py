"""A training killed at any instant goes on where it was, and ends with the bytes of one that never was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from registry.errors import Refusal
from registry.mix import MixReader
from registry.store import Home
from registry.trial import Runtime
from tests.trainers.conftest import Toy
from tests.trainers.toy import everything, files_of, ignore, make_mix, stage, train_request
from trainers.feed import Feed
from trainers.loader import load_corpus
from trainers.loop import Loop
from trainers.parallel import ALONE
from trainers.requests import TrainRequest
from trainers.resume import FOLDER, INDEX, States
from trainers.train import train
from trainers.workshop import Workshop

STEPS = 13
RUNTIME = Runtime(checkpoint_steps=2, log_every=1)


def request_in(toy: Toy, root: Path, runtime: Runtime = RUNTIME, **changes: Any) -> TrainRequest:
    """A trial in a copy of the toy's home; all modules learn, and vectors do not decay."""
    if not (root / "home").exists():
        shutil.copytree(toy.home.path, root / "home", ignore=shutil.ignore_patterns("trials", "aside"))
    settings = {**everything(), "weight_decay": 0.1, "seed": 5, **changes}
    made = train_request(Home(root / "home"), toy.base, toy.mix, "resumed", **settings)
    return made.model_copy(update={"runtime": runtime})


def run_killed(root: Path, request: TrainRequest, deaths: list[dict[str, int]]) -> None:
    """Run the trial in one process after another, each killed where ``deaths`` says."""
    groups = [{"size": 1, "requests": [request.model_dump(mode="json")], **death} for death in deaths]
    (root / "groups.json").write_text(json.dumps(groups))
    command = [sys.executable, "-m", "tests.trainers.ranks", str(root / "groups.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-8000:]


def states_of(request: TrainRequest) -> list[str]:
    """Steps of the whole states that are kept for a trial."""
    return sorted(path.parent.name for path in Home(Path(request.home)).aside.glob(f"*/out/{FOLDER}/*/{INDEX}"))


def test_killed_at_any_step_and_any_file_it_ends_with_the_same_bytes(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, _ = train(Workshop(), request_in(toy, tmp_path / "whole", Runtime()), ignore)
    request = request_in(toy, tmp_path / "killed")
    touching = [{"die_touching": number} for number in (11, 13, 15, 17, 19, 22)]
    run_killed(tmp_path, request, [{"die_at": 3}, {"die_at": 5}, *touching])
    begun = int(states_of(request)[-1])
    assert 4 < begun < STEPS
    events: list[dict[str, Any]] = []
    folder, there = train(Workshop(), request, events.append)
    assert not there
    assert events[0] == {"event": "resumed", "step": begun}
    assert [event["step"] for event in events[1:]] == list(range(begun + 1, STEPS + 1))
    assert files_of(folder) == files_of(whole)
    assert not [path for path in Home(Path(request.home)).aside.iterdir() if path.is_dir()]


class Stopped(Exception):
    """Ends a training in the middle, and leaves what a kill leaves."""


def stop_at(step: int) -> Any:
    def tell(event: dict[str, Any]) -> None:
        if event.get("step") == step:
            raise Stopped

    return tell


def stopped(toy: Toy, root: Path, step: int, **changes: Any) -> TrainRequest:
    request = request_in(toy, root, **changes)
    with pytest.raises(Stopped):
        train(Workshop(), request, stop_at(step))
    return request


def test_a_half_written_state_is_nothing_and_the_one_before_it_counts(toy: Toy, tmp_path: Path) -> None:
    request = stopped(toy, tmp_path, 9)
    assert states_of(request) == ["000000008"]
    (states,) = Home(Path(request.home)).aside.glob(f"*/out/{FOLDER}")
    shutil.copytree(states / "000000008", states / "000000010")
    (states / "000000010" / INDEX).unlink()
    events: list[dict[str, Any]] = []
    train(Workshop(), request, events.append)
    assert events[0] == {"event": "resumed", "step": 8}


def test_a_damaged_state_is_refused_with_its_place(toy: Toy, tmp_path: Path) -> None:
    request = stopped(toy, tmp_path, 5)
    (weights,) = Home(Path(request.home)).aside.glob(f"*/out/{FOLDER}/*/*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(Refusal, match="is not as it was written"):
        train(Workshop(), request, ignore)


def test_nothing_that_could_run_code_is_written_or_read(toy: Toy, tmp_path: Path) -> None:
    """torch's own format keeps a pickle beside the tensors; ours are safetensors and JSON, and a pickle is left."""
    request = stopped(toy, tmp_path, 5)
    (states,) = Home(Path(request.home)).aside.glob(f"*/out/{FOLDER}/*")
    assert {path.suffix for path in states.iterdir()} == {".safetensors", ".json"}
    (states / ".metadata").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    train(Workshop(), request, ignore)
    assert not (tmp_path / "ran").exists()


def test_a_module_that_no_picture_has_reached_yet_has_no_moments_after_it_either(toy: Toy, tmp_path: Path) -> None:
    """Adam counts a parameter's own updates: one more or fewer would change the weights."""
    checkpoint = toy.checkpoint(("vision", "adapter", "llm"))
    mix, _ = make_mix(toy.home, "talks", list(range(3, 240, 4)))
    corpus = load_corpus(MixReader(toy.home, mix), stage(**everything()), 0, toy.workshop.tokens(checkpoint))
    assert not corpus.pictures.any()
    talks = Feed(corpus, toy.home)
    states = States(tmp_path / FOLDER, ALONE)
    first = Loop(toy.network(checkpoint), talks, RUNTIME, ignore, states=states)
    lines = list(first.run())
    assert lines
    states.save([vars(line) for line in lines], checkpoint.model, first._optimizer)
    again = toy.checkpoint(("vision", "adapter", "llm"))
    second = Loop(toy.network(again), talks, RUNTIME, ignore, states=states)
    assert list(second.run()) == lines
    named = dict(again.model.named_parameters())
    seen = {name for name, parameter in named.items() if parameter in second._optimizer.state}
    assert seen
    assert all(name.startswith(("model.language_model.", "lm_head.")) for name in seen)
    assert {float(second._optimizer.state[named[name]]["step"]) for name in seen} == {float(len(lines))}


def test_states_are_due_by_steps_or_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("trainers.resume.time.monotonic", lambda: now[0])
    states = States(tmp_path, ALONE)
    assert [states.is_due(step, Runtime(checkpoint_steps=3)) for step in (1, 2, 3, 6)] == [False, False, True, True]
    assert not states.is_due(3, Runtime(checkpoint_minutes=2))
    now[0] += 120
    assert states.is_due(3, Runtime(checkpoint_minutes=2))


def test_what_is_drawn_in_a_step_does_not_depend_on_the_steps_before(toy: Toy, tmp_path: Path) -> None:
    """As dropout does: a resumed run draws in a step what an uninterrupted one draws in it."""
    drawn: dict[int, float] = {}
    for first in (True, False):
        loop = Loop(toy.network(toy.checkpoint()), Feed(toy.corpus(toy.checkpoint()), toy.home), RUNTIME, ignore)
        plan = loop.feed.corpus.steps()
        for number in range(4) if first else (3,):
            loop._step(number, plan, next(loop.feed.steps(number)))
            value = float(torch.rand(()))
            assert drawn.setdefault(number, value) == value
    assert len(set(drawn.values())) == 4
