"""A mix as parquet shards that hold everything: conversations in the canonical form, pictures as bytes.

The rows lie grouped by dataset, in the order of its samples, and not in the order of the mix; the column
``position`` is that order. Row groups begin where a dataset begins or an id says so, shards are whole row groups,
and pages are cut by content. So what a new version of a mix adds or drops leaves the bytes around it as they were,
and a store that keeps equal chunks once needs room for the new rows alone.

Equal mixes give equal bytes (with the same pyarrow), so a shard that was uploaded before a run was killed is
recognised by its digest and not sent again. Beside the references, one row group is in memory at a time.

For one's own disk the same rows and row groups are written at three times the speed: pages are cut by size, and
pictures are checked by checksum. What is published has pages cut by content, and every digest is computed again.
"""

from __future__ import annotations

import bisect
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.damage import damage_refused
from registry.errors import Refusal
from registry.identity import file_digest
from registry.images import ImageStore
from registry.mix import MixReader
from registry.sample import message_type
from registry.store import Home

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

EXPORT_VERSION = 1
"""Raised whenever the published rows of a given mix change."""

SHARD_BYTES = 512 << 20
GROUP_BYTES = 48 << 20
GROUP_ROWS = 8192
"""A row group holds between half of these and all of them, but for the last one of a dataset."""
_ONE_IN = 16
"""Past the half, one row in this many begins the next row group: by its id, so that later rows have no say."""

TEXT_BYTES = 2048
"""What a row's conversation is taken to weigh where shards are cut; the mix itself knows the pictures' bytes only."""

PAGE_ROWS = 16
"""Rows after which the size of a page is looked at: a picture is fetched with at most as many others."""

_CHUNKS = {"min_chunk_size": 256 << 10, "max_chunk_size": 1 << 20, "norm_level": 0}
"""The Hub's own cutting, so that chunks agree with what other writers of the Hub upload."""

_NAMES = ("id", "dataset", "part", "category", "source_id")
_NUMBERS = ("copy", "position")
_CONTENT = "messages.list.element.content.list.element"
_REPEATING = ("dataset", "part", "category", "messages.list.element.role", f"{_CONTENT}.type")
_PICTURE = "images.list.element.bytes"
_TEXT = ("images.list.element.path", "messages.list.element.role", f"{_CONTENT}.type", f"{_CONTENT}.text")
_EXTENSIONS = {b"\x89PNG": "png", b"\xff\xd8": "jpg", b"RIFF": "webp", b"GIF8": "gif", b"BM": "bmp"}


@dataclass(frozen=True)
class Slice:
    """Rows [start, stop) of an export that go into one shard, and about how many bytes they are."""

    start: int
    stop: int
    estimate: int


@dataclass(frozen=True)
class Shard:
    """One written shard: rows, bytes of the file, bytes of its columns before compression, sha256 of the file."""

    rows: int
    size: int
    content: int
    sha256: str

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def features() -> dict[str, Any]:
    """The columns as `datasets` names them. Lists are written in the form that its old and new versions both read."""
    text = {"dtype": "string", "_type": "Value"}
    content = [{"type": text, "text": text}]
    return {
        **dict.fromkeys(_NAMES, text),
        "copy": {"dtype": "int32", "_type": "Value"},
        "position": {"dtype": "int64", "_type": "Value"},
        "images": [{"_type": "Image"}],
        "messages": [{"role": text, "content": content}],
    }


def published_schema() -> pa.Schema:
    """The columns of a published shard; the metadata makes `datasets` decode `images` as pictures."""
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields: list[Any] = [(name, pa.string()) for name in _NAMES]
    fields += [("copy", pa.int32()), ("position", pa.int64())]
    fields += [("images", pa.list_(image)), ("messages", pa.list_(message_type()))]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features()}})})


