"""A mix through torch's DataLoader: the same batches for any workers and ranks, after kills, packed or not."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry.errors import Refusal
from registry.mix_stream import Mix, Progress, Sample, Share, open_mix
from tests.registry.mixes import Mixes
from tests.registry.test_mix_stream import copy_of
from trainers.packing import pack
from trainers.streaming import Packs, Plan, Samples, batches

SIZE = 4
# torch's advice for machines with fewer cores than workers
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 8 worker:UserWarning")
KILLS = int(os.environ.get("CURATOR_READ_KILLS", "3"))


def plan(mix: Mix, kind: str) -> Plan:
    """Samples, or packs of 100 where a sample counts 5 to 44."""
    if kind == "samples":
        return Samples(mix.order(5))
    return Packs(mix.order(5), [5 + 7 * position % 40 for position in range(len(mix))], 100)


def words(batch: list[Any]) -> list[str]:
    """Position and digest of the pictures of each sample, or of each of a pack; runs in a worker."""
    packs: list[list[Sample]] = [one if isinstance(one, list) else [one] for one in batch]
    digests = [[hashlib.sha256(b"".join(one.images)).hexdigest()[:8] for one in pack] for pack in packs]
    return [
        "+".join(f"{s.position}:{d}" for s, d in zip(*pair, strict=True)) for pair in zip(packs, digests, strict=True)
    ]


def lines(mix: Mix, kind: str, start: Progress, workers: int) -> Iterator[str]:
    """One a batch: the progress after it, then what it holds."""
    share = Share(workers=workers)
    for done, batch in batches(mix, plan(mix, kind), SIZE, start, share, collate=words):
        yield " ".join([str(done.place), *batch])


@pytest.mark.parametrize("kind", ["samples", "packs"])
def test_any_number_of_workers_gives_the_same_batches(mixes: Mixes, kind: str) -> None:
    mix = open_mix(mixes.folder)
    alone = list(lines(mix, kind, Progress(2), 1))
    assert list(lines(mix, kind, Progress(2), 2)) == alone
    assert list(lines(open_mix(mixes.shards), kind, Progress(2), 8)) == alone
    positions = [int(one.split(":")[0]) for line in alone for pack in line.split()[1:] for one in pack.split("+")]
    assert sorted(positions) == list(range(90)), "every sample once"
    assert list(lines(mix, kind, Progress(3), 1)) != alone


def test_packs_are_those_of_the_trainer_s_packing(mixes: Mixes) -> None:
    mix = open_mix(mixes.folder)
    order, lengths = mix.order(5), np.array([5 + 7 * position % 40 for position in range(90)])
    positions = order.at(1, np.arange(90))
    expected = [positions[row].tolist() for row in pack(lengths[positions], 100)]
    read: list[Any] = [one for _, batch in batches(mix, Packs(order, lengths, 100), 3, Progress(1)) for one in batch]
    assert [[sample.position for sample in one] for one in read] == expected
    assert all(lengths[row].sum() <= 100 for row in expected)


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("start", [0, 12, 85])
def test_ranks_in_turns_are_the_global_order(mixes: Mixes, world: int, start: int) -> None:
    mix = open_mix(mixes.folder)
    order = mix.order(5)
    ranks = [list(batches(mix, Samples(order), SIZE, Progress(0, start), Share(rank, world))) for rank in range(world)]
    read: list[int] = []
    for batch in range(len(ranks[0])):
        here = [found[batch] for found in ranks if batch < len(found)]
        assert len({done for done, _ in here}) == 1, "all ranks know the same progress"
        turns = itertools.zip_longest(*(samples for _, samples in here))
        read += [sample.position for turn in turns for sample in turn if sample is not None]
        assert here[0][0] == Progress(0, start + len(read))
    assert read == order.at(0, np.arange(start, 90)).tolist()


def test_even_rounds_have_the_same_number_of_full_batches(mixes: Mixes) -> None:
    mix = open_mix(mixes.folder)
    plan = Samples(mix.order(5))
    ranks = [list(batches(mix, plan, SIZE, share=Share(rank, 4), even=True)) for rank in range(4)]
    assert [[len(samples) for _, samples in found] for found in ranks] == [[SIZE] * 5] * 4
    assert all(found[-1][0] == Progress(0, 80) for found in ranks)


@pytest.mark.parametrize("kind", ["samples", "packs"])
def test_killed_and_gone_on_with_by_another_number_of_workers(mixes: Mixes, kind: str) -> None:
    """The training process and its workers; ``CURATOR_READ_KILLS=50`` for more than the few of every day."""
    expected = list(lines(open_mix(mixes.folder), kind, Progress(1), 1))
    draw = random.Random(f"{kind} {KILLS}")
    kills, read = 0, list[str]()
    while kills < KILLS or read:
        stop = draw.randint(1, len(expected)) if kills < KILLS else len(expected)
        place = int(read[-1].split()[0]) if read else 0
        where = draw.choice([mixes.folder, mixes.shards])
        read += run_and_kill(where, kind, Progress(1, place), draw.choice([1, 2, 8]), stop)
        kills += len(read) < len(expected)
        if len(read) == len(expected):
            assert read == expected
            read = []


def run_and_kill(where: Path, kind: str, start: Progress, workers: int, stop: int) -> list[str]:
    """The first lines of a run in a process of its own; then it is killed, with all its workers."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setsid()
            os.close(reading)
            with os.fdopen(writing, "w", buffering=1) as out:
                out.writelines(f"{line}\n" for line in lines(open_mix(where), kind, start, workers))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as running:
        found = [line.rstrip("\n") for line in itertools.islice(running, stop)]
        if len(found) == stop:
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_refusal_comes_out_of_a_worker_as_it_is(mixes: Mixes, tmp_path: Path, workers: int) -> None:
    mine = copy_of(mixes, tmp_path)
    mix = open_mix(mine.folder)
    (tar,) = mine.home.images.glob("*.tar")
    tar.unlink()
    with pytest.raises(Refusal, match="is missing") as refused:
        list(batches(mix, Samples(mix.order()), SIZE, share=Share(workers=workers)))
    assert refused.value.way_out.startswith("remove")


def test_lengths_that_do_not_fit_are_refused(mixes: Mixes) -> None:
    mix = open_mix(mixes.folder)
    with pytest.raises(Refusal, match="89 are given for 90 samples"):
        Packs(mix.order(), [1] * 89, 100)
    with pytest.raises(Refusal, match=r"lengths must lie in 1..100"):
        list(batches(mix, Packs(mix.order(), [101] * 90, 100), SIZE))
    with pytest.raises(Refusal, match="has no place 31"):
        list(batches(mix, Packs(mix.order(), [50] * 90, 150), SIZE, Progress(0, 31)))


def test_samples_are_what_collate_gets(mixes: Mixes) -> None:
    mix = open_mix(mixes.folder)
    (first, *_) = batches(mix, Samples(mix.order()), 2)
    assert first == (Progress(0, 2), mix.read([0, 1]))
    assert isinstance(first[1][0], Sample)
