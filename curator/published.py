"""A published mix as a stranger has it: a folder with ``mix.json``, ``publication.json`` and shards, or a Hub's.

Nothing in it is believed: sizes and digests of files, ids of rows and pictures are computed again by who needs them.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from curator.hub import download, list_repository
from curator.pictures import safe_relative
from curator.publication import PUBLICATION_FILE
from curator.raw_sample import Unusable
from registry.damage import damage_refused, table_of
from registry.errors import Refusal
from registry.mix import MIX_FILE, MixInfo
from registry.store import DOWNLOADS, Home

if TYPE_CHECKING:
    import pyarrow as pa

ROW_COLUMNS = ("position", "id", "copy", "dataset", "part", "category", "source_id")
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_BATCH = 256
"""Rows with pictures that are in memory at a time."""


@dataclass(frozen=True)
class PublishedFiles:
    """The files of a published mix in a folder."""

    folder: Path
    info: MixInfo
    shards: dict[str, dict[str, Any]]
    """Path -> what ``publication.json`` says of it: rows, size, sha256."""
    whole: bool
    """False for a recipe with the ids of its rows alone."""

    @classmethod
    def open(cls, folder: Path) -> PublishedFiles:
        """Read the account of a published mix; raises Refusal for a folder that is none."""
        try:
            info = MixInfo.model_validate_json((folder / MIX_FILE).read_bytes())
            said = json.loads((folder / PUBLICATION_FILE).read_bytes())
            whole = said["settings"]["form"] == "whole"
            shards = {safe_relative(path): dict(shard) for path, shard in said["large"].items()}
        except FileNotFoundError as error:
            what = f"is no published mix: it has no {Path(str(error.filename)).name}"
            raise Refusal(str(folder), what, "name a mix, a folder of a published one, or org/name") from None
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError, Unusable) as error:
            reason = str(error).splitlines()[0]
            raise Refusal(str(folder), f"its account is damaged ({reason})", "download it again") from None
        return cls(folder, info, shards, whole)

    def rows(self) -> pa.Table:
        """All rows without their conversations and pictures, in the order of the mix."""
        import pyarrow as pa

        tables = [table_of(self.folder / path, list(ROW_COLUMNS)) for path in sorted(self.shards)]
        return pa.concat_tables(tables).sort_by("position")

    def samples(self, path: str) -> Iterator[list[dict[str, Any]]]:
        """The whole rows of one shard, some at a time."""
        import pyarrow.parquet as pq

        with damage_refused(self.folder / path), pq.ParquetFile(self.folder / path) as file:
            for batch in file.iter_batches(_BATCH, columns=["id", "position", "images", "messages"]):
                yield batch.to_pylist()


def is_repository(name: str) -> bool:
    """Whether a name is that of a Hub repository, and not of something that is here."""
    return _REPOSITORY.fullmatch(name) is not None and not Path(name).exists()


@dataclass(frozen=True)
class Downloaded:
    """A published mix of a Hub, and the commit."""

    mix: PublishedFiles
    commit: str


def published_account(repo: str, revision: str | None = None, endpoint: str | None = None) -> Downloaded:
    """What a published mix says of itself; nothing of it is kept."""
    with tempfile.TemporaryDirectory() as into:
        return _fetch(Path(into), repo, revision, endpoint, [MIX_FILE, PUBLICATION_FILE])


def fetch_published(home: Home, repo: str, revision: str | None = None, endpoint: str | None = None) -> Downloaded:
    """Download a published mix into the home's downloads; a run that was stopped is continued by the next one.

    Args:
        home: the data home.
        repo: ``org/name``.
        revision: branch, tag or commit; None = the newest.
        endpoint: address of the Hub-compatible server; None = ``HF_ENDPOINT`` or the Hub.
    """
    into = home.path / DOWNLOADS / f"{repo.replace('/', '--')}"
    into.mkdir(parents=True, exist_ok=True)
    return _fetch(into, repo, revision, endpoint, None)


def _fetch(into: Path, repo: str, revision: str | None, endpoint: str | None, paths: list[str] | None) -> Downloaded:
    listing = list_repository(repo, revision, endpoint)
    there = {file.path for file in listing.files}
    if PUBLICATION_FILE not in there or MIX_FILE not in there:
        raise Refusal(repo, "is a dataset, but no published mix", "pull it as a dataset: it needs a card")
    into = into / listing.commit[:12]
    download(repo, listing.commit, paths, into, endpoint)
    return Downloaded(PublishedFiles.open(into), listing.commit)


def forget(downloaded: Downloaded) -> None:
    """Remove what ``fetch_published`` brought."""
    shutil.rmtree(downloaded.mix.folder.parent, ignore_errors=True)
