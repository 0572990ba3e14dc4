"""A published mix, read by position: parquet shards in a folder, or at an address that fsspec knows.

Footers and the column ``position`` are read first: eight bytes of memory a sample. A row group is opened when a sample
of it is wanted: of a file on this machine its texts alone, and each picture is one positioned read; of a file far away
all of it, in one request. Groups stay open while they fit into ``memory``. So a folder may be read in any order, and
what is far away is best read in ``order(seed)``, which goes through a few groups at a time.
"""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.errors import Refusal
from registry.mix_stream import Mix, Sample, samples_of
from registry.permutation import Blocks, Indices, Order
from registry.picture_pages import PICTURES, picture_chunk, plain_values
from registry.ranges import RangedFile, pinned, ranged_files
from registry.sample import message_type

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MEMORY = 1 << 30
"""Bytes of open row groups that a reader keeps."""
_TAIL = 1 << 16
"""Bytes at the end of a shard that are asked for first: most footers are shorter."""
_AT_ONCE = 8
"""Shards whose footers are asked for at a time."""
_TEXT = ("id", "copy", "dataset", "part", "category", "messages", "images.list.element.path")


@dataclass(frozen=True)
class _Shard:
    """A shard with its footer, and the positions of its rows."""

    file: RangedFile
    footer: pq.FileMetaData
    positions: Indices


@dataclass(frozen=True)
class _Group:
    """An open row group: its texts, and where the pictures of each row lie."""

    texts: pa.Table
    first: Indices
    """[rows + 1] number of the first picture of each row."""
    starts: Indices
    lengths: Indices
    between: Callable[[int, int], bytes]
    """What reads the bytes of a picture, as ``starts`` counts them."""
    size: int

    def pictures(self, row: int) -> list[bytes]:
        """The picture files of one row."""
        numbers = range(int(self.first[row]), int(self.first[row + 1]))
        places = ((int(self.starts[number]), int(self.lengths[number])) for number in numbers)
        return [self.between(start, start + length) for start, length in places]


class PublishedMix(Mix):
    """The shards of ``curator publish``, wherever they are."""

    def __init__(self, where: str, *, check: bool = False, memory: int = MEMORY) -> None:
        self._where, self._check, self._memory = pinned(where), check, memory
        self.name = where
        files = ranged_files(self._where, ".parquet")
        if not files:
            raise Refusal(where, "has no parquet shards", "name the folder that holds the shards of a published mix")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            self._shards = list(pool.map(_opened, files))
        self._groups = [(s, g) for s, shard in enumerate(self._shards) for g in range(shard.footer.num_row_groups)]
        self._sizes = np.array([self._shards[s].footer.row_group(g).num_rows for s, g in self._groups], np.int64)
        self._begin = np.concatenate([[0], np.cumsum(self._sizes)])
        self._row_at = _rows_by_position(where, [shard.positions for shard in self._shards])
        self._open: OrderedDict[int, _Group] = OrderedDict()

    def __reduce__(self) -> Any:
        """A process that is started afresh opens the shards itself, at the same commit."""
        return _reopened, (self._where, self._check, self._memory)

    def __len__(self) -> int:
        return len(self._row_at)

    def order(self, seed: int | None = None, together: int | None = None) -> Order:
        """As ``Mix.order``."""
        if together is None:
            return Order(len(self), seed)
        return Order(len(self), seed, Blocks(self._sizes, self._positions(), together))

    def samples(self, positions: Sequence[int] | Indices) -> Iterator[Sample]:
        """As ``Mix.samples``."""
        import pyarrow as pa

        wanted = np.asarray(positions, np.int64)
        if not wanted.size:
            return iter(())
        rows = self._row_at[wanted]
        numbers = np.searchsorted(self._begin, rows, side="right") - 1
        groups = {number: self._group(number) for number in np.unique(numbers).tolist()}
        inner = rows - self._begin[numbers]
        pieces = [group.texts.take(inner[numbers == number]) for number, group in groups.items()]
        by_group = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
        texts = pa.concat_tables(pieces).take(by_group)
        places = zip(numbers.tolist(), inner.tolist(), strict=True)
        images: Iterator[list[bytes]] = (groups[number].pictures(row) for number, row in places)
        if self._check:
            images = map(self._checked, numbers.tolist(), images, texts.column("images").to_pylist())
        return samples_of(wanted, texts, texts.column("messages").to_pylist(), images)

    def _positions(self) -> Indices:
        """The position of each row, as the shards have them."""
        found = np.empty_like(self._row_at)
        found[self._row_at] = np.arange(len(found))
        return found

    def _checked(self, number: int, images: list[bytes], shown: list[dict[str, str]]) -> list[bytes]:
        """Pictures, each compared with its name, which is its sha256."""
        for data, picture in zip(images, shown, strict=True):
            if hashlib.sha256(data).hexdigest() != picture["path"].partition(".")[0]:
                where = self._shards[self._groups[number][0]].file.where
                raise Refusal(where, f"picture {picture['path'][:12]} is damaged", "bring the shard again")
        return images

    def _group(self, number: int) -> _Group:
        """A row group, opened or still open."""
        if number not in self._open:
            shard, inner = self._groups[number]
            opened = _open_group(self._shards[shard], inner)
            self._open[number] = opened
            while len(self._open) > 1 and sum(group.size for group in self._open.values()) > self._memory:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]


