"""The published tables of benchmarks: from a folder, or downloaded, compared with the published md5, into the home.

A download that was killed is continued by the next run; a file whose md5 is another one never gets into the home.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry.benchmark import PublishedTable, load_benchmark
from registry.errors import Refusal
from registry.store import Home, whole_file

TABLES = "benchmarks"
"""Folder of the home."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class TableOfHome:
    """A table that is in the home now."""

    benchmark: str
    path: Path
    bytes: int
    was_there: bool


def pull_table(home: Home, benchmark: str, source: str | None = None) -> TableOfHome:
    """Bring the table of a benchmark into the home, unless it is there.

    Args:
        home: where it goes: ``benchmarks/<benchmark>.tsv``.
        benchmark: its name.
        source: a folder that has it under its published name, a file, or an address; None = the publisher's.
    """
    published = load_benchmark(benchmark).TABLE
    if published is None:
        way_out = f"put its file at {home.path / TABLES / benchmark}.tsv or .parquet"
        raise Refusal(f"benchmark '{benchmark}'", "has no published table of this form", way_out)
    target = home.path / TABLES / f"{benchmark}.tsv"
    if target.is_file():
        if _md5(target) != published.md5:
            raise Refusal(str(target), "is another table than the published one", "remove it, to get that one")
        return TableOfHome(benchmark, target, target.stat().st_size, was_there=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _brought(home, published, source) as brought, whole_file(target) as aside:
        found = _md5(brought, aside)
        if found != published.md5:
            _forget(home, brought)
            what = f"its md5 is {found}, and that of the published {published.name}.tsv is {published.md5}"
            raise Refusal(
                f"{source or published.addresses[0]}, {published.name}.tsv",
                what,
                "get the file again, or from somewhere else",
            )
    return TableOfHome(benchmark, target, target.stat().st_size, was_there=False)


def addresses(published: PublishedTable, source: str | None) -> tuple[str, ...]:
    """Where a table is downloaded from; empty where it is taken from this machine."""
    from curator.address import is_address

    if source is None:
        return published.addresses
    if not is_address(source):
        return ()
    return (source,) if source.endswith(".tsv") else (f"{source.rstrip('/')}/{published.name}.tsv",)


@contextmanager
def _brought(home: Home, published: PublishedTable, source: str | None) -> Iterator[Path]:
    """The file, for the block."""
    from curator.address import ask, downloaded

    places = addresses(published, source)
    if not places and source is not None:
        given = Path(source)
        path = given / f"{published.name}.tsv" if given.is_dir() else given
        if not path.is_file():
            raise Refusal(str(path), "there is no such file", "name the folder that has the published tables")
        yield path
        return
    for place in places[:-1]:
        try:
            remote = ask(place, (".tsv",))
        except Refusal:
            continue
        if remote.size is not None:
            places = (place,)
            break
    with downloaded(home, ask(places[-1], (".tsv",))) as path:
        yield path


def _forget(home: Home, brought: Path) -> None:
    """Remove what was downloaded and is not what it should be; a file of the user's stays."""
    if brought.is_relative_to(home.path):
        brought.unlink()


def _md5(path: Path, copy: Path | None = None) -> str:
    """md5 of a file, which is copied on the way."""
    found = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            if copy is None:
                return hashlib.file_digest(file, lambda: found).hexdigest()
            with copy.open("wb") as out:
                while block := file.read(_BLOCK):
                    found.update(block)
                    out.write(block)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Refusal(str(path), f"cannot be copied ({reason})", "look at the file and the disk") from None
    return found.hexdigest()
