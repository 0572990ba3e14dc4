"""Tars are read by webdataset, and by tarfile as webdataset describes them; their bytes say nothing of the machine."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import pytest

from tests.consumers.load import read_by
from tests.curator.export_home import Wanted
from tests.curator.exports.conftest import Awkward, Export


def check_row(row: dict[str, bytes], wanted: Wanted) -> None:
    """The files of one key, without the key."""
    said = json.loads(row.pop("json"))
    assert {name: said[name] for name in wanted.origin} == wanted.origin
    assert said["messages"] == wanted.messages
    assert [row[name] for name in sorted(row)] == wanted.pictures
    several = [f"{number}.jpg" for number in range(len(wanted.pictures))]
    assert sorted(row) == (several if len(wanted.pictures) > 1 else [n.removeprefix("0.") for n in sorted(row)])


def test_every_row_in_order_by_tarfile(awkward: Awkward, exported: Export, tmp_path: Path) -> None:
    exported("webdataset", 20_000)
    shards = sorted((tmp_path / "webdataset").glob("train-*.tar"))
    assert len(shards) > 2
    found: dict[str, dict[str, bytes]] = {}
    for shard in shards:
        assert shard.stat().st_size % tarfile.RECORDSIZE == 0
        with tarfile.open(shard) as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)
                file = tar.extractfile(member)
                assert file is not None
                key, _, name = member.name.partition(".")
                found.setdefault(key, {})[name] = file.read()
    assert list(found) == sorted(found)
    for (key, row), wanted in zip(found.items(), awkward.rows, strict=True):
        assert int(key) == wanted.position
        check_row(row, wanted)


def test_webdataset_reads_every_row(awkward: Awkward, exported: Export, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    exported("webdataset", 20_000)
    assert read_by(sys.executable, "webdataset", tmp_path / "webdataset", awkward.rows)["rows"] == len(awkward.rows)
