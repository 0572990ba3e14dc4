"""What Megatron-Energon looks for: an index of each tar, and three small files. Its own reader: tests/consumers."""

from __future__ import annotations

import json
import struct
import tarfile
from pathlib import Path

from tests.curator.exports.conftest import Awkward, Export


def test_the_index_says_where_each_sample_begins(exported: Export, tmp_path: Path) -> None:
    exported("energon", 20_000)
    tars = sorted((tmp_path / "energon").glob("*.tar"))
    assert len(tars) > 2
    for path in tars:
        data = path.with_suffix(".tar.idx").read_bytes()
        found = struct.unpack(f"<{len(data) // 8}Q", data)
        with tarfile.open(path) as tar:
            begins = [member.offset for member in tar if member.name.endswith(".json")]
            assert found == (*begins, tar.offset)


def test_the_metadata_names_every_shard_with_its_samples(awkward: Awkward, exported: Export, tmp_path: Path) -> None:
    exported("energon", 20_000)
    meta = tmp_path / "energon" / ".nv-meta"
    counts = json.loads((meta / ".info.json").read_text())["shard_counts"]
    assert sum(counts.values()) == len(awkward.rows)
    assert list(counts) == sorted(path.name for path in (tmp_path / "energon").glob("*.tar"))
    split = json.loads((meta / "split.yaml").read_text())
    assert split["split_parts"] == {"train": list(counts), "val": [], "test": []}
    assert json.loads((meta / "dataset.yaml").read_text()) == {
        "__module__": "megatron.energon",
        "__class__": "CrudeWebdataset",
    }
