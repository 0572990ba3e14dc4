"""Parts of files far away: what passes is tried again, what does not is refused, nothing else is swallowed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]  # ships none
import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]  # ships none

from registry import ranges
from registry.errors import Refusal
from registry.ranges import RangedFile, pinned, ranged_files


class Flaky(MemoryFileSystem):  # type: ignore[misc]  # untyped base
    """A store of fsspec that answers as it is told to before it answers well."""

    protocol = "flaky"
    troubles: list[Any] = []  # noqa: RUF012 - of the one store there is

    @classmethod
    def _strip_protocol(cls, path: str) -> Any:
        return super()._strip_protocol(path.replace("flaky://", "memory://"))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> Any:
        found = super().cat_file(path, start, end, **kwargs)
        if not self.troubles:
            return found
        trouble = self.troubles.pop(0)
        if isinstance(trouble, Exception):
            raise trouble
        return found[:trouble]


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The store with a file of 26 letters, and the pauses that were made."""
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    fsspec.filesystem("flaky").pipe_file("/folder/letters.txt", b"abcdefghijklmnopqrstuvwxyz")
    pauses: list[float] = []
    monkeypatch.setattr("registry.ranges.time.sleep", pauses.append)
    yield pauses
    Flaky.troubles.clear()
    fsspec.filesystem("flaky").rm("/folder", recursive=True)


def test_what_passes_is_tried_again_and_again_later(flaky: list[float]) -> None:
    (file,) = ranged_files("flaky://folder", ".txt")
    assert (file.size, file.local) == (26, False)
    Flaky.troubles += [ConnectionResetError("gone"), 3, TimeoutError(), OSError("503")]
    assert file.between(4, 9) == b"efghi"
    assert flaky == [0.5, 1.0, 2.0, 4.0]


def test_what_stays_is_refused(flaky: list[float]) -> None:
    (file,) = ranged_files("flaky://folder", ".txt")
    Flaky.troubles += [2] * 6
    with pytest.raises(Refusal, match=r"letters.txt: cannot be read \(2 of 5 bytes came\)"):
        file.between(4, 9)
    assert len(flaky) == len(ranges.PAUSES)


@pytest.mark.parametrize("error", [FileNotFoundError("no such key"), PermissionError("403")])
def test_what_cannot_pass_is_refused_at_once(flaky: list[float], error: OSError) -> None:
    (file,) = ranged_files("flaky://folder", ".txt")
    Flaky.troubles.append(error)
    with pytest.raises(Refusal, match=str(error)):
        file.between(4, 9)
    assert flaky == []


def test_a_mistake_of_the_program_is_none_of_the_network(flaky: list[float]) -> None:
    (file,) = ranged_files("flaky://folder", ".txt")
    Flaky.troubles.append(AttributeError("mistake"))
    with pytest.raises(AttributeError, match="mistake"):
        file.between(4, 9)


def test_a_file_here(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/b.txt").write_bytes(b"0123456789")
    (tmp_path / "a.bin").write_bytes(b"")
    (file,) = ranged_files(str(tmp_path), ".txt")
    assert file.local
    assert file.between(3, 6) == b"345"
    with pytest.raises(Refusal, match="is cut off"):
        RangedFile(file.where, 20).between(8, 12)
    (tmp_path / "inner/b.txt").unlink()
    with pytest.raises(Refusal, match="cannot be read"):
        file.between(3, 6)


def test_an_address_that_nothing_reads() -> None:
    with pytest.raises(Refusal, match="Protocol not known: nowhere"):
        ranged_files("nowhere://bucket/mix", ".parquet")


def test_only_hub_addresses_have_commits() -> None:
    assert pinned("memory://x") == "memory://x"
    assert pinned("/a/folder") == "/a/folder"
