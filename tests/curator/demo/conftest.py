"""One small demo world for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.demo.run import install
from curator.demo.world import write_world
from curator.normalise import Normalised, normalise
from curator.pull import offer_from_folder, pull
from registry.card import load_card
from registry.discovery import names
from registry.store import Home

SEED = 5
CANDIDATE, BASELINE, PRETRAIN = 60, 400, 80


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "world"
    write_world(folder, SEED, CANDIDATE, BASELINE, PRETRAIN)
    return folder


@pytest.fixture(scope="session")
def home(world: Path) -> Home:
    """A data home with the demo's cards, recipes and tables."""
    opened = Home(world.parent / "home")
    install(opened, world)
    return opened


@pytest.fixture(scope="session")
def samples(world: Path, home: Home) -> dict[str, Normalised]:
    """Every dataset, pulled from its published files and normalised by its card."""
    made = {}
    for name in names(home.cards, ".yaml"):
        card = load_card(name, home)
        raw = pull(home, offer_from_folder(card, world / "datasets" / name))
        made[name] = normalise(home, card, raw.folder)
    return made
