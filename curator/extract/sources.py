"""Metadata files: found, brought here where they are elsewhere, and known by their footers."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from curator.extract.columns import Layout
from registry.errors import Refusal
from registry.identity import digest, short
from registry.store import DOWNLOADS, Home

if TYPE_CHECKING:
    import polars as pl

_BLOCK = 1 << 22
_TAIL = 8
_MAGIC = b"PAR1"
_MAX_FOOTER = 1 << 28


@dataclass(frozen=True)
class Table:
    """One parquet file of metadata."""

    path: Path
    rows: int
    footer: str
    """sha256 of its size and its footer, which holds the place and the statistics of all its columns."""
    layout: Layout
    groups: tuple[int, ...]
    """Rows of its row groups."""


@dataclass(frozen=True)
class Pool:
    """All files that a draw is made from."""

    tables: tuple[Table, ...]
    """In the order of their footers, so that their names and folders do not matter."""
    schema: dict[str, Any]
    """Our column -> polars type that the types of all files fit in."""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(table.rows for table in self.tables)

    def digest(self) -> str:
        """What tells one pool from another."""
        return digest([table.footer for table in self.tables])


@contextlib.contextmanager
def local_files(home: Home, sources: Sequence[str], endpoint: str | None) -> Iterator[list[Path]]:
    """The files that ``--source`` names, on this machine for the block.

    What is downloaded is kept when the block fails, so that nothing is fetched twice.
    """
    with contextlib.ExitStack() as kept:
        files = [path for source in sources for path in _files_of(home, source, endpoint, kept)]
        yield list(dict.fromkeys(files))


def read_pool(files: Sequence[Path], *, exchanged: bool | None = None) -> Pool:
    """Read the footers of all files; raises Refusal for one that is damaged or differs in its columns."""
    import polars as pl

    tables = [_table(path, exchanged) for path in files]
    first, frame = _first(tables)
    frames = [frame]
    for table in tables:
        here = _empty(table)
        if set(here.columns) != set(frame.columns):
            differ = ", ".join(sorted(set(here.columns) ^ set(frame.columns)))
            what = f"has other columns than {first.path.name} ({differ})"
            raise Refusal(str(table.path), what, "draw from files of one release")
        frames.append(here.select(frame.columns))
    try:
        schema = pl.concat(frames, how="vertical_relaxed").schema
    except pl.exceptions.PolarsError as error:
        raise Refusal("--source", f"types differ between files ({error})", "draw from files of one release") from None
    for name in ("url", "caption"):
        if schema[name] != pl.String:
            raise Refusal(str(first.path), f"its {name} is no text ({schema[name]})", "check the file")
    return Pool(tuple(sorted(tables, key=lambda table: table.footer)), dict(schema))


def _files_of(home: Home, source: str, endpoint: str | None, kept: contextlib.ExitStack) -> list[Path]:
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme in ("http", "https"):
        from curator.address import ask, downloaded

        return [kept.enter_context(downloaded(home, ask(source, (".parquet",))))]
    if scheme == "hf":
        return _from_hub(home, source, endpoint, kept)
    if scheme == "s3":
        return _from_bucket(home, source, kept)
    if scheme:
        raise Refusal(f"--source {source}", f"'{scheme}' is no protocol known here", "use a path, http(s), hf or s3")
    return _here(source)


def _here(source: str) -> list[Path]:
    pattern = f"{glob.escape(source)}/**/*.parquet" if Path(source).is_dir() else source
    found = sorted(Path(name).absolute() for name in glob.glob(pattern, recursive=True))  # noqa: PTH207  absolute patterns too
    files = [path for path in found if path.is_file()]
    if not files:
        raise Refusal(f"--source {source}", "names no parquet file", "give a file, a folder, or a pattern in quotes")
    return files


def _from_hub(home: Home, source: str, endpoint: str | None, kept: contextlib.ExitStack) -> list[Path]:
    """Files of ``hf://datasets/org/name[@revision]/pattern``, by the Hub's own client."""
    import fnmatch

    from curator.hub import download, list_repository

    parts = PurePosixPath(source.removeprefix("hf://").removeprefix("datasets/")).parts
    if len(parts) < 2:
        way_out = "write it as hf://org/name/*.parquet, or hf://org/name@revision/*.parquet"
        raise Refusal(f"--source {source}", "names no dataset repository", way_out)
    name, _, revision = parts[1].partition("@")
    repo, pattern = f"{parts[0]}/{name}", "/".join(parts[2:]) or "*.parquet"
    listing = list_repository(repo, revision or None, endpoint)
    wanted = sorted(file.path for file in listing.files if fnmatch.fnmatchcase(file.path, pattern))
    if not wanted or any(".." in PurePosixPath(path).parts or path.startswith("/") for path in wanted):
        raise Refusal(f"--source {source}", "names no file of the repository", "check the pattern")
    into = home.path / DOWNLOADS / f"extract-{repo.replace('/', '--')}@{listing.commit[:12]}"
    into.mkdir(parents=True, exist_ok=True)
    download(repo, listing.commit, wanted, into, endpoint)
    kept.push(_removed_on_success(into))
    return [into / path for path in wanted]


