"""The data home: folder names, write aside + rename, record written last.

A folder with ``record.json`` is finished and never changes; a folder without one does not exist for anyone.
Work happens in ``aside/``, under a file lock that dies with its process, so what a killed run leaves behind is
recognised and removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.discovery import checked_name
from registry.errors import Refusal, did_you_mean
from registry.identity import SHORT, digest, short

STAGES = (
    "draws",
    "raw",
    "fetched",
    "samples",
    "models",
    "measures",
    "mixes",
    "tokens",
    "trials",
    "decisions",
    "publications",
)
RECORD = "record.json"
DOWNLOADS = "downloads"
"""Folder of the home where unfinished work with files from elsewhere stays, to be continued by the next run."""
COST = "cost.json"
"""Seconds and machine of a run: beside the record, the one file that may differ between equal runs."""

_KEPT = ".kept"
_KEPT_DAYS = 30
"""Days after which unfinished work that nobody went on with is removed."""


class Record(BaseModel):
    """What a finished folder is and came from. Holds no time, host or path: equal work gives equal bytes."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    kind: str
    """draw, raw, fetched, samples, model, measures, mix, tokens, trial, decision, export or publication."""
    name: str
    digest: str
    """Identity: sha256 of the canonical settings this folder was made from."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """Folder in the data home (``samples/x@r-0123``) -> its digest."""
    rows_in: int = 0
    rows_out: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    """Reason -> rows; ``rows_in = rows_out + sum(rejected)`` wherever rows are counted."""
    settings: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    command: str = ""

    def check_rows(self) -> None:
        """Raise AssertionError when a row is unaccounted for."""
        out = self.rows_out + sum(self.rejected.values())
        assert self.rows_in == out, f"{self.name}: {self.rows_in} rows in, {out} accounted for"


class Home:
    """One data home. Any number of processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    @classmethod
    def default(cls, path: str | Path | None = None) -> Home:
        """``path``, else ``CURATOR_HOME``, else ``~/.vlm-curator``."""
        return cls(Path(path or os.environ.get("CURATOR_HOME") or "~/.vlm-curator"))

    @property
    def aside(self) -> Path:
        """Where unfinished work lies."""
        return self.path / "aside"

    @property
    def images(self) -> Path:
        """Tar shards of pictures and their indexes."""
        return self.path / "images"

    @property
    def cards(self) -> Path:
        """The user's own dataset cards."""
        return self.path / "cards"

    def stage(self, stage: str) -> Path:
        """The folder of one stage."""
        assert stage in STAGES, stage
        return self.path / stage

    def folder(self, stage: str, name: str, digest: str) -> Path:
        """Where the thing of this human name and digest lies, finished or not."""
        return self.stage(stage) / f"{_file_name(name)}-{short(digest)}"

    def find(self, stage: str, digest: str) -> Path | None:
        """The finished folder with this digest, whatever its human name."""
        found = sorted(self.stage(stage).glob(f"*-{short(digest)}"))
        return next((folder for folder in found if is_finished(folder)), None)

    def finished(self, stage: str) -> list[Path]:
        """All finished folders of a stage, by name."""
        root = self.stage(stage)
        return [folder for folder in sorted(root.iterdir()) if is_finished(folder)] if root.is_dir() else []

    @contextlib.contextmanager
    def making(self, folder: Path | Callable[[], Path], record: Record) -> Iterator[Path]:
        """Make ``folder`` aside; on a clean exit its record is written last and it is renamed into place.

        ``record`` may be filled in until the block ends; where only then the identity is known, ``folder`` is a
        function that is called there. If another process finished the same folder first,
        that one stays and ours is dropped: equal digests mean equal content.
        """
        with self.workspace(folder.name if isinstance(folder, Path) else record.kind) as work:
            inner = work / "out"
            inner.mkdir()
            yield inner
            self._finish(inner, folder if isinstance(folder, Path) else folder(), record)

    @contextlib.contextmanager
    def continuing(self, folder: Path, record: Record) -> Iterator[Path | None]:
        """``making`` for work of hours: what a killed run had finished is in the folder that the next run gets.

        Put each file there by ``whole_file``: then a file that is there is whole, and its maker leaves it alone. Of
        two processes that make the same, one waits; None says that the other one has finished the folder meanwhile.
        """
        self.aside.mkdir(parents=True, exist_ok=True)
        self.sweep()
        taken = self._take_over(folder)
        if taken is None:
            yield None
            return
        work, lock = taken
        inner, done = work / "out", False
        try:
            _clear(work, inner)
            yield inner
            self._finish(inner, folder, record)
            done = True
        finally:
            with _locked(self.aside / ".lock"):
                if done or not _is_kept(work):
                    shutil.rmtree(work, ignore_errors=True)
            os.close(lock)

    def _finish(self, inner: Path, folder: Path, record: Record) -> None:
        """The record last, then the rename."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        _write_file(inner / RECORD, dump_json(record.model_dump(mode="json")))
        fsync(inner)
        with _locked(self.aside / ".lock"):  # between a look and a rename nobody else may finish it
            _rename_unless_finished(inner, folder)
        fsync(folder.parent)

    def _take_over(self, folder: Path) -> tuple[Path, int] | None:
        """The locked aside folder in which ``folder`` is made, new or left by a killed run; None once it is finished.

        It is found by a name that tells the whole path, and so the identity: what another version began has another.
        """
        work = self.aside / f"{folder.name}.{short(digest(folder.relative_to(self.path).as_posix()))}{_KEPT}"
        while not is_finished(folder):
            with _locked(self.aside / ".lock"):
                work.mkdir(exist_ok=True)
                lock = os.open(work / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits for a process that makes the same
            if _is_still(work / ".lock", lock):
                if not is_finished(folder):
                    return work, lock
                # Made anew after whoever finished the folder had removed it.
                with _locked(self.aside / ".lock"):
                    shutil.rmtree(work, ignore_errors=True)
            os.close(lock)  # who held it has finished and removed it: look again
        return None

    @contextlib.contextmanager
    def workspace(self, name: str) -> Iterator[Path]:
        """A private folder under ``aside/`` that is removed at the end, or by the next run if this one is killed."""
        self.aside.mkdir(parents=True, exist_ok=True)
        self.sweep()
        work, lock = self._claim(name)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
            os.close(lock)

    def _claim(self, name: str) -> tuple[Path, int]:
        """A fresh locked folder. It is made under a shared lock so that no sweep sees it before its own lock."""
        with _locked(self.aside / ".lock"):
            # No name comes twice: the thread that still removes a folder would remove the next one of its name too.
            for number in _NUMBERS:
                work = self.aside / f"{name}.{os.getpid()}.{number}"
                with contextlib.suppress(FileExistsError):
                    work.mkdir()
                    lock = os.open(work / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    return work, lock
        raise AssertionError("unreachable: the numbers do not end")

    def sweep(self) -> int:
        """Remove what dead processes left in ``aside/``; the number of folders removed."""
        removed = 0
        with _locked(self.aside / ".lock"):
            for work in sorted(self.aside.iterdir()):
                if work.is_dir() and _is_abandoned(work) and not _is_kept(work):
                    shutil.rmtree(work, ignore_errors=True)
                    removed += 1
        return removed


def dump_json(value: Any) -> bytes:
    """The JSON that is written to disk: sorted keys, indented for people, a line end at the end."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def is_finished(folder: Path) -> bool:
    """Whether a folder is there for anyone to use."""
    return (folder / RECORD).is_file()


