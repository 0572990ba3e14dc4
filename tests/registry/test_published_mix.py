"""Published shards as a mix: from a folder, a store, a Hub; damaged, incomplete, or written otherwise."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]  # ships none
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.destination import Destination
from curator.export import published_schema
from curator.publication import publish
from curator.publish import MixWish, plan_mix
from registry import ranges
from registry.errors import Refusal
from registry.mix_stream import Progress, open_mix
from registry.published_mix import PublishedMix
from tests.hub.faults import Fault
from tests.hub.server import WRITE_TOKEN, Hub
from tests.registry.mixes import Mixes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def far(mixes: Mixes) -> Iterator[str]:
    """The shards in a store of fsspec's own."""
    store = fsspec.filesystem("memory")
    store.put(str(mixes.shards), "/published", recursive=True)
    yield "memory://published"
    store.rm("/published", recursive=True)


def test_a_folder_and_a_store_give_what_the_home_gives(mixes: Mixes, far: str) -> None:
    stored = open_mix(mixes.folder).read(range(90))
    assert open_mix(mixes.shards, check=True).read(range(90)) == stored
    assert open_mix(far, check=True).read(range(90)) == stored


def test_the_same_order_wherever_it_lies(mixes: Mixes, far: str) -> None:
    there = [open_mix(where) for where in (mixes.folder, mixes.shards, far)]
    read = [[sample.id for _, sample in mix.stream(mix.order(3))] for mix in there]
    assert read[0] == read[1] == read[2]


class Counting(ranges.RangedFile):
    """Counts what is asked for."""

    asked: list[tuple[str, int, int]] = []  # noqa: RUF012 - of all files together

    def between(self, start: int, stop: int) -> bytes:
        self.asked.append((self.where, start, stop))
        return super().between(start, stop)


def counted(mix: Any) -> list[tuple[str, int, int]]:
    """Make a mix's files count what is asked of them from now on."""
    for shard in mix._shards:
        object.__setattr__(shard, "file", Counting(shard.file.where, shard.file.size))
    Counting.asked.clear()
    return Counting.asked


def test_far_away_every_row_group_comes_once_in_one_piece(far: str) -> None:
    mix = open_mix(far)
    asked = counted(mix)
    assert len(list(mix.stream(mix.order(2, together=2), ahead=10))) == 90
    groups = len(mix._groups)  # type: ignore[attr-defined]  # of this kind of mix
    assert len(asked) == len(set(asked)) == groups == 6


def test_memory_bounds_the_open_row_groups(far: str) -> None:
    mix = PublishedMix(far, memory=1)
    asked = counted(mix)
    whole = [sample.id for _, sample in mix.stream(mix.order(2, together=1), ahead=10)]
    assert len(mix._open) == 1
    assert len(asked) >= 6
    assert whole == [sample.id for _, sample in open_mix(far).stream(mix.order(2, together=1))]


def test_a_process_that_is_started_afresh_opens_its_own(mixes: Mixes) -> None:
    for where in (mixes.shards, mixes.folder):
        mix = open_mix(where, check=True)
        assert copy.copy(mix).read([5, 80]) == mix.read([5, 80])


def test_a_missing_shard_is_found_by_the_positions(mixes: Mixes, tmp_path: Path) -> None:
    shards = shutil.copytree(mixes.shards, tmp_path / "shards")
    gone = sorted(shards.iterdir())[2]
    positions = pq.read_table(gone, columns=["position"]).column("position").to_pylist()
    gone.unlink()
    with pytest.raises(Refusal, match=f"position {min(positions)} of the mix is nowhere in these 4 shards"):
        open_mix(shards)
    (shards / "again.parquet").write_bytes(min(mixes.shards.iterdir()).read_bytes())
    gone.write_bytes((mixes.shards / gone.name).read_bytes())
    with pytest.raises(Refusal, match=r"is more than once in these 6 shards"):
        open_mix(shards)


def test_the_last_shard_missing_is_found_too(mixes: Mixes, tmp_path: Path) -> None:
    """Where the positions that are there have no gap: their number is short of the greatest."""
    table = pa.concat_tables(pq.read_table(path) for path in sorted(mixes.shards.iterdir())).sort_by("position")
    pq.write_table(table.slice(10), tmp_path / "end.parquet", compression="none", use_dictionary=False)
    with pytest.raises(Refusal, match="position 0 of the mix is nowhere"):
        open_mix(tmp_path)


@pytest.mark.parametrize("cut", [3, 300, 20_000])
def test_a_shard_that_is_cut_off_is_refused(mixes: Mixes, tmp_path: Path, cut: int) -> None:
    shards = shutil.copytree(mixes.shards, tmp_path / "shards")
    path = sorted(shards.iterdir())[1]
    os.truncate(path, path.stat().st_size - cut)
    with pytest.raises(Refusal, match="cannot be read as a shard"):
        open_mix(shards)


def test_a_shard_cut_off_while_it_is_read_is_refused(mixes: Mixes, tmp_path: Path) -> None:
    shards = shutil.copytree(mixes.shards, tmp_path / "shards")
    mix = open_mix(shards)
    assert mix.read(range(90))
    for path in shards.iterdir():
        os.truncate(path, 1000)
    with pytest.raises(Refusal, match="is cut off"):
        mix.read(range(90))


