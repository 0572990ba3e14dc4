"""Read a mix in five lines, from a data home, a folder of published shards, or a store far away; no torch needed.

::

    from registry.mix_stream import Progress, Share, open_mix

    mix = open_mix("hf://datasets/acme/my-mix@v1")  # or s3://…, a folder of shards, a mix of a data home
    order = mix.order(seed=0)  # far away: mix.order(seed=0, together=8)
    for done, sample in mix.stream(order, Progress(epoch=0, place=0), Share(rank=0, world=1)):
        sample.messages, sample.images  # conversation in the form of TRL; bytes of each picture file

The order is a function of seed, epoch and place alone (``mix.order()`` without a seed is the mix's own). Shares are
disjoint and strided: taken in turns they are the global order, however many ranks and workers there are. ``done`` is
two integers that JSON can hold; going on from it costs as much at the end of an epoch as at its beginning. Where
every share has had its turn equally often, the greatest progress among them is that of the run, and any other number
of shares goes on from there. ``trainers.streaming`` wraps all this for torch's DataLoader.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from registry.errors import Refusal
from registry.permutation import Indices, Order
from registry.sample import Message
from registry.store import RECORD, Home

if TYPE_CHECKING:
    import pyarrow as pa

Talk = list[Message]

AHEAD = 256
"""Samples whose texts a stream reads together."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a mix, with everything that training needs."""

    position: int
    """Its place in the mix's own order."""
    id: str
    copy: int
    dataset: str
    part: str | None
    category: str
    messages: Talk
    images: list[bytes]
    """Bytes of each picture file as published, in the order of the image parts of the messages."""


class Progress(NamedTuple):
    """What is done: all places of the epoch before this one."""

    epoch: int = 0
    place: int = 0


@dataclass(frozen=True)
class Share:
    """Which places of the global order one reader takes: every ``step``-th, beginning with ``first``."""

    rank: int = 0
    world: int = 1
    worker: int = 0
    """Of the workers of this rank, which take its places in turns."""
    workers: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.world and 0 <= self.worker < self.workers):
            way = "number ranks and workers from 0"
            raise Refusal(f"share {self.rank}/{self.world}, {self.worker}/{self.workers}", "there is no such one", way)

    def places(self, start: int, stop: int) -> range:
        """The places of this share from ``start`` on. Whatever ``start`` is, the shares' places stay in turns."""
        return range(start + self.worker * self.world + self.rank, stop, self.world * self.workers)


BEGINNING, EVERYTHING = Progress(), Share()


class Mix(ABC):
    """A mix that is read by position. Any number of processes may read one, forked or started afresh."""

    name: str

    @abstractmethod
    def __len__(self) -> int:
        """Samples."""

    @abstractmethod
    def samples(self, positions: Sequence[int] | Indices) -> Iterator[Sample]:
        """The samples at these positions of the mix, in this order; Refusal for what is missing or damaged.

        Texts are read together, pictures when their sample is next: what is decoded at once is then still at hand.
        """

    def read(self, positions: Sequence[int] | Indices) -> list[Sample]:
        """``samples``, all at once."""
        return list(self.samples(positions))

    @abstractmethod
    def order(self, seed: int | None = None, together: int | None = None) -> Order:
        """The mix's own order, or one that is shuffled anew in every epoch.

        ``together`` is for shards far away: row groups are shuffled, and samples among so many of them, instead of all
        samples among one another. A mix of a data home has no row groups, and is shuffled as a whole.
        """

    def __getitem__(self, position: int) -> Sample:
        """The sample at one position."""
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of {len(self)}")
        return self.read([position])[0]

    def stream(
        self, order: Order, start: Progress = BEGINNING, share: Share = EVERYTHING, ahead: int = AHEAD
    ) -> Iterator[tuple[Progress, Sample]]:
        """The samples of one share, to the end of the epoch, each with the progress to go on from after it."""
        places = share.places(checked_start(start, order.samples, self.name).place, order.samples)
        for begin in range(0, len(places), ahead):
            these = places[begin : begin + ahead]
            found = self.samples(order.at(start.epoch, np.array(these, dtype=np.int64)))
            for place, sample in zip(these, found, strict=True):
                yield Progress(start.epoch, place + 1), sample


def checked_start(start: Progress, places: int, name: str) -> Progress:
    """``start``, or a Refusal when it is of something else."""
    if start.epoch < 0 or not 0 <= start.place <= places:
        way = "go on with the mix, and the packing, that the progress was written for"
        raise Refusal(f"mix '{name}'", f"has no place {start.place} of epoch {start.epoch}: it has {places}", way)
    return start


def open_mix(where: str | Path, home: Home | None = None, *, check: bool = False) -> Mix:
    """Open a mix for reading.

    Args:
        where: the folder of a mix in a data home or, with ``home``, its name there (``my-mix-0123456789ab``); a folder
            with published shards; an address that fsspec knows (``hf://``, ``s3://``, ``https://`` …).
        home: the data home of a mix that is given by name.
        check: compare every picture with its sha256 as it is read.
    """
    from registry.published_mix import PublishedMix
    from registry.stored_mix import StoredMix

    if isinstance(where, str) and "://" in where:
        return PublishedMix(where, check=check)
    folder = home.stage("mixes") / where if home is not None else Path(where)
    if (folder / RECORD).is_file():
        return StoredMix(home or Home(folder.resolve().parent.parent), folder, check=check)
    if folder.is_dir():
        return PublishedMix(str(folder), check=check)
    raise Refusal(str(where), "there is no such mix", "name the folder of a mix or of published shards, or an address")


def samples_of(
    positions: Indices, rows: pa.Table, texts: list[Talk], images: Iterator[list[bytes]]
) -> Iterator[Sample]:
    """Samples of the columns that all kinds of mixes have; pictures are asked for one sample after another."""
    columns = [rows.column(name).to_pylist() for name in ("id", "copy", "dataset", "part", "category")]
    return map(Sample, positions.tolist(), *columns, texts, images)
