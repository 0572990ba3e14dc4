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
    at_once: int = 0
    """Rows that are computed together; 0 = all of a rank's rows of a step."""
    by_length: bool = False
    pinned: bool = False
    """Pictures in memory that a GPU reads by itself."""

    def steps(self, start: int = 0, workers: int = 0) -> Iterator[list[Step]]:
        """What this rank has to do in each step, from ``start`` on, to the end of the run, in parts.

        All ranks have equally many parts: where a rank has no row left, the part is empty.
        """
        plan = self.corpus.steps()
        wanted = (self._parts(plan[number]) for number in range(start, len(plan)))
        return ahead(_Maker(self), wanted, workers, pinned=self.pinned)

    def _parts(self, rows: Rows) -> list[Rows]:
        """This rank's rows of a step, as many at a time as are computed together."""
        mine = self.corpus.share(rows, self.share.rank, self.share.world, self.work)
        most = -(-len(rows) // self.share.world)
        return [mine[first : first + (self.at_once or most)] for first in range(0, most, self.at_once or most)]


class _Maker:
    """Makes steps of their rows, in a worker."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._store = ImageStore(feed.home) if feed.pictures else None

    def __reduce__(self) -> Any:
        """A process that is started afresh opens files of its own."""
        return _Maker, (self._feed,)

    def __call__(self, parts: list[Rows]) -> list[Step]:
        return [self._part(rows) for rows in parts]

    def _part(self, rows: Rows) -> Step:
        step = self._feed.corpus.batch(rows, by_length=self._feed.by_length)
        settings = self._feed.pictures
        if self._store is None or settings is None or not step.images:
            return step
        store = self._store
        squares = [square(store.read(image), settings, f"image {image[:12]}") for image in dict.fromkeys(step.images)]
        return replace(step, squares=torch.from_numpy(np.stack(squares)))
