"""An export that is killed over and over is never half there, and ends with the bytes of one that was left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from curator.exporting.run import export, form_names, plan_export
from registry.store import Home
from tests.curator.export_home import make_awkward


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    return make_awkward(tmp_path_factory.mktemp("kills"), chats=2)


def contents(folder: Path) -> dict[str, bytes]:
    """Path -> bytes of every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", form_names())
def test_killed_at_many_instants_the_bytes_are_the_same(form: str, made: tuple[Home, Path], tmp_path: Path) -> None:
    home, mix = made
    export(plan_export(home, mix, form, tmp_path / "calm", 20_000))
    place = tmp_path / "places" / "killed"
    command = [sys.executable, "-m", "tests.faults.export_kills", str(home.path), str(mix), form, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["deaths"] > 12
    assert contents(place) == contents(tmp_path / "calm")
    assert [path.name for path in place.parent.iterdir()] == ["killed"], "nothing is left beside it"