def read_record(folder: Path) -> Record:
    """The record of a finished folder; raises Refusal when there is none or it cannot be read."""
    try:
        return Record.model_validate_json((folder / RECORD).read_bytes())
    except FileNotFoundError:
        raise Refusal(str(folder), "not there, or not finished", "run the command that makes it") from None
    except (ValidationError, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise Refusal(str(folder / RECORD), f"damaged ({reason})", "remove the folder and make it again") from None


def find_folder(home: Home, stage: str, name: str) -> Path:
    """A finished folder of the home by its full name, its name without digest (if only one), or its digest."""
    finished = home.finished(stage)
    exact = [folder for folder in finished if folder.name == name]
    loose = [f for f in finished if f.name.rpartition("-")[0] == name or f.name.rpartition("-")[2] == name[:SHORT]]
    found = exact or loose
    if len(found) == 1:
        return found[0]
    if found:
        raise Refusal(f"{stage} '{name}'", "more than one has this name", ", ".join(folder.name for folder in found))
    known = [folder.name for folder in finished]
    hint = did_you_mean(name, [*known, *(n.rsplit("-", 1)[0] for n in known)])
    raise Refusal(f"{stage} '{name}'", f"there is none in {home.path}{hint}", "see 'curator query' for what is there")


def write_aside(path: Path, data: bytes) -> None:
    """Write one file so that a reader sees the old one, the new one, or none, at any instant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.aside")
    with alone(aside) as file:
        file.truncate(0)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        aside.replace(path)
    fsync(path.parent)


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path to write a file at, which becomes ``target`` when the block ends: what is at ``target`` is whole.

    It lies beside the folder of ``target`` and has a name of its own. A process that nobody waits for any more (its
    run was killed, its node was given up) may go on writing while another makes the same file, or after the folder
    is finished and renamed: it disturbs nothing, and leaves nothing in the folder.
    """
    aside = target.parent.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield aside
        fsync(aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Wait until a file, or the list of names of a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_name(name: str) -> str:
    """A human name as a folder name: ``+`` and ``@`` are part of our names, path parts are not."""
    cleaned = "".join(c if c.isalnum() or c in "-_.@+=" else "-" for c in name.lower())[:100]
    checked_name(cleaned.replace("@", "-").replace("+", "-").replace("=", "-"), "name")
    return cleaned


def _write_file(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


_NUMBERS = itertools.count()
"""Of the aside folders of this process."""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[BinaryIO]:
    """The file at ``path``, open and locked; what a killed writer left there is taken over, so it never piles up.

    Whoever holds it may rename or remove it; those who waited for it then open a new one.
    """
    while True:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still(path, file.fileno()):
                yield file
                return


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether ``path`` names the open file: who held its lock before us may have renamed or removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _rename_unless_finished(source: Path, target: Path) -> None:
    if is_finished(target):
        return
    if target.exists():  # left by something that is not us; it has no record, so nobody uses it
        shutil.rmtree(target)
    try:
        source.rename(target)
    except OSError:
        if not is_finished(target):
            raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_abandoned(work: Path) -> bool:
    """True when nobody holds the lock of an aside folder any more."""
    try:
        descriptor = os.open(work / ".lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _is_kept(work: Path) -> bool:
    """True when a run that goes on with this aside folder would find finished files in it."""
    inner = work / "out"
    if not work.name.endswith(_KEPT) or not inner.is_dir() or not any(inner.iterdir()):
        return False
    return time.time() - inner.stat().st_mtime < _KEPT_DAYS * 24 * 3600


def _clear(work: Path, inner: Path) -> None:
    """Remove the half written files of a killed run; its finished ones stay in ``inner``."""
    inner.mkdir(exist_ok=True)
    for path in work.iterdir():
        if path.is_dir() and path != inner:  # what had been taken out of it
            shutil.rmtree(path, ignore_errors=True)
        elif path != inner and path.name != ".lock":
            path.unlink(missing_ok=True)  # its writer may still be at work and rename it this instant
