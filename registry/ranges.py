"""Parts of files that lie in a folder or far away (``hf://``, ``s3://``, ``https://`` …, by fsspec), with patience.

A connection that breaks off, a server that is busy and an answer that is too short are tried again, longer and longer
apart. Nothing is kept open, so a forked process reads on as if it had opened the file itself.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from registry.errors import Refusal

Thing = TypeVar("Thing")

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each further try."""
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_NETWORK = {"aiohttp", "botocore", "fsspec", "google", "httpcore", "httpx", "huggingface_hub", "requests", "urllib3"}
"""Packages whose errors come of a connection. They are told by name: none of them has to be installed."""


@dataclass(frozen=True)
class RangedFile:
    """One file, read in parts."""

    where: str
    """A path, or an address that fsspec knows."""
    size: int

    @property
    def local(self) -> bool:
        """Whether the file is on this machine's own file system."""
        return not is_address(self.where)

    def between(self, start: int, stop: int) -> bytes:
        """The bytes ``[start, stop)``."""
        assert 0 <= start <= stop <= self.size, f"[{start}, {stop}) of {self.size} bytes"
        return patiently(self.where, functools.partial(self._between, start, stop))

    @contextlib.contextmanager
    def looked_at(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes ``[start, stop)`` of a file on this machine, of which only what is touched is read."""
        with contextlib.ExitStack() as closing:
            opened = closing.enter_context(Path(self.where).open("rb"))
            if os.fstat(opened.fileno()).st_size < stop:
                raise self._cut_off()
            mapped = closing.enter_context(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
            whole = closing.enter_context(memoryview(mapped))
            yield closing.enter_context(whole[start:stop])

    def _cut_off(self) -> Refusal:
        return Refusal(self.where, "is cut off", "bring the file again")

    def _between(self, start: int, stop: int) -> bytes:
        if self.local:
            descriptor = os.open(self.where, os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.pread(descriptor, stop - start, start)
            finally:
                os.close(descriptor)
        else:
            system, path = file_system(self.where)
            data = bytes(system.cat_file(path, start=start, end=stop))
        if len(data) != stop - start:
            if self.local:
                raise self._cut_off()
            raise EOFError(f"{len(data):,} of {stop - start:,} bytes came")
        return data


def is_address(where: str) -> bool:
    """Whether this is an address, and not a path."""
    return "://" in where


def file_system(where: str) -> tuple[Any, str]:
    """The fsspec file system of an address and the path there. fsspec keeps one for each process."""
    import fsspec  # type: ignore[import-untyped]  # ships none

    try:
        system, path = fsspec.core.url_to_fs(where)
    except (ImportError, ValueError) as error:
        raise Refusal(where, " ".join(str(error).split()), "install what reads such addresses, or correct it") from None
    return system, path


def pinned(where: str) -> str:
    """A Hub address with the commit in it, so that all of a run reads one version; others as they are."""
    if not where.startswith("hf://"):
        return where
    from huggingface_hub import HfApi

    system, path = file_system(where)
    found = patiently(where, lambda: system.resolve_path(path))
    if not hasattr(found, "repo_id"):  # a bucket has no versions
        return where
    api = HfApi(endpoint=system.endpoint, token=system.token)
    ask = functools.partial(api.repo_info, found.repo_id, repo_type=found.repo_type, revision=found.revision)
    inner = f"/{found.path_in_repo}" if found.path_in_repo else ""
    return f"hf://{found.repo_type}s/{found.repo_id}@{patiently(where, ask).sha}{inner}"


def ranged_files(where: str, suffix: str) -> list[RangedFile]:
    """All files below a folder whose names end like this, by name."""
    if not is_address(where):
        paths = sorted(path for path in Path(where).rglob(f"*{suffix}") if path.is_file())
        return [RangedFile(str(path), path.stat().st_size) for path in paths]
    system, path = file_system(where)
    found = patiently(where, functools.partial(system.find, path, detail=True))
    sizes = {name: info.get("size") for name, info in sorted(found.items()) if name.endswith(suffix)}
    return [RangedFile(_address(system, name), _size(system, name, size)) for name, size in sizes.items()]


def patiently(where: str, ask: Callable[[], Thing]) -> Thing:
    """What ``ask`` gives, asked again after errors that may pass; Refusal when they stay."""
    for pause in (*PAUSES, None):
        try:
            return ask()
        except Exception as error:  # every file system has errors of its own
            if not _is_of_the_way(error):
                raise
            if pause is None or isinstance(error, _FINAL):
                problem = " ".join(str(error).split()) or type(error).__name__
                way_out = "check the address, the network and the token, then go on from where this was"
                raise Refusal(where, f"cannot be read ({problem})", way_out) from None
        time.sleep(pause)
    raise AssertionError("unreachable: the last try returns or raises")


def _is_of_the_way(error: Exception) -> bool:
    """Whether an error is one of reading: of the system, or of the packages that speak to servers."""
    return isinstance(error, (OSError, EOFError)) or any(
        kind.__module__.partition(".")[0] in _NETWORK for kind in type(error).__mro__
    )


def _address(system: Any, path: str) -> str:
    """The address of a path as a file system lists it."""
    return path if is_address(path) else str(system.unstrip_protocol(path))


def _size(system: Any, path: str, known: int | None) -> int:
    size = patiently(path, functools.partial(system.size, path)) if known is None else known
    if size is None:
        raise Refusal(
            path, "the server does not say how large it is", "copy the shards to a folder and read them there"
        )
    return int(size)
