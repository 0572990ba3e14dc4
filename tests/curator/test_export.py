"""A mix as parquet: nothing is lost, the bytes are the same each time, pictures are checked."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curator.export import Exporter, SampleTexts, Slice, features, published_schema
from curator.mix import build_mix
from registry.errors import Refusal
from registry.images import ImageStore
from registry.mix import MixReader
from registry.recipe import Recipe, RecipePart
from registry.store import Home
from tests.curator.publish_home import add_pictures, add_sums, make_home

Made = tuple[Home, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_home(tmp_path_factory.mktemp("export"))


@pytest.fixture
def exporter(made: Made) -> Iterator[Exporter]:
    opened = Exporter(made[0], MixReader(*made))
    yield opened
    opened.close()


@pytest.fixture
def small_shards(made: Made) -> Iterator[Exporter]:
    opened = Exporter(made[0], MixReader(*made), 100_000)
    yield opened
    opened.close()


def test_all_rows_once_with_conversations_and_pictures(made: Made, small_shards: Exporter, tmp_path: Path) -> None:
    exporter = small_shards
    parts = exporter.slices()
    assert len(parts) > 2
    tables = []
    for number, part in enumerate(parts):
        shard = exporter.write(tmp_path / f"{number}.parquet", part)
        data = (tmp_path / f"{number}.parquet").read_bytes()
        assert (shard.size, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert shard.rows == part.stop - part.start
        tables += pq.read_table(tmp_path / f"{number}.parquet").to_pylist()

    rows = sorted(tables, key=lambda row: row["position"])
    reader = MixReader(*made)
    references = reader.rows()
    assert [row["position"] for row in rows] == list(range(len(reader)))
    assert [row["id"] for row in rows] == references.column("id").to_pylist()
    assert [row["copy"] for row in rows] == references.column("copy").to_pylist()
    assert [row["messages"] for row in rows] == reader.messages(references)
    for row, images in zip(rows, references.column("images").to_pylist(), strict=True):
        digests = [hashlib.sha256(image["bytes"]).hexdigest() for image in row["images"]]
        assert digests == [image["sha256"] for image in images]
        assert [image["path"] for image in row["images"]] == [f"{digest}.png" for digest in digests]
    assert {row["source_id"] for row in rows if row["dataset"] == "sums"} <= {f"s{n}" for n in range(30)}


def test_the_content_digest_is_that_of_the_published_rows(made: Made, exporter: Exporter, tmp_path: Path) -> None:
    (part,) = exporter.slices()
    exporter.write(tmp_path / "all.parquet", part)
    columns = pq.read_table(tmp_path / "all.parquet", columns=["position", "id"]).to_pydict()
    rows = sorted(zip(columns["position"], columns["id"], strict=True))
    text = "".join(f"{identity}\n" for _, identity in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == MixReader(*made).info.content_digest


def test_another_home_gives_the_same_bytes(made: Made, small_shards: Exporter, tmp_path: Path) -> None:
    home, folder = make_home(tmp_path)
    other = Exporter(home, MixReader(home, folder), 100_000)
    slices = small_shards.slices()
    assert other.slices() == slices
    for number, part in enumerate(slices):
        one, two = tmp_path / f"one-{number}.parquet", tmp_path / f"two-{number}.parquet"
        assert small_shards.write(one, part) == other.write(two, part)
        assert one.read_bytes() == two.read_bytes()
    other.close()


def test_how_the_file_is_laid_out(exporter: Exporter, tmp_path: Path) -> None:
    (part,) = exporter.slices()
    exporter.write(tmp_path / "all.parquet", part)
    written = pq.read_metadata(tmp_path / "all.parquet")
    columns = {column.path_in_schema: column for column in map(written.row_group(0).column, range(written.num_columns))}
    picture, text = columns["images.list.element.bytes"], columns["id"]
    assert (picture.compression, text.compression) == ("UNCOMPRESSED", "ZSTD")
    assert (picture.is_stats_set, text.is_stats_set, text.has_column_index) == (False, True, True)
    assert picture.has_offset_index, "a reader can fetch the page of one picture"
    assert "min_chunk_size" in json.loads(written.metadata[b"content_defined_chunking"])
    assert json.loads(written.metadata[b"huggingface"])["info"]["features"] == features()


def test_the_schema_is_what_datasets_makes_of_the_features() -> None:
    datasets = pytest.importorskip("datasets")
    theirs = datasets.Features.from_dict(features())
    assert theirs.arrow_schema.remove_metadata().equals(published_schema().remove_metadata())
    assert isinstance(theirs["images"].feature, datasets.Image)


def test_slices_cover_the_mix_and_hold_a_row_at_least(made: Made, small_shards: Exporter) -> None:
    tiny = Exporter(made[0], MixReader(*made), 1)
    assert [part.stop - part.start for part in tiny.slices()] == [1] * 90
    tiny.close()
    parts = small_shards.slices()
    assert (parts[0].start, parts[-1].stop) == (0, 90)
    assert all(one.stop == two.start for one, two in itertools.pairwise(parts))
    assert all(part.estimate <= 100_000 for part in parts)


def test_pictures_are_counted_by_dataset(exporter: Exporter) -> None:
    assert exporter.pictures() == {"shapes": 80}


def test_what_is_added_or_dropped_leaves_the_rest_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of a dataset stay the same when another comes before them, and when some of its own rows go."""
    rows = 128
    monkeypatch.setattr("curator.export.GROUP_ROWS", rows)
    home = Home(tmp_path / "home")
    add_sums(home, tmp_path / "source", 8 * rows)
    add_pictures(home, tmp_path / "source", "before", 3)

    def groups(name: str, *parts: RecipePart, seed: int = 7) -> list[tuple[str, ...]]:
        folder, _ = build_mix(home, Recipe(name=name, seed=seed, parts=list(parts)))
        exporter = Exporter(home, MixReader(home, folder))
        exporter.write(tmp_path / "all.parquet", exporter.slices()[0])
        exporter.close()
        with pq.ParquetFile(tmp_path / "all.parquet") as file:
            return [tuple(file.read_row_group(n, ["id"])["id"].to_pylist()) for n in range(file.num_row_groups)]

    sums = groups("alone", RecipePart(dataset="sums"))
    assert len(sums) > 8
    assert all(rows <= 2 * len(group) <= 2 * rows for group in sums[:-1])
    both = groups("joined", RecipePart(dataset="before"), RecipePart(dataset="sums"))
    assert len(both[0]) == 3
    assert both[1:] == sums
    fewer = [groups("fewer", RecipePart(dataset="sums", choose=8 * rows - 1), seed=seed) for seed in range(5)]
    changed = sorted(len(set(sums) - set(one)) for one in fewer)
    assert changed[2] <= 2, "one row less changes the row group it was in, and seldom those behind it"


