"""Figures of a run in real TensorBoard files, a real trackio store and real W&B files; nothing shows up twice."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry.errors import Refusal
from registry.trial import Tracker
from trainers import tracking
from trainers.tracking import Run, tracked

CODE = """
import json, sys
from pathlib import Path
from trainers.tracking import Run, tracked
tracker, folder, done, last = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
with tracked(tracker, Run("sft-mix-s0-0123456789ab", folder, {"seed": 3}, done)) as track:
    for step in range(done + 1, last + 1):
        track(step, {"loss": 10.0 / step, "rate": step / 10})
"""


def python_with(library: str) -> str:
    """An interpreter that has a library: this one, or the one that is named in the environment."""
    named = os.environ.get(f"CURATOR_{library.upper()}_PYTHON")
    if named is None and importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}")
    return named or sys.executable


def run(tracker: str, folder: Path, done: int, last: int, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python_with(tracker), "-c", CODE, tracker, str(folder), str(done), str(last)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_without_a_tracker_nothing_is_written(tmp_path: Path) -> None:
    with tracked(None, Run("x", tmp_path / "x")) as track:
        track(1, {"loss": 1.0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tracker", ["tensorboard", "trackio", "wandb"])
def test_a_library_that_is_not_there_is_refused_with_the_extra_to_install(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _name: None)
    with pytest.raises(Refusal, match="is not installed") as refusal, tracked(tracker, Run("x", tmp_path / "x")):
        pass
    assert f"vlm-curator[{tracker}]" in refusal.value.way_out
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_shows_each_step_once_after_a_run_was_gone_on_with(tmp_path: Path) -> None:
    reader: Any = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for done, last, factor in ((0, 7, 1.0), (4, 10, 2.0)):  # killed after 7, its last checkpoint was of step 4
        with tracked("tensorboard", Run("x", tmp_path / "run", done=done)) as track:
            for step in range(done + 1, last + 1):
                track(step, {"loss": factor * step})
    events = reader.EventAccumulator(str(tmp_path / "run")).Reload().Scalars("loss")
    assert [event.step for event in events] == list(range(1, 11))
    assert [event.value for event in events] == [1, 2, 3, 4, 10, 12, 14, 16, 18, 20]


def test_trackio_has_each_step_once_after_a_run_was_gone_on_with(tmp_path: Path) -> None:
    places = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    run("trackio", tmp_path / "x", 0, 7, **places)
    run("trackio", tmp_path / "x", 4, 10, **places)
    code = (
        "import json; from trackio.sqlite_storage import SQLiteStorage as s;"
        "print(json.dumps(s.get_logs('vlm-curator', 'sft-mix-s0-0123456789ab')))"
    )
    shown = subprocess.run(
        [python_with("trackio"), "-c", code], env={**os.environ, **places}, capture_output=True, text=True, check=True
    )
    logs = json.loads(shown.stdout.splitlines()[-1])
    assert [line["step"] for line in logs] == list(range(1, 11))
    assert [line["loss"] for line in logs] == pytest.approx([10 / step for step in range(1, 11)])


def test_wandb_writes_each_step_and_no_key(tmp_path: Path) -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    done = run("wandb", tmp_path / "x", 0, 5, WANDB_MODE="offline", WANDB_API_KEY=key, WANDB_SILENT="true")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = [path for path in files if path.suffix == ".wandb"]
    assert len(written) == 1
    assert written[0].read_bytes().count(b"loss") >= 5
    assert not [path for path in files if key.encode() in path.read_bytes()]
    assert key not in done.stdout + done.stderr


def test_a_failure_to_begin_is_a_refusal_that_repeats_nothing_of_what_the_library_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_run: Run) -> tracking.Begun:
        raise KeyError("api key 0123 is wrong")

    monkeypatch.setattr(tracking, "_tensorboard", fails)
    with pytest.raises(Refusal, match="cannot begin") as refusal, tracked("tensorboard", Run("x", tmp_path / "x")):
        pass
    assert "0123" not in str(refusal.value)
