"""One toy home, base checkpoint and workshop for all tests of this folder: tests add to them and change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.mix import MixReader
from registry.store import Home
from registry.trial import Stage
from tests.trainers.toy import base_request, ignore, make_mix, stage
from trainers.base_build import build_base
from trainers.features import Features
from trainers.forward import Network
from trainers.loader import Corpus, load_corpus
from trainers.model import Checkpoint, freeze
from trainers.workshop import Workshop


@dataclass
class Toy:
    """The toy world, ready to train in."""

    home: Home
    base: Path
    mix: tuple[str, str]
    """Folder name and content digest."""
    workshop: Workshop

    def checkpoint(self, trains: tuple[str, ...] = ("adapter", "llm")) -> Checkpoint:
        """The base as it was built."""
        found = self.workshop.checkpoint(self.base)
        freeze(found, list(stage(trains=list(trains), lr=dict.fromkeys(trains, 1e-3)).trains))
        return found

    def corpus(self, checkpoint: Checkpoint, form: Stage | None = None, seed: int = 0) -> Corpus:
        """The toy mix in tokens."""
        reader = MixReader(self.home, self.mix[0])
        return load_corpus(reader, form or stage(), seed, self.workshop.tokens(checkpoint))

    def network(self, checkpoint: Checkpoint, precision: str = "fp32") -> Network:
        """The model with this home's pictures."""
        features = Features(checkpoint, self.workshop.store(self.home).read, self.workshop.pictures)
        return Network(checkpoint, features, precision)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    root = tmp_path_factory.mktemp("toy")
    home, workshop = Home(root / "home"), Workshop()
    mix = make_mix(home, "toy", list(range(240)))
    build_base(workshop, base_request(home, root / "base", mix[0], epochs=6), ignore)
    return Toy(home, root / "base", mix, workshop)
