"""Which of the published files a card means, and in which of its forms they are: told apart by their columns."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from curator.reading import DATA_SUFFIXES, RawFiles, columns_of
from curator.rules import labels_of
from registry.card import Card, Source
from registry.discovery import load_module, names, package_folder
from registry.errors import Refusal
from registry.store import COST, RECORD

FORMATS = "curator.formats"
LISTING = "published.jsonl"
"""One line a file of a raw folder: path, size, sha256."""
RESERVED = {RECORD, COST, LISTING}
"""Files of ours at the top of a raw folder."""
HUB_CACHE = ("datasets--", "models--", "spaces--")
"""How the folder of a repository begins in the cache of the Hub's client."""
_SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval")


@dataclass(frozen=True)
class Form:
    """One way a dataset is published: the card's main one or an alternate."""

    format: str
    columns: dict[str, str]
    options: dict[str, str]
    source: Source

    @property
    def module(self) -> ModuleType:
        """The format's module."""
        return load_module(FORMATS, self.format, "format")

    def roles(self) -> dict[str, str]:
        """Role -> column of this copy; raises Refusal when the card names a role that the format has not."""
        usual: dict[str, str] = self.module.COLUMNS
        unknown = sorted(set(self.columns) - set(usual))
        if unknown:
            raise Refusal(
                f"format '{self.format}'",
                f"has no role {', '.join(unknown)}",
                f"its roles are: {', '.join(usual)}",
            )
        return {**usual, **self.columns}

    def missing(self, columns: Iterable[str]) -> list[str]:
        """Columns that this form needs and a file has not; a role the card names outright is always needed."""
        optional = set(self.module.OPTIONAL) - set(self.columns)
        there = set(columns)
        return sorted(name for role, name in self.roles().items() if role not in optional and name not in there)

    def settings(self) -> dict[str, Any]:
        """What of this form decides the samples."""
        return {
            "format": self.format,
            "columns": self.columns,
            "options": self.options,
            "files": self.source.files,
            "config": self.source.config,
            "splits": self.source.splits,
            **({"rows_at": self.source.rows_at} if self.source.rows_at else {}),
        }


def forms(card: Card, repo: str | None = None) -> list[Form]:
    """The card's forms, main first; with ``repo``, those published there come before all others."""
    main = Form(card.format, card.columns, card.options, card.source)
    others = [Form(a.format, a.columns, a.options, a.source or Source()) for a in card.alternates if a.format]
    return sorted([main, *others], key=lambda form: repo is not None and form.source.hub_repo != repo)


def readable_forms(card: Card, repo: str | None = None) -> list[Form]:
    """The forms that some format can read; raises Refusal when the card's main format is unknown.

    An alternate may be a fact for people that nothing reads yet.
    """
    load_module(FORMATS, card.format, "format")
    known = names(package_folder(FORMATS), ".py")
    return [form for form in forms(card, repo) if form.format in known]


def recognise(
    card: Card, folder: Path, repo: str | None = None, available: list[str] | None = None
) -> tuple[Form, RawFiles]:
    """The first form whose files and columns are there; raises Refusal listing what each form misses.

    ``available``: the files of the folder that count; None = all.
    """
    available = list_files(folder).published if available is None else available
    misses = []
    for form in readable_forms(card, repo):
        files = [folder / name for name in select(available, form.source) if is_data(name)]
        if not files:
            misses.append(f"{form.format}: no data file matches")
            continue
        columns = next((found for file in files if (found := columns_of(file, form.source.rows_at))), set())
        missing = form.missing(columns)
        if not missing:
            rows_at, labels = form.source.rows_at, labels_of(card.parts)
            return form, RawFiles(folder, files, form.roles(), form.options, card.prompts, rows_at, labels)
        misses.append(f"{form.format}: {files[0].name} has no column {', '.join(missing)}")
    raise Refusal(
        f"{card.name}: {folder.name}",
        f"the files are in no form that the card knows ({'; '.join(misses)})",
        "correct 'columns' in the card, or add an alternate with these columns",
    )


def select(paths: Iterable[str], source: Source) -> list[str]:
    """The files a source means, sorted: its globs, else its config's folder and its splits, else all.

    Where a split is asked for and the file names speak of splits, only files of that split are taken;
    a dataset in one file without a split in its name is taken as it is.
    """
    kept = sorted(name for name in paths if not _is_private(name))
    if source.files:
        return [name for name in kept if any(fnmatch.fnmatchcase(name, glob) for glob in source.files)]
    if source.config:
        in_config = [name for name in kept if source.config in PurePosixPath(name).parts[:-1]]
        kept = in_config or kept
    if not source.splits:
        return kept
    data = [name for name in kept if is_data(name)]
    if not any(_speaks_of(name, _SPLITS) for name in data):
        return kept
    return [name for name in kept if not is_data(name) or _speaks_of(name, source.splits)]


def is_data(name: str) -> bool:
    """Whether a file holds rows (not pictures, not a README)."""
    path = PurePosixPath(name)
    return path.suffix in DATA_SUFFIXES and path.name not in ("dataset_infos.json", "dataset_info.json")


@dataclass(frozen=True)
class Files:
    """What lies below a folder, as sorted relative posix names."""

    published: list[str]
    """Files, and links to files that stay inside."""
    strange: list[str]
    """Links to files that leave the folder or lead nowhere, and links to folders: none is followed."""


def list_files(folder: Path) -> Files:
    """All published files below ``folder``. A link may lead to a file of the same folder, or of the same Hub cache."""
    published, strange = [], []
    allowed = _may_hold(folder.resolve())
    for root, folders, files in os.walk(folder, onerror=_refuse_unreadable):
        strange += [path for name in folders if (path := Path(root, name)).is_symlink()]
        for path in (Path(root, name) for name in files):
            if path.is_symlink() and not _leads_into(path, allowed):
                strange.append(path)
            elif path.is_file():
                published.append(path)
    names = ({path.relative_to(folder).as_posix() for path in paths} for paths in (published, strange))
    return Files(*(sorted(found - RESERVED) for found in names))


def _may_hold(folder: Path) -> list[Path]:
    """Where the links of a folder may lead: into it, and for a snapshot of the Hub's cache to the blobs beside it."""
    repository = folder.parent.parent
    is_snapshot = folder.parent.name == "snapshots" and repository.name.startswith(HUB_CACHE)
    return [folder, repository / "blobs"] if is_snapshot else [folder]


def _leads_into(link: Path, allowed: list[Path]) -> bool:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # nowhere, or in a circle
        return False
    return target.is_file() and any(target.is_relative_to(folder) for folder in allowed)


def _refuse_unreadable(error: OSError) -> None:
    raise Refusal(str(error.filename), "cannot be read, so what it holds would be lost", "make it readable") from None


def _is_private(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _speaks_of(name: str, splits: Iterable[str]) -> bool:
    """Whether a split stands as a word in a file's name or folders (``train2017`` speaks of ``train``)."""
    return any(re.search(rf"(?<![a-z0-9]){re.escape(split.lower())}(?![a-z])", name.lower()) for split in splits)
