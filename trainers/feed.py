"""The steps of a run, prepared ahead: tokens put together and pictures decoded by worker processes.

What a step holds is decided by ``Corpus.steps`` before any of it is read, so the number of workers changes nothing,
and a run goes on at any step without reading what came before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from registry.images import ImageStore
from registry.mix_stream import EVERYTHING, Share
from registry.store import Home
from trainers.balance import LLAVA, Work
from trainers.loader import Corpus, Rows, Step
from trainers.picture import PictureSettings, square
from trainers.streaming import ahead


@dataclass(frozen=True)
class Feed:
    """Where the steps of one rank come from."""

    corpus: Corpus
    home: Home
    pictures: PictureSettings | None = None
    """How pictures are decoded ahead; None = the model's own cache decodes each when it is needed."""
    share: Share = EVERYTHING
    """This rank, of how many, and how many workers prepare for it (``worker`` itself is torch's affair)."""
    work: Work = LLAVA
    """What rows cost, so that ranks have equally much to do."""
    by_length: bool = False
    pinned: bool = False
    """Pictures in memory that a GPU reads by itself."""

    def steps(self, start: int = 0, workers: int = 0) -> Iterator[Step]:
        """What this rank has to do in each step, from ``start`` on, to the end of the run.

        A step of fewer rows than ranks has nothing for some of them: an empty ``Step``.
        """
        plan, rank, world = self.corpus.steps(), self.share.rank, self.share.world
        wanted = (self.corpus.share(plan[number], rank, world, self.work) for number in range(start, len(plan)))
        return ahead(_Maker(self), wanted, workers, pinned=self.pinned)


class _Maker:
    """Makes steps of their rows, in a worker."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._store = ImageStore(feed.home) if feed.pictures else None

    def __reduce__(self) -> Any:
        """A process that is started afresh opens files of its own."""
        return _Maker, (self._feed,)

    def __call__(self, rows: Rows) -> Step:
        step = self._feed.corpus.batch(rows, by_length=self._feed.by_length)
        settings = self._feed.pictures
        if self._store is None or settings is None or not step.images:
            return step
        store = self._store
        squares = [square(store.read(image), settings, f"image {image[:12]}") for image in dict.fromkeys(step.images)]
        return replace(step, squares=torch.from_numpy(np.stack(squares)))
