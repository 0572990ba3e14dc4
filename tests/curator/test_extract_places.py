"""A draw is the same to the last byte wherever its files are looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curator.extract.order import Draw, Preparing, strategy
from curator.extract.sources import read_pool
from curator.extract.subsets import Request, extract
from curator.extract.wanted import Wanted, parse_bounds
from curator.runner import Place
from registry.errors import Refusal
from registry.store import Home
from tests.curator.data_home import file_bytes
from tests.curator.extract_reference import rows, write
from tests.ray_cluster import Cluster

pytestmark = pytest.mark.xdist_group("ray")
ROOT = Path(__file__).parents[2]
BOUNDS = ("similarity=0.25:", "characters=5:60")
STRATEGIES = ("hash", "balance")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with metadata in five files."""
    folder = tmp_path_factory.mktemp("work")
    write(folder / "files", rows(4000, seed=5), files=5, group=200)
    return folder


@pytest.fixture(scope="module")
def alone(work: Path) -> dict[str, dict[str, bytes]]:
    """Strategy -> the bytes of what one process draws."""
    drawn = {}
    for name in STRATEGIES:
        home = Home(work / f"alone-{name}")
        asked = Request("t", {"20": 20, "500": 500}, Wanted(parse_bounds(BOUNDS)), Draw(name))
        drawn[name] = file_bytes(extract(home, asked, read_pool(sorted((work / "files").iterdir()))).folder)
    return drawn


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("on", ["local", "ray"])
def test_the_command_draws_the_same_bytes_at_every_place(
    on: str, strategy: str, work: Path, alone: dict[str, dict[str, bytes]], ray_cluster: Cluster
) -> None:
    """As a process in another folder than its workers', so that its relative pattern means nothing to them."""
    home = work / f"{on}-{strategy}"
    command = [sys.executable, "-m", "curator", "extract", "t", "--source", "files/*.parquet", "--sizes", "20,500"]
    command += [part for text in BOUNDS for part in ("--bound", text)]
    command += ["--draw", strategy, "--workers", "2", "--home", str(home)]
    command += ["--on", "ray", "--address", ray_cluster.address] if on == "ray" else []
    subprocess.run(command, cwd=work, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    (folder,) = (home / "draws").iterdir()
    assert file_bytes(folder) == alone[strategy]
    assert list((home / "downloads").iterdir()) == []


def test_a_file_that_a_worker_does_not_see_is_named(work: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "files", rows(900), files=3)
    pool = read_pool(sorted(folder.iterdir()))
    home = Home(tmp_path / "home")
    asked = Request("t", {"50": 50}, Wanted({}), Draw("balance"))  # its first pass follows the look at some rows
    look = asked.look(pool)
    gone = pool.tables[-1].path
    gone.unlink()
    with pytest.raises(Refusal, match=rf"{gone}.*is not there on the machine"):
        strategy(asked.draw).prepare(Preparing(pool, 50, home.path, Place(2), lambda _rows: None), look)
