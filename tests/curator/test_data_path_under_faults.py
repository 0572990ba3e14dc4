"""Killed runs, concurrent runs and damaged files on the way from rows to a mix."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from curator.measure import measure
from curator.mix import build_mix
from curator.normalise import normalise
from curator.pull import offer_from_folder, pull
from curator.samples import find_samples
from registry.card import load_card
from registry.errors import Refusal
from registry.recipe import Recipe
from registry.store import Home
from tests.curator.data_home import captions, file_bytes, write_card, write_parquet

ROOT = Path(__file__).parents[2]
STEPS = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from curator import measure as measuring, mix, normalise as normalising
    from curator.pull import offer_from_folder, pull
    from curator.samples import find_samples
    from registry.card import load_card
    from registry.recipe import Recipe
    from registry.store import Home

    home, source, step = Home(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    def stop(*_):
        print("here", flush=True)
        time.sleep(60)
    card = load_card("pics", home)
    if step == "normalise":
        normalising.EARLY_ROWS, normalising._ROWS_TOLD = 10, 10
        normalising.normalise(home, card, pull(home, offer_from_folder(card, source)).folder, advance=stop)
    if step == "measure":
        measuring.measure(home, find_samples(home, "pics"), "blank_image", stop)
    if step == "mix":
        mix._write_rows = stop
        mix.build_mix(home, Recipe.model_validate({"name": "m", "parts": [{"dataset": "pics"}]}))
""")
MIX = Recipe.model_validate({"name": "m", "parts": [{"dataset": "pics"}]})


def all_steps(home: Home, source: Path) -> None:
    card = load_card("pics", home)
    normalise(home, card, pull(home, offer_from_folder(card, source)).folder)
    measure(home, find_samples(home, "pics"), "blank_image")
    build_mix(home, MIX)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "pics" / "train.parquet", captions(30))
    return tmp_path / "pics"


def new_home(path: Path) -> Home:
    home = Home(path)
    write_card(home, "pics", format="caption_pairs")
    return home


def start(home: Home, source: Path, step: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", STEPS, str(home.path), str(source), step]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ})


def test_killed_at_every_step_it_ends_as_if_nothing_had_happened(source: Path, tmp_path: Path) -> None:
    quiet, killed = new_home(tmp_path / "quiet"), new_home(tmp_path / "killed")
    all_steps(quiet, source)
    for step in ("normalise", "measure", "mix"):
        if step != "normalise":  # the step before is finished undisturbed
            card = load_card("pics", killed)
            normalise(killed, card, pull(killed, offer_from_folder(card, source)).folder)
        with start(killed, source, step) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
            process.send_signal(signal.SIGKILL)
    assert killed.finished("mixes") == []
    all_steps(killed, source)
    for stage in ("raw", "samples", "measures", "mixes"):
        assert file_bytes(killed.stage(stage)) == file_bytes(quiet.stage(stage)), stage
    assert [path for path in killed.aside.iterdir() if path.is_dir()] == []


def test_two_at_once_make_the_same_thing_once(source: Path, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    script = STEPS.replace("def stop(*_):", "def stop(*_):\n    return\ndef unused():")
    command = [sys.executable, "-c", script, str(home.path), str(source), "normalise"]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told[-2000:]
    assert len(home.finished("samples")) == len(home.finished("raw")) == 1
    all_steps(home, source)
    quiet = new_home(tmp_path / "quiet")
    all_steps(quiet, source)
    assert file_bytes(home.stage("mixes")) == file_bytes(quiet.stage("mixes"))


def test_pictures_that_are_gone_are_noticed_and_put_back_by_pulling_again(source: Path, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    all_steps(home, source)
    before = file_bytes(home.stage("samples"))
    shutil.rmtree(home.images)
    shutil.rmtree(home.stage("measures"))
    with pytest.raises(Refusal, match="pull its dataset again"):
        measure(home, find_samples(home, "pics"), "blank_image")
    card = load_card("pics", home)
    raw = pull(home, offer_from_folder(card, source)).folder
    assert normalise(home, card, raw).restored
    assert not normalise(home, card, raw).restored
    assert file_bytes(home.stage("samples")) == before
    measure(home, find_samples(home, "pics"), "blank_image")