def _from_bucket(home: Home, source: str, kept: contextlib.ExitStack) -> list[Path]:
    """Files of a bucket: whole files first, because a killed scan would ask for them again."""
    import fnmatch

    import pyarrow as pa
    from pyarrow import fs

    shown = re.sub(r"//[^/@]*@", "//", source)  # a key may stand before the bucket
    address, question, options = source.partition("?")
    folder, _, pattern = address.rpartition("/")
    into = home.path / DOWNLOADS / f"extract-{short(digest(source))}"
    try:
        store, inside = fs.FileSystem.from_uri(folder + question + options)
        there = store.get_file_info(fs.FileSelector(inside))
        wanted = sorted((file for file in there if fnmatch.fnmatchcase(file.base_name, pattern)), key=_path_of)
        into.mkdir(parents=True, exist_ok=True)
        files = [_copied(store, file, into) for file in wanted if file.is_file]
    except (pa.ArrowException, OSError) as error:
        problem = " ".join(str(error).split())
        raise Refusal(
            f"--source {source}", f"cannot be read ({problem})", "check the address and your access"
        ) from None
    if not files:
        raise Refusal(f"--source {shown}", "names no file", "check the pattern")
    kept.push(_removed_on_success(into))
    return files


def _path_of(file: Any) -> str:
    return str(file.path)


def _copied(store: Any, file: Any, into: Path) -> Path:
    """One file of a store; what is whole already is not copied again."""
    target = into / f"{short(digest([file.path, file.size]))}.parquet"
    if not target.is_file():
        part = target.with_suffix(".unfinished")
        with store.open_input_stream(file.path) as stream, part.open("wb") as out:
            shutil.copyfileobj(stream, out, _BLOCK)
        part.rename(target)
    return target


def _removed_on_success(folder: Path) -> Any:
    def leave(kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            shutil.rmtree(folder, ignore_errors=True)

    return leave


def _table(path: Path, exchanged: bool | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        size, tail = path.stat().st_size, _footer(path)
        meta = pq.read_metadata(io.BytesIO(_MAGIC + tail))
        names = list(meta.schema.to_arrow_schema().names)
    except (OSError, ValueError, pa.ArrowException) as error:
        problem = " ".join(str(error).split())
        raise Refusal(str(path), f"is no parquet file that can be read ({problem})", "download it again") from None
    groups = tuple(meta.row_group(i).num_rows for i in range(meta.num_row_groups))
    identity = hashlib.sha256(f"{size} ".encode() + tail).hexdigest()
    return Table(path, meta.num_rows, identity, Layout.of(str(path), names, exchanged=exchanged), groups)


def _footer(path: Path) -> bytes:
    """The bytes that end a parquet file: its footer, the footer's length, and the mark."""
    with path.open("rb") as file:
        end = file.seek(0, io.SEEK_END)
        file.seek(max(0, end - _TAIL))
        tail = file.read()
        length = int.from_bytes(tail[:4], "little")
        if len(tail) < _TAIL or tail[4:] != _MAGIC or not 0 < length <= min(end - _TAIL, _MAX_FOOTER):
            raise ValueError("it has no footer: it is cut off, or of another kind")
        file.seek(end - _TAIL - length)
        return file.read()


def _first(tables: Sequence[Table]) -> tuple[Table, pl.DataFrame]:
    """The table whose columns the others are compared with: the least footer, whatever the order of the files."""
    first = min(tables, key=lambda table: table.footer)
    return first, _empty(first)


def _empty(table: Table) -> pl.DataFrame:
    import polars as pl

    try:
        there = pl.read_parquet_schema(table.path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Refusal(str(table.path), f"cannot be read ({error})", "download it again") from None
    return pl.DataFrame(schema={here: there[name] for here, name in table.layout.names.items()})
