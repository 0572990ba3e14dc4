"""One mix of a data home and its published shards, for tests that read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from curator.export import Exporter
from registry.mix import MixReader
from registry.store import Home
from tests.curator.publish_home import make_home


@dataclass(frozen=True)
class Mixes:
    """The mix `both` of 90 samples, 80 of them with a picture, in its home and as five shards."""

    home: Home
    folder: Path
    shards: Path


def make_mixes(root: Path) -> Mixes:
    """Pull, build and export."""
    home, folder = make_home(root)
    shards = root / "shards"
    shards.mkdir()
    exporter = Exporter(home, MixReader(home, folder), 100_000)
    for number, part in enumerate(exporter.slices()):
        exporter.write(shards / f"train-{number:05d}-of-00005.parquet", part)
    exporter.close()
    return Mixes(home, folder, shards)


@pytest.fixture(scope="session")
def mixes(tmp_path_factory: pytest.TempPathFactory) -> Mixes:
    """Nobody changes these."""
    return make_mixes(tmp_path_factory.mktemp("mixes"))
