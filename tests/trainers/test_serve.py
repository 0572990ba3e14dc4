"""The service: one event a line, every mistake answered, nothing heavy before it is needed, no orphan."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.trainers.conftest import Toy
from tests.trainers.toy import base_request, train_request
from trainers.serve import Server

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def answers(*lines: str) -> list[dict[str, object]]:
    out = io.StringIO()
    Server(out).run(lines)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_request_is_answered_with_progress_and_done(toy: Toy) -> None:
    request = train_request(toy.home, toy.base, toy.mix, "served", seed=31).model_copy(update={"id": 4})
    events = answers(request.model_dump_json(), "\n", request.model_dump_json())
    assert {event["id"] for event in events} == {4}
    assert [event["event"] for event in events[-2:]] == ["done", "done"]
    assert [event["cached"] for event in events[-2:]] == [False, True]
    assert events[0]["event"] == "progress"
    assert str(events[-1]["folder"]).startswith("served-")


def test_scores_and_bases_are_served(toy: Toy, tmp_path: Path) -> None:
    base = base_request(toy.home, tmp_path / "base", toy.mix[0])
    score = {"id": 8, "do": "score", "home": str(toy.home.path), "trial": "x", "benchmark": "mme", "table": "t"}
    events = answers(base.model_dump_json(), json.dumps({**score, "rules": "2024-05"}))
    assert events[-2]["event"] == "done"
    assert len(str(events[-2]["digest"])) == 64
    assert (events[-1]["id"], events[-1]["event"]) == (8, "refused")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "is not JSON"),
        ("[1]", "cannot do None"),
        ('{"id": 1, "do": "trian"}', "did you mean 'train'"),
        ('{"id": 1, "do": "score", "home": "x"}', "Field required"),
        ('{"id": 1, "do": "train", "home": "x", "surplus": 1}', ""),
    ],
)
def test_a_mistake_is_refused_and_the_service_goes_on(line: str, says: str) -> None:
    events = answers(line, line)
    assert [event["event"] for event in events] == ["refused", "refused"]
    assert says in f"{events[0]['where']} {events[0]['what']}"
    assert events[0]["way_out"]


def test_help_needs_no_torch() -> None:
    code = "import sys; from trainers.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'transformers', 'tokenizers', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_ends_with_its_input_and_prints_events_only() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainers", "serve"],
        input='{"id": 3, "do": "dance"}\n',
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["refused"]


def test_it_ends_when_the_one_that_started_it_dies(tmp_path: Path) -> None:
    """The input stays open (we hold its other end), as it does when a sibling inherited it."""
    read, write = os.pipe()
    code = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "trainers", "serve"], stdin={read}, stdout=subprocess.PIPE, text=True)
os.write({write}, b'{{"id": 1}}\\n')
child.stdout.readline()
print(child.pid, flush=True)
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=ENVIRONMENT,
        pass_fds=(read, write),
    )
    number = int(done.stdout)
    deadline = time.monotonic() + 20
    while _alive(number) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.close(write)
    os.close(read)
    assert not _alive(number)


def _alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
