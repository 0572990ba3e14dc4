"""Repositories on disk: commits, refs, small blobs and large objects, each a plain file.

<data>/<models|datasets|spaces>/<namespace>/<name>/
    repo.json            {"private": bool, "gated": bool, "created": ISO time}
    refs.json            {"refs/heads/main": commit id, "refs/tags/v1": …, "refs/pr/1": …}
    commits/<id>.json    one commit with its whole file list
    blobs/<sha1>         small files by git blob id
    large/<sha256>       large files by content digest
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

BLOCK = 1 << 20
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"
INITIAL = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"


class MissingError(Exception):
    """Something asked for is not there. `what` is one of Repo, Revision, Entry (the Hub's error codes + NotFound)."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"{what} not found: {name}")
        self.what = what


class StaleError(Exception):
    """The commit that a change was based on is no longer the head of its branch."""


@dataclass(frozen=True)
class Entry:
    """One file of a commit: git blob id of what git holds, size in bytes, sha256 when it is a large object."""

    oid: str
    size: int
    sha256: str | None = None

    @property
    def pointer_size(self) -> int:
        """Bytes of the pointer file that git holds for a large object."""
        return len(POINTER.format(self.sha256, self.size))


@dataclass(frozen=True)
class Commit:
    """One commit and the complete list of its files."""

    parent: str | None
    title: str
    message: str
    author: str
    date: str
    files: dict[str, Entry] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """40 hexadecimal digits, from the content of the commit."""
        return hashlib.sha1(json.dumps(asdict(self), sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def git_blob_id(data: bytes) -> str:
    """The id git gives to a file's bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def now() -> str:
    """The time now as the Hub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def write_file(path: Path, data: bytes) -> None:
    """Write aside and rename, so that a reader in another thread never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    aside.write_bytes(data)
    aside.replace(path)


class Repo:
    """One repository of the loopback Hub, in its own folder."""

    def __init__(self, path: Path, kind: str, repo_id: str) -> None:
        self.path, self.kind, self.id = path, kind, repo_id

    @property
    def settings(self) -> dict[str, Any]:
        """private, gated, created."""
        loaded: dict[str, Any] = json.loads((self.path / "repo.json").read_text())
        return loaded

    def refs(self) -> dict[str, str]:
        """Full ref name -> commit id."""
        loaded: dict[str, str] = json.loads((self.path / "refs.json").read_text())
        return loaded

    def set_ref(self, ref: str, commit_id: str | None) -> None:
        """Point a ref at a commit, or drop it (None)."""
        refs = self.refs()
        if commit_id is None:
            del refs[ref]
        else:
            refs[ref] = commit_id
        write_file(self.path / "refs.json", json.dumps(refs, sort_keys=True).encode())

    def ref_of(self, revision: str) -> str | None:
        """The full ref that a branch, tag, pull request or full ref name means; None for a commit id or nothing."""
        refs = self.refs()
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in refs:
                return ref
        return None

    def head(self, revision: str) -> str:
        """Commit id that a branch, tag, ref or (shortened) commit id stands for; MissingError if none does."""
        ref = self.ref_of(revision)
        if ref is not None:
            return self.refs()[ref]
        known = sorted(path.stem for path in (self.path / "commits").glob("*.json"))
        found = [commit for commit in known if len(revision) >= 7 and commit.startswith(revision)]
        if len(found) != 1:
            raise MissingError("Revision", revision)
        return found[0]

    def commit(self, revision: str) -> Commit:
        """The commit behind a revision."""
        stored = json.loads((self.path / "commits" / f"{self.head(revision)}.json").read_text())
        files = {path: Entry(**entry) for path, entry in stored.pop("files").items()}
        return Commit(**stored, files=files)

    def history(self, revision: str) -> Iterator[Commit]:
        """Commits from the newest back to the first."""
        current: str | None = self.head(revision)
        while current is not None:
            commit = self.commit(current)
            yield commit
            current = commit.parent

    def blob(self, entry: Entry) -> Path:
        """Where the bytes of a file lie."""
        return self.large(entry.sha256) if entry.sha256 else self.path / "blobs" / entry.oid

    def large(self, sha256: str) -> Path:
        """Where a large object lies, or would lie. Anything but a digest is refused: it becomes a file name."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise MissingError("Entry", sha256)
        return self.path / "large" / sha256

    def add_small(self, data: bytes) -> Entry:
        """Keep a small file."""
        entry = Entry(git_blob_id(data), len(data))
        if not self.blob(entry).exists():
            write_file(self.blob(entry), data)
        return entry

    def add_large(self, source: BinaryIO, sha256: str) -> bool:
        """Stream a large object in; False (nothing kept) when its digest is another than announced."""
        self.large(sha256).parent.mkdir(exist_ok=True)
        aside = self.large(sha256).with_name(f".{sha256}.{uuid.uuid4().hex}")
        digest = hashlib.sha256()
        try:
            with aside.open("wb") as target:
                while block := source.read(BLOCK):
                    digest.update(block)
                    target.write(block)
            if digest.hexdigest() != sha256:
                return False
            aside.replace(self.large(sha256))
            return True
        finally:
            aside.unlink(missing_ok=True)

    def large_entry(self, sha256: str) -> Entry:
        """The entry of a large object that is already stored; MissingError if it is not."""
        if not self.large(sha256).is_file():
            raise MissingError("Entry", sha256)
        size = self.large(sha256).stat().st_size
        return Entry(git_blob_id(POINTER.format(sha256, size).encode()), size, sha256)

    def record(self, ref: str, commit: Commit) -> None:
        """Keep a commit and move a ref to it."""
        write_file(self.path / "commits" / f"{commit.id}.json", json.dumps(asdict(commit)).encode())
        self.set_ref(ref, commit.id)


class Storage:
    """All repositories under one folder. `lock` is held by whoever changes refs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()

    def _folder(self, kind: str, repo_id: str) -> Path:
        parts = repo_id.split("/")
        if len(parts) != 2 or any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise MissingError("Repo", repo_id)
        return self.root / kind / parts[0] / parts[1]

    def repo(self, kind: str, repo_id: str) -> Repo:
        """A repository that exists, or MissingError."""
        path = self._folder(kind, repo_id)
        if not (path / "repo.json").is_file():
            raise MissingError("Repo", repo_id)
        return Repo(path, kind, repo_id)

    def create(self, kind: str, repo_id: str, *, private: bool = False, gated: bool = False) -> Repo:
        """A new repository with the Hub's first commit; FileExistsError if it is there already."""
        path = self._folder(kind, repo_id)
        with self.lock:
            if (path / "repo.json").is_file():
                raise FileExistsError(repo_id)
            repo = Repo(path, kind, repo_id)
            write_file(path / "refs.json", b"{}")
            (path / "commits").mkdir(exist_ok=True)
            first = Commit(None, "initial commit", "", "system", now(), {".gitattributes": repo.add_small(INITIAL)})
            repo.record("refs/heads/main", first)
            settings = {"private": private, "gated": gated, "created": first.date}
            write_file(path / "repo.json", json.dumps(settings).encode())
            return repo

    def delete(self, kind: str, repo_id: str) -> None:
        """Remove a repository and its objects."""
        shutil.rmtree(self.repo(kind, repo_id).path)

    def change(
        self,
        repo: Repo,
        ref: str,
        files: Mapping[str, Entry | None],
        *,
        title: str,
        message: str = "",
        author: str = "tester",
        parent: str | None = None,
        base: str | None = None,
    ) -> Commit:
        """One commit on `ref` (`base` names where a new ref starts): path -> entry, or None to take the file away.

        StaleError when `parent` is given and is not the head any more.
        """
        with self.lock:
            head = repo.head(base or ref)
            if parent is not None and parent != head:
                raise StaleError(head)
            kept = {path: entry for path, entry in repo.commit(head).files.items() if path not in files}
            added = {path: entry for path, entry in files.items() if entry is not None}
            commit = Commit(head, title, message, author, now(), dict(sorted({**kept, **added}.items())))
            repo.record(ref, commit)
            return commit
