from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curator.demo import world as module
from curator.demo.benchmarks import TABLES
from curator.demo.datasets import SHAPES, write_dataset
from curator.demo.world import write_world
from registry.errors import Refusal

SIZES = (20, 80, 20)


def content(folder: Path) -> dict[str, str]:
    """Relative path -> digest of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "world"
    write_world(folder, 3, *SIZES)
    return folder


def test_a_world_is_its_datasets_and_its_tables(whole: Path) -> None:
    assert {path.name for path in (whole / "datasets").iterdir()} == set(SHAPES)
    assert {path.stem for path in (whole / "benchmarks").iterdir()} == set(TABLES)


def test_equal_seeds_and_sizes_give_equal_bytes(whole: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "again", 3, *SIZES)
    assert content(tmp_path / "again") == content(whole)


def test_another_seed_gives_other_pictures_everywhere(whole: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "other", 4, *SIZES)
    here, there = content(whole), content(tmp_path / "other")
    assert here.keys() == there.keys()
    assert not set(here.values()) & set(there.values())


def test_more_samples_begin_with_the_same_ones(whole: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "larger", 3, 30, 80, 20)
    small, large = content(whole), content(tmp_path / "larger")
    kept = [path for path in small if path.startswith("datasets/demo-positions/images/")]
    assert len(kept) == 20
    assert all(small[path] == large[path] for path in kept)


def test_a_run_that_fails_half_way_goes_on(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, folder = write_dataset, tmp_path / "world"

    def fails(aside: Path, name: str, seed: int, sizes: dict[str, int]) -> None:
        real(aside, name, seed, sizes)
        if name == "demo-wrong":
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_dataset", fails)
    with pytest.raises(KeyboardInterrupt):
        write_world(folder, 3, *SIZES)
    assert not (folder / "datasets" / "demo-wrong").exists()
    monkeypatch.setattr(module, "write_dataset", real)
    write_world(folder, 3, *SIZES)
    assert content(folder) == content(whole)


def test_a_killed_run_goes_on(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "world"
    program = "import sys, pathlib, curator.demo.world as w; w.write_world(pathlib.Path(sys.argv[1]), 3, 20, 80, 20)"
    child = subprocess.Popen([sys.executable, "-c", program, str(folder)])
    deadline = time.monotonic() + 60
    while not (folder / "datasets" / "demo-shapes").is_dir() and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    write_world(folder, 3, *SIZES)
    assert content(folder) == content(whole)


def test_a_finished_world_is_left_alone(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(whole)
    monkeypatch.setattr(module, "write_dataset", None)
    monkeypatch.setattr(module, "table_bytes", None)
    write_world(whole, 3, *SIZES)
    assert content(whole) == before


@pytest.mark.parametrize(
    ("seed", "sizes", "said"), [(4, SIZES, "seed: 3 -> 4"), (3, (21, 80, 20), "candidate: 20 -> 21")]
)
def test_another_world_is_not_taken_for_this_one(
    whole: Path, seed: int, sizes: tuple[int, int, int], said: str
) -> None:
    before = content(whole)
    with pytest.raises(Refusal, match=said):
        write_world(whole, seed, *sizes)
    assert content(whole) == before


def test_a_damaged_note_is_refused(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(Refusal, match="damaged"):
        write_world(tmp_path, 3, *SIZES)
