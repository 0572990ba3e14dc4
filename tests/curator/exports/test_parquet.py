"""Parquet is read by `datasets` from the folder alone, and has every row of the mix."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.curator.exports.conftest import Awkward, Export


def test_datasets_reads_every_row(awkward: Awkward, exported: Export, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    assert exported("parquet").rows == len(awkward.rows)
    loaded = datasets.load_dataset(str(tmp_path / "parquet"), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(loaded.features["images"].feature, datasets.Image)
    assert {image.size for row in loaded for image in row["images"]} == {(16, 12), (40, 30)}
    plain = loaded.cast_column("images", datasets.List(datasets.Image(decode=False)))
    for row, wanted in zip(sorted(plain, key=lambda row: row["position"]), awkward.rows, strict=True):
        assert {name: row[name] for name in wanted.origin} == wanted.origin
        assert [image["bytes"] for image in row["images"]] == wanted.pictures
        content = [[{k: v for k, v in part.items() if v is not None} for part in m["content"]] for m in row["messages"]]
        assert content == [message["content"] for message in wanted.messages]


def test_rows_are_those_of_a_publication_and_pages_are_small(exported: Export, tmp_path: Path) -> None:
    exported("parquet", 1)
    files = sorted((tmp_path / "parquet" / "data").iterdir())
    assert len(files) == 20, "a shard holds a row at least"
    about = pq.read_metadata(files[0])
    assert b"content_defined_chunking" not in about.metadata
    columns = [about.row_group(0).column(number) for number in range(about.num_columns)]
    [picture] = [column for column in columns if column.path_in_schema == "images.list.element.bytes"]
    assert (picture.compression, picture.has_offset_index) == ("UNCOMPRESSED", True)