class Exporter:
    """Writes the shards of one mix, each of about `shard_bytes` bytes, `publishing` it or for one's own disk."""

    def __init__(
        self, home: Home, reader: MixReader, shard_bytes: int = SHARD_BYTES, *, publishing: bool = True
    ) -> None:
        self._shard_bytes = shard_bytes
        self._publishing = publishing
        self._room = np.empty(0, np.uint8)
        """Where the pictures of a row group are gathered: touched again and again, it costs a page fault once."""
        self._group_bytes = min(shard_bytes, GROUP_BYTES)
        self.images = ImageStore(home)
        self._texts = SampleTexts(home)
        self._rows = grouped_rows(reader)

    def close(self) -> None:
        """Give file descriptors back."""
        self.images.close()

    def pictures(self) -> dict[str, int]:
        """Dataset -> pictures its rows show, copies counted; datasets without any are left out."""
        import pyarrow as pa
        import pyarrow.compute as pc

        shown = pc.list_value_length(self._rows.column("images"))
        rows = pa.table({"dataset": self._rows.column("dataset"), "pictures": shown})
        counted = rows.group_by("dataset", use_threads=False).aggregate([("pictures", "sum")])
        pairs = zip(counted.column("dataset").to_pylist(), counted.column("pictures_sum").to_pylist(), strict=True)
        return {dataset: count for dataset, count in pairs if count}

    def slices(self) -> list[Slice]:
        """Where shards are cut: as many row groups as fit, one at least. Refusal for a picture that is not here."""
        found: list[Slice] = []
        for group in self._groups(0, self._rows.num_rows):
            if found and found[-1].estimate + group.estimate <= self._shard_bytes:
                found[-1] = Slice(found[-1].start, group.stop, found[-1].estimate + group.estimate)
            else:
                found.append(group)
        return found

    def write(self, path: Path, part: Slice) -> Shard:
        """One shard, and what a publication says of it."""
        import pyarrow.parquet as pq

        self.write_rows(path, part)
        written = pq.read_metadata(path)
        content = sum(written.row_group(index).total_byte_size for index in range(written.num_row_groups))
        return Shard(written.num_rows, path.stat().st_size, content, file_digest(path))

    def write_rows(self, path: Path, part: Slice) -> None:
        """One shard."""
        import pyarrow.parquet as pq

        schema = published_schema()
        with pq.ParquetWriter(path, schema, **_writer_settings(by_content=self._publishing)) as writer:
            for group in self._groups(part.start, part.stop):
                count = group.stop - group.start
                writer.write_table(self._filled(self._rows.slice(group.start, count), schema), row_group_size=count)
            if self._publishing:
                writer.add_key_value_metadata({"content_defined_chunking": json.dumps(_CHUNKS)})

    def _groups(self, start: int, stop: int) -> Iterator[Slice]:
        """Row groups of the rows [start, stop), which begin with one of them."""
        first, weight, before = start, 0, None
        for index, (dataset, identity, weighs) in enumerate(self._weighed(start, stop), start):
            added = TEXT_BYTES + weighs
            if index > first and (
                dataset != before
                or index - first == GROUP_ROWS
                or weight + added > self._group_bytes
                or (self._is_half(index - first, weight) and int(identity[-8:], 16) % _ONE_IN == 0)
            ):
                yield Slice(first, index, weight)
                first, weight = index, 0
            weight, before = weight + added, dataset
        if first < stop:
            yield Slice(first, stop, weight)

    def _weighed(self, start: int, stop: int) -> Iterator[tuple[str, str, int]]:
        """Dataset, id and bytes of pictures of the rows [start, stop)."""
        for batch in self._rows.slice(start, stop - start).to_batches(max_chunksize=8192):
            images = batch.column("images")
            lengths = [place.length for place in self.images.locate_all(_digests(images))]
            total = np.cumsum([0, *lengths])
            ends = np.cumsum([0, *images.value_lengths().to_pylist()])
            weights = (total[ends[1:]] - total[ends[:-1]]).tolist()
            yield from zip(batch.column("dataset").to_pylist(), batch.column("id").to_pylist(), weights, strict=True)

    def _is_half(self, rows: int, weight: int) -> bool:
        return 2 * rows >= GROUP_ROWS or 2 * weight >= self._group_bytes

    def _filled(self, rows: pa.Table, schema: pa.Schema) -> pa.Table:
        """Reference rows with their conversations and the bytes of their pictures."""
        import pyarrow as pa

        texts = self._texts.of(rows)
        columns = {name: rows.column(name) for name in ("id", "dataset", "part", "category", *_NUMBERS)}
        columns |= {name: texts.column(name) for name in ("source_id", "messages")}
        columns["images"] = self._pictures(rows.column("images").combine_chunks(), schema.field("images").type)
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def _pictures(self, images: pa.ListArray, kind: pa.DataType) -> pa.Array:
        """The pictures of rows: read one behind the other into one buffer, which the column then is."""
        import pyarrow as pa

        digests = _digests(images)
        places = self.images.locate_all(digests)
        ends = np.cumsum([0, *(place.length for place in places)], dtype=np.int64)
        if ends[-1] > np.iinfo(np.int32).max:
            raise Refusal("pictures of a row", f"are {ends[-1]:,} bytes", "leave the row out of the mix")
        if ends[-1] > self._room.nbytes:
            self._room = np.empty(ends[-1], np.uint8)
        room, paths = self._room.data, []
        bounds = itertools.pairwise(ends.tolist())
        for sha256, place, (start, stop) in zip(digests, places, bounds, strict=True):
            self.images.read_into(sha256, place, room[start:stop], thorough=self._publishing)
            paths.append(f"{sha256}.{picture_extension(bytes(room[start : start + 4]))}")
        offsets = pa.py_buffer(ends.astype(np.int32))
        data = pa.Array.from_buffers(pa.binary(), len(digests), [None, offsets, pa.py_buffer(self._room)])
        pictures = pa.StructArray.from_arrays([data, pa.array(paths, pa.string())], fields=list(kind.value_type))
        starts = np.concatenate([[0], np.cumsum(images.value_lengths().to_numpy())]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(starts), pictures, type=kind)