def test_whatever_byte_is_changed_there_is_an_answer_or_a_refusal(mixes: Mixes, tmp_path: Path) -> None:
    shards = shutil.copytree(mixes.shards, tmp_path / "shards")
    path = sorted(shards.iterdir())[1]
    data = path.read_bytes()
    draw = np.random.default_rng(3)
    spots = [*draw.integers(0, len(data), 60).tolist(), *draw.integers(len(data) - 9000, len(data), 60).tolist()]
    refused = 0
    for spot in spots:
        path.write_bytes(data[:spot] + bytes([data[spot] ^ int(draw.integers(1, 256))]) + data[spot + 1 :])
        try:
            assert len(open_mix(shards).read(range(90))) == 90
        except Refusal:
            refused += 1
    assert 0 < refused < len(spots)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"compression": "snappy", "use_dictionary": False}, "its pictures are compressed"),
        ({"compression": "none", "use_dictionary": True}, "its pictures are compressed"),
        ({"compression": "none", "use_dictionary": False, "column_encoding": "DELTA_LENGTH_BYTE_ARRAY"}, "are encoded"),
    ],
)
def test_pictures_that_are_written_otherwise_are_refused(
    mixes: Mixes, tmp_path: Path, written: dict[str, Any], said: str
) -> None:
    table = pa.concat_tables(pq.read_table(path) for path in sorted(mixes.shards.iterdir()))
    if "column_encoding" in written:
        written = {**written, "column_encoding": {"images.list.element.bytes": written["column_encoding"]}}
    pq.write_table(table, tmp_path / "all.parquet", **written)
    with pytest.raises(Refusal, match=said):
        open_mix(tmp_path)[0]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("group", [1, 7, 1000])
def test_both_kinds_of_pages_and_any_row_groups(mixes: Mixes, tmp_path: Path, version: str, group: int) -> None:
    table = pa.concat_tables(pq.read_table(path) for path in sorted(mixes.shards.iterdir()))
    settings = {"use_dictionary": False, "data_page_version": version, "data_page_size": 5000, "row_group_size": group}
    pq.write_table(table, tmp_path / "all.parquet", compression="none", **settings)
    assert open_mix(tmp_path, check=True).read(range(90)) == open_mix(mixes.folder).read(range(90))


def test_other_parquet_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="has no parquet shards"):
        open_mix(tmp_path)
    pq.write_table(pa.table({"position": [0], "text": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(Refusal, match="no shard of a published mix: it lacks copy, dataset, id"):
        open_mix(tmp_path)


def test_several_pictures_none_and_empty_ones(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": f"{number}",
            "copy": 0,
            "dataset": "d",
            "part": None,
            "category": "c",
            "position": number,
            "source_id": "",
        }
        | {"images": [{"bytes": bytes([number]) * size, "path": "x.png"} for size in sizes], "messages": []}
        for number, sizes in enumerate([[], [5, 0, 7], [], [], [1], [70_000, 3]])
    ]
    table = pa.Table.from_pylist(rows, schema=published_schema())
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False, row_group_size=4)
    found = open_mix(tmp_path).read(range(6))
    assert [sample.images for sample in found] == [[image["bytes"] for image in row["images"]] for row in rows]
    rows[4]["images"] = [{"bytes": None, "path": "x.png"}]
    table = pa.Table.from_pylist(rows, schema=published_schema())
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False)
    with pytest.raises(Refusal, match="has 5 pictures for 6 places"):
        open_mix(tmp_path)[0]


READ = """
import hashlib, sys
from registry.mix_stream import Progress, Share, open_mix
mix = open_mix(sys.argv[1], check=True)
for _, sample in mix.stream(mix.order(3, together=2), Progress(0, 40)):
    print(sample.position, sample.id, hashlib.sha256(b"".join(sample.images)).hexdigest())
"""


@pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
def test_a_hub_that_fails_now_and_then(
    mixes: Mixes, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: str
) -> None:
    """In a process of its own, as the Hub's client reads its address once."""
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    wish = MixWish("acme/read", shard_bytes=100_000)
    to = Destination("acme/read", hub.url, list[str]().append, attempts=3, first_wait_s=0.01)
    done = publish(mixes.home, plan_mix(mixes.home, mixes.folder, wish, to), to)
    environment = {**os.environ, **hub.environment(tmp_path)}

    def read(where: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", READ, where]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    there = open_mix(far)
    expected = [sample.id for _, sample in there.stream(there.order(3, together=2), Progress(0, 40))]
    fault = Fault("GET /*/resolve/*.parquet", "drop", times=2, skip=8, after_bytes=2000)
    with hub.fault(fault):
        ran = read(f"hf://datasets/acme/read@{done.tag}/data")
    assert ran.returncode == 0, ran.stderr
    assert fault.hits == 2
    assert [row.split()[1] for row in ran.stdout.splitlines()] == expected
    gone = read("hf://datasets/acme/absent")
    assert "cannot be read" in gone.stderr
