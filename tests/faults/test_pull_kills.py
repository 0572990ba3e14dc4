"""``curator pull`` from a Hub is killed with -9 at random instants, with real processes, and ends as if undisturbed."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from registry.store import Home
from tests.curator.data_home import captions, write_card, write_parquet
from tests.hub.server import Hub

ROOT = Path(__file__).parents[2]
FILES, ROWS = 4, 250
KILLS = int(os.environ.get("CURATOR_PULL_KILLS", "4"))


@pytest.fixture
def repository(hub: Hub, tmp_path: Path) -> str:
    """A thousand pictures in four files."""
    published = {}
    for number in range(FILES):
        path = write_parquet(tmp_path / f"{number}.parquet", captions(ROWS, start=number * ROWS))
        published[f"data/train-{number:05d}-of-{FILES:05d}.parquet"] = path.read_bytes()
    hub.seed("acme/many-pictures", published)
    return "acme/many-pictures"


def start(home: Home, hub: Hub) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "curator", "pull", "many", "--home", str(home.path)]
    environment = {**os.environ, **hub.environment(home.path / "cache")}
    with (home.path / "told").open("w") as told:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=told)


def finished(process: subprocess.Popen[bytes], home: Home) -> bool:
    """Wait for the end; what the command said is shown when it was not 0."""
    status = process.wait(240)
    assert status == 0, (home.path / "told").read_text()
    return True


def digests(home: Home) -> dict[str, str]:
    """Path -> sha256 of what a pull makes."""
    return {
        path.relative_to(home.path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for stage in ("raw", "samples")
        for path in sorted(home.stage(stage).rglob("*"))
        if path.is_file()
    }


def test_a_pull_killed_at_random_instants_ends_with_the_same_bytes(repository: str, hub: Hub, tmp_path: Path) -> None:
    quiet, killed = Home(tmp_path / "quiet"), Home(tmp_path / "killed")
    for home in (quiet, killed):
        write_card(home, "many", format="caption_pairs", source={"hub_repo": repository, "splits": ["train"]})
    begun = time.monotonic()
    assert finished(start(quiet, hub), quiet)
    seconds = time.monotonic() - begun
    chance, hits = random.Random(1), 0
    for _ in range(KILLS):
        process = start(killed, hub)
        try:
            process.wait(chance.uniform(0.2, 0.95) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            hits += 1
        half = [path for path in killed.stage("samples").glob("*") if not (path / "record.json").is_file()]
        assert half == [], "a half made folder is visible"
    assert hits, "no kill came in time"
    assert finished(start(killed, hub), killed)
    assert digests(killed) == digests(quiet)
    ends = time.monotonic() + 20
    while [path.name for path in killed.aside.iterdir()] != [".lock"]:  # what a killed run's last process had made late
        assert time.monotonic() < ends, list(killed.aside.iterdir())
        time.sleep(0.1)
        killed.sweep()
    images = [sorted(path.name for path in home.images.glob("*.tar")) for home in (quiet, killed)]
    assert images[0] == images[1]