def test_texts_come_in_any_order(made: Made) -> None:
    reader = MixReader(*made)
    rows = reader.rows()
    backwards = rows.take(list(range(len(reader) - 1, -1, -1)))
    texts = SampleTexts(made[0]).of(backwards)
    assert texts.column("id").to_pylist() == backwards.column("id").to_pylist()
    assert texts.column("messages").to_pylist() == reader.messages(backwards)


def test_samples_that_are_gone_or_others_are_refused(tmp_path: Path) -> None:
    home, folder = make_home(tmp_path, pictures=4, sums=12)
    rows = MixReader(home, folder).rows()
    wrong = rows.set_column(rows.schema.get_field_index("id"), "id", [["0" * 32] * rows.num_rows])
    with pytest.raises(Refusal, match="not those that the mix was built from"):
        SampleTexts(home).of(wrong)
    for file in home.stage("samples").glob("sums@*/part-*.parquet"):
        file.unlink()
    with pytest.raises(Refusal, match=r"not here[^$]*pull 'sums' again"):
        SampleTexts(home).of(rows)


def test_a_damaged_picture_is_refused(tmp_path: Path) -> None:
    home, folder = make_home(tmp_path, pictures=4, sums=12)
    store = ImageStore(home)
    shown = [one for images in MixReader(home, folder).rows().column("images").to_pylist() for one in images]
    place = store.locate(shown[0]["sha256"])
    store.close()
    shard = home.images / f"{place.shard}.tar"
    data = bytearray(shard.read_bytes())
    data[place.offset + 50] ^= 1
    shard.write_bytes(data)
    exporter = Exporter(home, MixReader(home, folder))
    with pytest.raises(Refusal, match="is damaged"):
        exporter.write(tmp_path / "x.parquet", Slice(0, 18, 0))
    exporter.close()
