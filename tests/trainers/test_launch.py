"""The whole way: the command, a cluster's task, the trainer, torch's launcher, two processes; and what they refuse."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from registry.store import Home
from registry.trial import Runtime
from tests.trainers.conftest import Toy
from tests.trainers.toy import ignore, stage, train_request
from trainers.__main__ import main
from trainers.launch import launch
from trainers.serve import Server
from trainers.train import LOG, train
from trainers.workshop import Workshop


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / LOG).read_text().splitlines()]


def test_two_processes_of_a_clusters_task_train_what_one_trains_here(toy: Toy, tmp_path: Path) -> None:
    shutil.copytree(toy.home.path, tmp_path / "home", ignore=shutil.ignore_patterns("trials", "aside"))
    scale = {"name": "toy", "title": "toy", "base": str(toy.base), "sft": stage().model_dump(mode="json")}
    (tmp_path / "scale.yaml").write_text(yaml.safe_dump(scale))
    command = [sys.executable, "-m", "curator", "train", toy.mix[0], "--scale", str(tmp_path / "scale.yaml"), "--json"]
    command += ["--device", "cpu", "--processes", "2", "--home", str(tmp_path / "home")]
    done = subprocess.run(
        [*command, "--on", "slurm", "--address", "local"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["processes"], told["parallel"]) == (2, "ddp")
    one, _ = train(Workshop(), train_request(toy.home, toy.base, toy.mix, "one", seed=0), ignore)
    assert Path(told["path"]).name.rpartition("-")[2] == one.name.rpartition("-")[2], "how it is run is not what it is"
    assert losses(Path(told["path"])) == pytest.approx(losses(one), rel=2e-5)
    assert not [path for path in Home(tmp_path / "home").aside.iterdir() if path.is_dir()]


def test_several_machines_are_started_by_torchrun_alone(toy: Toy) -> None:
    request = train_request(toy.home, toy.base, toy.mix, "far", seed=99)
    request = request.model_copy(update={"runtime": Runtime(processes=2, nodes=2, parallel="fsdp")})
    out = io.StringIO()
    Server(out).answer(request.model_dump_json())
    event = json.loads(out.getvalue())
    assert (event["event"], event["what"]) == ("refused", "is for 2 machines, this is one")
    assert "torchrun" in event["way_out"]


def test_what_a_launcher_started_must_be_as_many_as_the_request_says(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    request = train_request(toy.home, toy.base, toy.mix, "far", seed=99)
    request = request.model_copy(update={"runtime": Runtime(processes=2, parallel="fsdp")})
    (tmp_path / "request.json").write_text(request.model_dump_json())
    monkeypatch.setattr("trainers.serve.die_with_parent", lambda: None)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the process says there how its libraries should behave
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert main(["train", str(tmp_path / "request.json")]) == 1
    event = json.loads(capsys.readouterr().out)
    assert "was started as 3 processes, the request is for 2" in event["what"]
    assert main(["train", str(tmp_path / "absent.json")]) == 1


def test_a_process_that_dies_is_told_with_its_number(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from registry.errors import Refusal

    request = train_request(toy.home, toy.base, toy.mix, "dies", seed=98)
    request = request.model_copy(update={"runtime": Runtime(processes=2, parallel="ddp")})
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    monkeypatch.setattr("trainers.launch.sys.executable", "/bin/false")
    with pytest.raises(Refusal, match=r"process \d of 2 ended with status 1"):
        launch(request)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
