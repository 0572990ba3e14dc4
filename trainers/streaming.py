"""A mix for a training loop of any kind, through torch's own DataLoader: the same batches whatever reads them.

::

    mix = open_mix("hf://datasets/acme/my-mix@v1")
    plan = Samples(mix.order(seed=0))  # or Packs(mix.order(seed=0), lengths, capacity=4096)
    for done, batch in batches(mix, plan, size=8, start=Progress(), share=Share(rank, world, workers=4)):
        ...  # batch: a list of samples (of packs: a list of lists); done: two integers for the checkpoint

What stands where is decided by seed, epoch and place in the process that trains; workers only fetch. So their number
may change, or they may be killed, and the run goes on from ``done`` as if nothing had been, with another number of
ranks as well. torch fetches ahead: ``done`` counts what was handed over, never what waits in a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from torch.utils.data import DataLoader, Dataset

from registry.errors import Refusal
from registry.mix_stream import BEGINNING, EVERYTHING, Mix, Progress, Share, checked_start
from registry.permutation import Indices, Order
from trainers.packing import pack

Wanted = list[int] | list[Indices]
"""Positions of the samples, or of the packs, of a batch."""
Collate = Callable[[list[Any]], Any]
Asked = TypeVar("Asked")
Made = TypeVar("Made")


class Plan(Protocol):
    """What stands at each place of an epoch."""

    def places(self, epoch: int) -> int:
        """How many places the epoch has."""

    def positions(self, epoch: int, places: Indices) -> Wanted:
        """For each of these places the position of its sample, or those of its pack."""


class Samples:
    """One sample at each place."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def places(self, epoch: int) -> int:  # noqa: ARG002 - every epoch has all samples
        """As ``Plan.places``."""
        return self._order.samples

    def positions(self, epoch: int, places: Indices) -> list[int]:
        """As ``Plan.positions``."""
        found: list[int] = self._order.at(epoch, places).tolist()
        return found


class Packs:
    """Whole samples packed into rows of ``capacity`` tokens, in about the order of the epoch.

    The packing of an epoch depends on the order and the lengths alone. It is made anew when an epoch is begun or gone
    on with, without reading a sample: a run that was killed goes on with the very next pack.
    """

    def __init__(self, order: Order, lengths: Sequence[int] | Indices, capacity: int) -> None:
        if len(lengths) != order.samples:
            way = "give the tokens of every sample, by position"
            raise Refusal("lengths", f"{len(lengths):,} are given for {order.samples:,} samples", way)
        self._order = order
        self._lengths = np.asarray(lengths, np.int64)
        self._capacity = capacity
        self._made: tuple[int, Indices, Indices] | None = None

    def places(self, epoch: int) -> int:
        """As ``Plan.places``."""
        return len(self._packed(epoch)[1]) - 1

    def positions(self, epoch: int, places: Indices) -> list[Indices]:
        """As ``Plan.positions``."""
        order, bounds = self._packed(epoch)
        return [order[bounds[place] : bounds[place + 1]] for place in places]

    def _packed(self, epoch: int) -> tuple[Indices, Indices]:
        """Positions, pack after pack, and where each pack begins."""
        if self._made is None or self._made[0] != epoch:
            order = self._order.at(epoch, np.arange(self._order.samples))
            try:
                packs = pack(self._lengths[order], self._capacity)
            except ValueError as error:
                raise Refusal(
                    "lengths", str(error), "leave such samples out by a filter, or raise the capacity"
                ) from None
            bounds = np.cumsum([0, *map(len, packs)])
            self._made = epoch, order[np.concatenate([np.empty(0, np.int64), *packs])], bounds
        return self._made[1], self._made[2]


def batches(
    mix: Mix,
    plan: Plan,
    size: int,
    start: Progress = BEGINNING,
    share: Share = EVERYTHING,
    *,
    even: bool = False,
    collate: Collate = list,
) -> Iterator[tuple[Progress, Any]]:
    """The batches of one rank, to the end of the epoch, each with the progress of all ranks after it.

    Args:
        mix: what is read.
        plan: what stands where.
        size: places in a batch of one rank.
        start: what is done already.
        share: this rank, of how many, and how many workers read for it (``worker`` itself is torch's affair).
        even: leave out a last round of batches that is not full for every rank, as data-parallel training needs it.
        collate: makes of a list of samples (or packs) what the batch is; runs in the worker.
    """
    places = plan.places(start.epoch)
    checked_start(start, places, mix.name)
    ends = (end for end, _ in _rounds(start.place, places, size, share, even))
    wanted = (plan.positions(start.epoch, found) for _, found in _rounds(start.place, places, size, share, even))
    # one worker is this process: another would only copy what it reads
    workers = share.workers if share.workers > 1 else 0
    for end, batch in zip(ends, ahead(_Fetched(mix, collate), wanted, workers), strict=True):
        yield Progress(start.epoch, end), batch


def ahead(
    prepare: Callable[[Asked], Made], wanted: Iterable[Asked], workers: int, *, pinned: bool = False
) -> Iterator[Made]:
    """What ``prepare`` makes of each thing that is wanted, in their order, made ahead by other processes.

    Args:
        prepare: runs in a worker; a Refusal of it is raised here, when it is its turn.
        wanted: what is asked for, a batch at a time.
        workers: processes; 0 = this one, and nothing ahead.
        pinned: hand tensors over in memory that a GPU reads by itself.
    """
    loader: DataLoader[Any] = DataLoader(
        _Prepared(prepare), batch_sampler=_Once(wanted), num_workers=workers, collate_fn=_as_it_is, pin_memory=pinned
    )
    try:
        for made in loader:
            if isinstance(made, Refusal):
                raise made
            yield made
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        what = "one ended before its time, most likely for want of memory"
        way = "give the machine (or container) more memory and shared memory (/dev/shm), or use fewer workers"
        raise Refusal("loader workers", what, way) from error


def _rounds(start: int, places: int, size: int, share: Share, even: bool) -> Iterator[tuple[int, Indices]]:
    """Where each round of all ranks ends, and the places of this one in it."""
    together = size * share.world
    for begin in range(start, places, together):
        end = min(begin + together, places)
        mine = np.arange(begin + share.rank, end, share.world)
        if len(mine) and not (even and end < begin + together):
            yield end, mine


@dataclass(frozen=True)
class _Fetched:
    """Reads the samples, or packs of samples, at positions of a mix, and makes a batch of them."""

    mix: Mix
    collate: Collate

    def __call__(self, wanted: Wanted) -> Any:
        counts = [1 if isinstance(one, int) else len(one) for one in wanted]
        positions = np.concatenate([np.atleast_1d(np.asarray(one, np.int64)) for one in wanted])
        samples = iter(self.mix.read(positions))
        packs = [[next(samples) for _ in range(count)] for count in counts]
        return self.collate(
            [pack[0] if isinstance(one, int) else pack for one, pack in zip(wanted, packs, strict=True)]
        )


class _Prepared(Dataset[Any]):
    """Makes what it is told to. A refusal is handed on as a value: torch would lose what it says."""

    def __init__(self, prepare: Callable[[Any], Any]) -> None:
        self._prepare = prepare

    def __getitems__(self, wanted: Any) -> Any:
        try:
            return self._prepare(wanted)
        except Refusal as refusal:
            return refusal


class _Once:
    """A batch sampler that has its batches already."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches)


def _as_it_is(made: Any) -> Any:
    """What a worker made is a batch already."""
    return made