def _digests(images: pa.ListArray) -> list[str]:
    """sha256 of every picture of these rows."""
    digests: list[str] = images.flatten().field("sha256").to_pylist()
    return digests


def picture_extension(data: bytes | bytearray) -> str:
    """What a file of these bytes (or of these first four) is called."""
    return next((name for start, name in _EXTENSIONS.items() if data.startswith(start)), "tiff")


class SampleTexts:
    """Conversations and source ids of samples, read a row group at a time; the latest one is kept."""

    def __init__(self, home: Home) -> None:
        self._root = home.stage("samples")
        self._starts: dict[tuple[str, str], list[int]] = {}
        self._kept: tuple[tuple[str, str, int], pa.Table] | None = None

    def of(self, rows: pa.Table) -> pa.Table:
        """`source_id` and `messages` of these reference rows, in their order; Refusal when a sample is another.

        Fast when rows of one samples file stand together.
        """
        import pyarrow as pa

        pieces: list[pa.Table] = []
        wanted: list[int] = []
        current: tuple[str, str, int] | None = None
        references = zip(*(rows.column(name).to_pylist() for name in ("folder", "file", "row")), strict=True)
        for folder, file, row in references:
            starts = self._starts_of(folder, file)
            group = bisect.bisect_right(starts, row) - 1
            if current is not None and current != (folder, file, group):
                pieces.append(self._group(*current).take(pa.array(wanted)))
                wanted = []
            current = (folder, file, group)
            wanted.append(row - starts[group])
        assert current is not None, "no group of rows is empty"
        found = pa.concat_tables([*pieces, self._group(*current).take(pa.array(wanted))])
        if not found.column("id").equals(rows.column("id")):
            raise Refusal(str(self._root), "samples are not those that the mix was built from", "build the mix again")
        return found

    def _open(self, folder: str, file: str) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        path = self._root / folder / file
        if not path.is_file():
            dataset = folder.split("@", maxsplit=1)[0]
            raise Refusal(str(path), "the mix refers to samples that are not here", f"pull '{dataset}' again")
        with damage_refused(path):
            return pq.ParquetFile(path)

    def _starts_of(self, folder: str, file: str) -> list[int]:
        """Number of the first row of each row group of a samples file."""
        if (folder, file) not in self._starts:
            with self._open(folder, file) as opened:
                counts = [opened.metadata.row_group(index).num_rows for index in range(opened.num_row_groups)]
            self._starts[folder, file] = [sum(counts[:index]) for index in range(len(counts))]
        return self._starts[folder, file]

    def _group(self, folder: str, file: str, group: int) -> pa.Table:
        key = (folder, file, group)
        if self._kept is None or self._kept[0] != key:
            with damage_refused(self._root / folder / file), self._open(folder, file) as opened:
                self._kept = key, opened.read_row_group(group, columns=["id", "source_id", "messages"])
        return self._kept[1]


def grouped_rows(reader: MixReader) -> pa.Table:
    """Reference rows by dataset and place in its samples, with their place in the mix as ``position``."""
    import pyarrow as pa

    rows = reader.rows()
    rows = rows.append_column("position", pa.array(np.arange(rows.num_rows)))
    order = [(name, "ascending") for name in ("dataset", "folder", "file", "row", "copy")]
    return rows.sort_by(order)


def _writer_settings(*, by_content: bool) -> dict[str, Any]:
    """Pictures are compressed already, and statistics of their bytes would only swell the footer."""
    described = [*_NAMES, *_NUMBERS, *_TEXT]
    return {
        "compression": {**dict.fromkeys(described, "zstd"), _PICTURE: "none"},
        "use_dictionary": list(_REPEATING),
        "write_statistics": described,
        "write_page_index": True,
        **({"use_content_defined_chunking": dict(_CHUNKS)} if by_content else {"write_batch_size": PAGE_ROWS}),
    }
