"""Models that filters measure with: known by the digest of their files, wherever these lie.

A model is named as ``WHERE[#TEMPLATE]``. WHERE is a folder in transformers' layout, a finished trial's folder,
``demo`` (the packaged base), a repository on the Hub (``org/name@revision``, fetched into the data home), or
``sha256:DIGEST`` alone, which is enough where the measure is made already. TEMPLATE is the chat template of a model
that is asked questions; a trial and a base built here know their own.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.hub import HubListing, PublishedFile, download, list_repository
from registry.checkpoint import (
    BUILT,
    CHECKPOINT,
    DEMO,
    WEIGHTS,
    PickledRefusal,
    base_digest,
    base_folder,
    is_pickled,
)
from registry.errors import Refusal
from registry.identity import file_digest
from registry.store import DOWNLOADS, Home, Record, is_finished, read_record

FETCHED = (*WEIGHTS, ".json", ".txt", ".jinja")
"""Endings of the files that are fetched from a repository: weights without code, settings, vocabularies, templates."""
BY_DIGEST = "sha256:"

_REPOSITORY = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT_START = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True)
class Model:
    """A model that is known by what it is."""

    digest: str
    """Of the checkpoint's files."""
    folder: Path | None = None
    """Where they lie; None when only the digest is known."""
    template: str | None = None

    def identity(self) -> dict[str, str]:
        """What of it decides measured values."""
        return {"digest": self.digest} | ({"template": self.template} if self.template else {})

    def named_by_digest(self) -> str:
        """The model as a recipe for other machines names it."""
        return named_by_digest(self.identity())


@dataclass(frozen=True)
class Offer:
    """The files of a repository at a commit that would be fetched."""

    repo: str
    commit: str
    files: list[PublishedFile]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def folder(self, home: Home) -> Path:
        """Where they go."""
        return home.stage("models") / f"{self.repo.replace('/', '--')}@{self.commit[:12]}"


def named_by_digest(identity: dict[str, str]) -> str:
    """A model's identity as the text that names it anywhere."""
    template = f"#{identity['template']}" if "template" in identity else ""
    return f"{BY_DIGEST}{identity['digest']}{template}"


def find_model(home: Home, name: str, *, fetch: bool = True) -> Model:
    """The model of this name; a repository that is not here is fetched.

    Raises:
        Refusal: there is no such model, its weights could run code, or it is not here and must not be fetched.
    """
    where, template = _split(name)
    if where.startswith(BY_DIGEST):
        return Model(_checked_digest(where), _fetched_by_digest(home, where.removeprefix(BY_DIGEST)), template)
    folder = _local(where)
    if folder is None:
        found = offer(home, where)
        if isinstance(found, Offer) and not fetch:
            what = f"is not here yet ({found.size:,} bytes at {found.commit[:12]})"
            raise Refusal(f"model {where}", what, "run it without --dry-run: that fetches the model")
        kept = found if isinstance(found, Path) else _fetch(home, found)
        return Model(read_record(kept).digest, kept / CHECKPOINT, template)
    return Model(_digest(folder, _stamp(folder)), folder, template or _own_template(folder))


def offer(home: Home, where: str) -> Offer | Path:
    """What would be fetched of a repository; its folder when it is here.

    A commit that is here is found without asking the Hub.
    """
    repo, revision = _repository(where)
    here = _fetched_at(home, repo, revision)
    if here is not None:
        return here
    listing = list_repository(repo, revision, kind="model")
    found = Offer(repo, listing.commit, _wanted(repo, listing))
    return found.folder(home) if is_finished(found.folder(home)) else found


def model_here(home: Home, name: str) -> Model | None:
    """The model if it is on this machine; no server is asked, so a revision must be a commit."""
    where, template = _split(name)
    folder = _local(where)
    if folder is not None:
        return Model(_digest(folder, _stamp(folder)), folder, template or _own_template(folder))
    kept = _fetched_at(home, *_repository(where))
    return Model(read_record(kept).digest, kept / CHECKPOINT, template) if kept is not None else None


def described(home: Home, name: str) -> tuple[Model | None, str]:
    """For a plan, without fetching: the model if it is here, and what to call it."""
    where, _ = _split(name)
    if _local(where) is None and not where.startswith(BY_DIGEST):
        found = offer(home, where)
        if isinstance(found, Offer):
            return None, f"{found.repo}@{found.commit[:12]}, to be fetched: {found.size:,} bytes"
    model = find_model(home, name, fetch=False)
    return model, f"{where} (digest {model.digest[:12]})"