def _reopened(where: str, check: bool, memory: int) -> PublishedMix:
    return PublishedMix(where, check=check, memory=memory)


def _opened(file: RangedFile) -> _Shard:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tail = file.between(max(0, file.size - _TAIL), file.size)
    length = 8 + int.from_bytes(tail[-8:-4], "little")
    if tail[-4:] != b"PAR1" or length > file.size:
        raise _damaged(file, "is no parquet file, or cut off")
    if length > len(tail):
        tail = file.between(file.size - length, file.size)
    try:
        footer = pq.read_metadata(_Piece(file.size, file.size - len(tail), tail))
        positions = [_positions(file, footer, group) for group in range(footer.num_row_groups)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(file, " ".join(str(error).split())) from None
    return _Shard(file, footer, np.concatenate([np.empty(0, np.int64), *positions]))


def _positions(file: RangedFile, footer: pq.FileMetaData, group: int) -> Indices:
    names = [footer.row_group(group).column(number).path_in_schema for number in range(footer.num_columns)]
    absent = {"position", PICTURES, *_TEXT[:3]} - set(names)
    if absent:
        raise ValueError(f"no shard of a published mix: it lacks {', '.join(sorted(absent))}")
    column = footer.row_group(group).column(names.index("position"))
    first = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    data = file.between(first, first + column.total_compressed_size)
    table = _columns(_Piece(file.size, first, data), footer, group, ["position"])
    return np.asarray(table.column("position").to_numpy(), np.int64)


def _rows_by_position(where: str, parts: list[Indices]) -> Indices:
    """Position in the mix -> number of the row in storage; Refusal unless every position is there once."""
    positions = np.concatenate(parts)
    counts = np.bincount(np.clip(positions, 0, len(positions)), minlength=len(positions))
    wrong = np.flatnonzero(counts[: len(positions)] != 1)
    if wrong.size or positions.min(initial=0) < 0:
        there = "more than once" if wrong.size and counts[wrong[0]] else "nowhere"
        place = int(wrong[0]) if wrong.size else -1
        what = (
            f"position {place} of the mix is {there} in these {len(parts)} shards: one is missing or is of another mix"
        )
        raise Refusal(where, what, "bring all shards of one mix, and only these")
    return np.argsort(positions)


def _open_group(shard: _Shard, number: int) -> _Group:
    import pyarrow as pa

    file, row_group = shard.file, shard.footer.row_group(number)
    try:
        begin, end = picture_chunk(row_group)
        if file.local:
            texts = _columns(file.where, shard.footer, number, list(_TEXT))
            with file.looked_at(begin, end) as pictures:
                starts, lengths = plain_values(pictures)
        else:
            start, stop = _span(row_group)
            data = file.between(start, stop)
            texts = _columns(_Piece(file.size, start, data), shard.footer, number, list(_TEXT))
            starts, lengths = plain_values(memoryview(data)[begin - start : end - start])
        texts = texts.cast(_text_schema())
        texts.validate(full=True)  # a changed byte may leave text that is none
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(file, " ".join(str(error).split())) from None
    images = texts.column("images").combine_chunks()
    first = np.asarray(images.offsets, np.int64)
    if len(starts) != first[-1] - first[0]:
        raise _damaged(file, f"row group {number} has {len(starts)} pictures for {first[-1] - first[0]} places")
    starts = starts + begin
    if file.local:
        return _Group(texts, first - first[0], starts, lengths, file.between, texts.nbytes)
    return _Group(texts, first - first[0], starts - start, lengths, lambda a, b: data[a:b], texts.nbytes + len(data))


def _text_schema() -> pa.Schema:
    """What the texts of a row group are, once they are read."""
    import pyarrow as pa

    fields: list[Any] = [(name, pa.string()) for name in ("id", "dataset", "part", "category")]
    fields.insert(1, ("copy", pa.int32()))
    shown = pa.list_(pa.struct([("path", pa.string())]))
    return pa.schema([*fields, ("messages", pa.list_(message_type())), ("images", shown)])


def _span(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """First byte and end of a row group in its file."""
    columns = [group.column(number) for number in range(group.num_columns)]
    begins = [c.dictionary_page_offset if c.has_dictionary_page else c.data_page_offset for c in columns]
    return min(begins), max(b + c.total_compressed_size for b, c in zip(begins, columns, strict=True))


def _columns(source: Any, footer: pq.FileMetaData, group: int, names: list[str]) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(source, metadata=footer) as opened:
        return opened.read_row_group(group, columns=names, use_threads=False).combine_chunks()


def _damaged(file: RangedFile, problem: str) -> Refusal:
    return Refusal(file.where, f"cannot be read as a shard ({problem})", "bring it again from where it was published")


class _Piece(io.RawIOBase):
    """A file of ``size`` bytes of which a part is here, for readers that jump to where they know something to be."""

    def __init__(self, size: int, start: int, data: bytes) -> None:
        super().__init__()
        self._size, self._start, self._data, self._place = size, start, data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Bytes from the place on; ValueError where they are not here."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(self._size - self._place, 0))
        begin = self._place - self._start
        if wanted and not 0 <= begin <= begin + wanted <= len(self._data):
            raise ValueError("its footer names bytes outside of its columns")
        view[:wanted] = self._data[begin : begin + wanted]
        self._place += wanted
        return wanted
