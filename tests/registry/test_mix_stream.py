"""Reading a mix: what comes, in which order, whoever reads it, and going on after a kill."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from registry.errors import Refusal
from registry.images import ImageStore
from registry.mix import MixReader
from registry.mix_stream import Mix, Progress, Share, open_mix
from registry.store import Home
from tests.registry.mixes import Mixes, make_mixes
from tests.registry.read_mix import line

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("CURATOR_READ_KILLS", "3"))
TURNS = [(1, 1), (1, 2), (1, 8), (2, 1), (4, 2)]
"""Ranks, and workers of each."""


def test_a_stored_mix_gives_what_its_rows_name(mixes: Mixes) -> None:
    reader, store = MixReader(mixes.home, mixes.folder), ImageStore(mixes.home)
    rows, mix = reader.rows(), open_mix(mixes.folder)
    assert len(mix) == 90
    found = mix.read(range(90))
    assert [sample.position for sample in found] == list(range(90))
    for name in ("id", "copy", "dataset", "part", "category"):
        assert [getattr(sample, name) for sample in found] == rows.column(name).to_pylist()
    assert [sample.messages for sample in found] == reader.messages(rows)
    shown = rows.column("images").to_pylist()
    assert [sample.images for sample in found] == [[store.read(one["sha256"]) for one in images] for images in shown]
    assert {len(sample.images) for sample in found} == {0, 1}


def test_a_home_knows_its_mixes_by_name(mixes: Mixes) -> None:
    assert open_mix(mixes.folder.name, mixes.home)[7] == open_mix(mixes.folder)[7]
    with pytest.raises(Refusal, match="there is no such mix"):
        open_mix("none-012345678901", mixes.home)


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_any_positions_in_any_order_and_more_than_once(mixes: Mixes, kind: str) -> None:
    mix = open_mix(getattr(mixes, kind))
    whole = mix.read(range(90))
    wanted = [89, 0, 3, 3, 40, 89]
    assert mix.read(wanted) == [whole[position] for position in wanted]
    assert mix[41] == whole[41]
    assert mix.read([]) == []
    with pytest.raises(IndexError):
        mix[90]


@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("start", [0, 1, 17, 89, 90])
def test_shares_in_turns_are_the_global_order(mixes: Mixes, seed: int | None, start: int) -> None:
    mix = open_mix(mixes.folder)
    order = mix.order(seed)
    expected = order.at(2, np.arange(start, 90)).tolist()
    for world, workers in TURNS:
        shares = [Share(turn % world, world, turn // world, workers) for turn in range(world * workers)]
        read = [list(mix.stream(order, Progress(2, start), share, ahead=5)) for share in shares]
        turns = [one for found in itertools.zip_longest(*read) for one in found if one is not None]
        assert [sample.position for _, sample in turns] == expected
        assert [done for done, _ in turns] == [Progress(2, place + 1) for place in range(start, 90)]


def test_progress_goes_through_json_and_on(mixes: Mixes) -> None:
    mix = open_mix(mixes.shards)
    order = mix.order(1)
    whole = [sample.id for _, sample in mix.stream(order, Progress(3))]
    stream = mix.stream(order, Progress(3))
    done = [next(stream)[0] for _ in range(33)][-1]
    again = Progress(*json.loads(json.dumps(done)))
    assert [sample.id for _, sample in mix.stream(order, again)] == whole[33:]


@pytest.mark.parametrize("start", [Progress(0, 91), Progress(0, -1), Progress(-1, 0)])
def test_progress_of_something_else_is_refused(mixes: Mixes, start: Progress) -> None:
    mix = open_mix(mixes.folder)
    with pytest.raises(Refusal, match="has no place"):
        next(mix.stream(mix.order(), start))


def test_a_share_that_there_is_not_is_refused() -> None:
    for wrong in ((2, 2, 0, 1), (0, 1, 3, 3), (-1, 1, 0, 1)):
        with pytest.raises(Refusal, match="there is no such one"):
            Share(*wrong)


def read_in_processes(where: Path, start: Progress, turns: tuple[int, int], stop: int) -> list[str]:
    """Lines of real processes, all killed once ``stop`` lines have come."""
    numbers = map(str, (5, *start, *turns))
    command = [sys.executable, "-m", "tests.registry.read_mix", str(where), *numbers]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
        assert running.stdout is not None
        lines = list(itertools.islice(running.stdout, stop))
        if start.place + len(lines) < 90:
            os.killpg(running.pid, signal.SIGKILL)
        assert running.wait() in {0, -signal.SIGKILL}
    return lines


def order_hash(lines: list[str]) -> str:
    """A digest of what was read, in its order."""
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_killed_and_gone_on_with_by_other_numbers_of_processes(mixes: Mixes) -> None:
    """``CURATOR_READ_KILLS=50`` for more than the few of every day."""
    mix = open_mix(mixes.folder)
    stream = mix.stream(mix.order(5), Progress(1))
    expected = order_hash([line(done.place - 1, one.position, one.id, one.images) for done, one in stream])
    draw = random.Random(KILLS)
    kills, lines = 0, list[str]()
    while kills < KILLS or lines:
        stop = draw.randint(1, 60) if kills < KILLS else 90
        where = draw.choice([mixes.folder, mixes.shards])
        lines += read_in_processes(where, Progress(1, len(lines)), draw.choice(TURNS), stop)
        kills += len(lines) < 90
        if len(lines) == 90:
            assert order_hash(lines) == expected
            lines = []


def copy_of(mixes: Mixes, root: Path) -> Mixes:
    """The same, to be damaged."""
    home = shutil.copytree(mixes.home.path, root / "home")
    shards = shutil.copytree(mixes.shards, root / "shards")
    return Mixes(Home(home), home / "mixes" / mixes.folder.name, shards)


def flip(path: Path, what: bytes) -> None:
    """Change one byte in the middle of ``what`` where the file has it."""
    data = bytearray(path.read_bytes())
    place = data.index(what) + len(what) // 2
    data[place] ^= 1
    path.write_bytes(data)


def first_picture(mix: Mix) -> tuple[int, bytes]:
    """Position and bytes of the first sample with a picture."""
    sample = next(sample for sample in mix.read(range(90)) if sample.images)
    return sample.position, sample.images[0]


def pictures_of(mixes: Mixes, position: int) -> list[bytes]:
    """The pictures of a sample."""
    return open_mix(mixes.folder)[position].images


def test_a_changed_picture_is_found_by_who_asks(mixes: Mixes, tmp_path: Path) -> None:
    mine = copy_of(mixes, tmp_path)
    position, data = first_picture(open_mix(mixes.folder))
    (tar,) = mine.home.images.glob("*.tar")
    flip(tar, data)
    shard = next(path for path in sorted(mine.shards.iterdir()) if data in path.read_bytes())
    flip(shard, data)
    for where in (mine.folder, mine.shards):
        assert open_mix(where)[position].images[0] != data
        checking = open_mix(where, check=True)
        with pytest.raises(Refusal, match=r"picture [0-9a-f]{12} is damaged"):
            checking[position]
        assert checking[next(n for n in range(90) if not pictures_of(mixes, n))].images == []


def test_missing_files_are_named(mixes: Mixes, tmp_path: Path) -> None:
    mine = copy_of(mixes, tmp_path)
    position, _ = first_picture(open_mix(mixes.folder))
    mix = open_mix(mine.folder)
    (tar,) = mine.home.images.glob("*.tar")
    tar.unlink()
    with pytest.raises(Refusal, match=r"\.tar: is missing"):
        mix[position]
    with pytest.raises(Refusal, match="is not in the image store"):
        open_mix(mine.folder)[position]
    shutil.rmtree(mine.home.stage("samples"))
    with pytest.raises(Refusal, match="the mix refers to samples that are not here"):
        open_mix(mine.folder)[0]


def test_the_home_of_a_test_is_made_once(mixes: Mixes, tmp_path: Path) -> None:
    """The same recipe in another home: the same samples in the same order."""
    other = make_mixes(tmp_path)
    assert open_mix(other.folder).read(range(90)) == open_mix(mixes.folder).read(range(90))