def _repository(where: str) -> tuple[str, str | None]:
    """``org/name`` and the revision, if one is named."""
    match = _REPOSITORY.fullmatch(where)
    if match is None or where.startswith("."):
        raise Refusal(f"model {where}", "is no folder, and no repository on the Hub", "write it as org/name@revision")
    return match["repo"], match["revision"]


def _fetched_at(home: Home, repo: str, revision: str | None) -> Path | None:
    """The finished folder of a repository at a commit."""
    if not revision or not _COMMIT_START.fullmatch(revision):
        return None
    mask = f"{repo.replace('/', '--')}@{revision[:12]}*"
    here = [folder for folder in sorted(home.stage("models").glob(mask)) if is_finished(folder)]
    return here[0] if len(here) == 1 else None


def _split(name: str) -> tuple[str, str | None]:
    """``WHERE`` and ``TEMPLATE``; the name of a folder that is there is not split."""
    if Path(name).expanduser().is_dir():
        return name, None
    where, mark, template = name.rpartition("#")
    return (where, template) if mark and where and template else (name, None)


def _local(where: str) -> Path | None:
    """The checkpoint folder on this machine that is meant; None when the name is of another kind."""
    folder = Path(where).expanduser()
    if where == DEMO or not (folder.is_dir() or where.startswith(("/", "~", "."))):
        return base_folder(where) if where == DEMO else None
    inner = folder / CHECKPOINT
    return base_folder(str(inner if is_finished(folder) and inner.is_dir() else folder))


def _own_template(folder: Path) -> str | None:
    """The chat template that a checkpoint was last trained with, where a record beside it or in it says so."""
    if folder.name == CHECKPOINT and is_finished(folder.parent):
        stage = read_record(folder.parent).settings.get("stage")
        return str(stage["template"]) if isinstance(stage, dict) and "template" in stage else None
    try:
        built = json.loads((folder / BUILT).read_bytes())
        return str(built["stages"][-1]["template"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of the folder is replaced."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)


@functools.lru_cache
def _digest(folder: Path, _stamp: tuple[tuple[str, int, int], ...]) -> str:
    """``base_digest``, once for each state of a folder: a study resolves the same recipe for every run."""
    return base_digest(folder)


def _checked_digest(where: str) -> str:
    found = where.removeprefix(BY_DIGEST)
    if not _DIGEST.fullmatch(found):
        raise Refusal(f"model {where}", "is no digest of 64 hex characters", "copy the digest whole")
    return found


def _fetched_by_digest(home: Home, digest: str) -> Path | None:
    """A fetched model with these files."""
    folders = home.finished("models")
    return next((folder / CHECKPOINT for folder in folders if read_record(folder).digest == digest), None)


def _wanted(repo: str, listing: HubListing) -> list[PublishedFile]:
    """The files that a checkpoint is read from, folders (other formats, training states) left out."""
    top = [file for file in listing.files if "/" not in file.path and not file.path.startswith(".")]
    if not any(file.path.endswith(WEIGHTS) for file in top):
        where, way = f"{repo}@{listing.commit[:12]}", "name a repository with *.safetensors"
        if any(is_pickled(Path(file.path)) for file in top):
            raise PickledRefusal(where, way)
        raise Refusal(where, "has no safetensors weights", way)
    return [file for file in top if file.path.endswith(FETCHED)]


def _fetch(home: Home, found: Offer) -> Path:
    """Bring a repository's files into the home. A killed download is continued by the next run."""
    folder = found.folder(home)
    into = home.path / DOWNLOADS / folder.name
    into.mkdir(parents=True, exist_ok=True)
    download(found.repo, found.commit, [file.path for file in found.files], into, kind="model")
    for file in found.files:
        _check(into / file.path, file)
    record = _record(found, base_digest(into))
    with home.making(folder, record) as out:
        (out / CHECKPOINT).mkdir()
        for file in found.files:
            _link(into / file.path, out / CHECKPOINT / file.path)
    shutil.rmtree(into, ignore_errors=True)
    return folder


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _check(path: Path, file: PublishedFile) -> None:
    size, sha256 = path.stat().st_size, file_digest(path) if file.sha256 else None
    if sha256 != file.sha256 or (file.size and size != file.size):
        path.unlink()  # so that the next run fetches it again
        raise Refusal(file.path, "is not what its publisher announced (size or sha256)", "run the command again")


def _record(found: Offer, digest: str) -> Record:
    settings: dict[str, Any] = {"repo": found.repo, "commit": found.commit, "bytes": found.size}
    return Record(
        kind="model",
        name=f"{found.repo}@{found.commit[:12]}",
        digest=digest,
        rows_in=len(found.files),
        rows_out=len(found.files),
        settings=settings,
        command=f"curator filter --model {found.repo}@{found.commit}",
    )
