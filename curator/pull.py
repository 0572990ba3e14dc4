"""Pull: bring a dataset's files, as they were published, into ``raw/<dataset>@<revision>/``.

From a local folder in the Hub's layout (revision ``local-`` and a digest of names and contents) or from a
Hub-compatible server (revision: the commit). Every file is hashed; ``published.jsonl`` lists them all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from curator.hub import PublishedFile, download, list_repository
from curator.pictures import safe_relative
from curator.raw_sample import Unusable
from curator.selection import LISTING, RESERVED, Files, forms, is_data, list_files, select
from registry.card import Card, Source
from registry.damage import damaged
from registry.errors import Refusal
from registry.identity import digest, file_digest, short
from registry.store import DOWNLOADS, Home, Record, is_finished, read_record

NOT_ASKED_FOR = "not asked for by the card"
ROW_SUFFIXES = (".csv", ".tsv", ".arrow", ".gz", ".zst", ".jsonl", ".json", ".parquet")
"""Endings of files that hold rows, though perhaps not for us."""
LEFT_OUT_TOLD = 20
_BLOCK = 1 << 20

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Offer:
    """What a pull would bring, before anything is spent."""

    name: str
    revision: str
    repo: str | None
    """Repository on the Hub; None for a local folder."""
    commit: str | None
    source: Path | None
    files: list[PublishedFile]
    left_out: int
    """Files there that the card does not ask for."""
    rows_left_out: tuple[str, ...] = ()
    """Those of them that hold rows, or seem to."""
    links: tuple[str, ...] = ()
    """Links there that are not followed."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def folder(self, home: Home) -> Path:
        """Where the files go."""
        return home.stage("raw") / f"{self.name}@{self.revision}"


@dataclass(frozen=True)
class Pulled:
    """A finished raw folder and its account."""

    folder: Path
    record: Record
    already_there: bool


def offer_from_folder(card: Card, source: Path, only: list[str] | None = None) -> Offer:
    """Look at a local folder, or at some files of it. They are hashed here, because their digest is the revision."""
    here = list_files(source) if only is None else Files(only, [])
    there = here.published
    wanted = only or sorted({name for form in forms(card) for name in select(there, form.source)})
    _refuse_strange(card, source, here)
    _refuse_nothing(card, str(source), wanted)
    files = [PublishedFile(name, (source / name).stat().st_size, file_digest(source / name)) for name in wanted]
    names_and_contents = [[file.path, file.sha256] for file in files]
    revision = f"local-{short(digest(names_and_contents))}"
    rest = sorted(set(there) - set(wanted))
    return Offer(card.name, revision, None, None, source, files, len(rest), _with_rows(rest), _visible(here.strange))


def offer_from_raw(folder: Path) -> Offer:
    """What a finished raw folder was pulled as: nothing is left to bring."""
    record = read_record(folder)
    try:
        lines = (folder / LISTING).read_text(encoding="utf-8").splitlines()
        files = [PublishedFile(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise damaged(folder / LISTING, str(error)) from None
    settings, left_out = record.settings, sum(record.rejected.values())
    rows = tuple(settings["left_out"])
    return Offer(settings["dataset"], settings["revision"], None, None, folder, files, left_out, rows)


def offer_from_hub(
    card: Card, *, repo: str | None = None, revision: str | None = None, endpoint: str | None = None
) -> Offer:
    """Ask a Hub which files the card's repository has at a commit.

    ``repo`` may be an alternate of the card, or any other repository: a mirror or a renamed copy, whose form is then
    told by its columns.
    """
    published = {form.source.hub_repo: form for form in reversed(forms(card)) if form.source.hub_repo}
    chosen = repo or card.source.hub_repo
    if chosen is None:
        known = "name one with --repo, or pass --from with a local copy"
        raise Refusal(card.name, "the card names no Hub repository", known)
    copy = Source(splits=card.source.splits, files=card.source.files)
    source = published[chosen].source if chosen in published else copy
    listing = list_repository(chosen, revision or source.revision, endpoint)
    by_path = {_checked_path(chosen, file.path): file for file in listing.files}
    wanted = select(by_path.keys() - RESERVED, source)
    _refuse_nothing(card, chosen, wanted)
    narrowed = {"files": source.files, "config": source.config, "splits": source.splits}
    suffix = f".{digest(narrowed)[:6]}" if len(wanted) < len(by_path) else ""
    files = [by_path[path] for path in wanted]
    label = f"{listing.commit[:12]}{suffix}"
    rest = sorted(by_path.keys() - set(wanted))
    return Offer(card.name, label, chosen, listing.commit, None, files, len(rest), _with_rows(rest))


def _with_rows(names: Iterable[str]) -> tuple[str, ...]:
    """Which of these files hold rows by their names, in a form that is read or in another."""
    return tuple(name for name in _visible(names) if name.lower().endswith(ROW_SUFFIXES))


def _visible(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith("."))


def pull(
    home: Home, offer: Offer, *, endpoint: str | None = None, link: bool = False, advance: Advance | None = None
) -> Pulled:
    """Bring the offered files; a finished folder is left as it is.

    Args:
        home: where to.
        offer: from ``offer_from_folder`` or ``offer_from_hub``.
        endpoint: address of the Hub-compatible server; None = ``HF_ENDPOINT`` or the Hub.
        link: hard links instead of copies of local files (the source must then never be edited in place).
        advance: told the number of files done.
    """
    folder = offer.folder(home)
    if is_finished(folder):
        return Pulled(folder, read_record(folder), already_there=True)
    _refuse_full_disk(home, offer)
    origin = offer.source or _downloaded(home, offer, endpoint)
    record = _record(offer)
    with home.making(folder, record) as out:
        listing = []
        for file in offer.files:
            try:
                listing.append(_bring(origin / file.path, out / file.path, file, link=link or offer.source is None))
            except _Different:
                if offer.source is None:
                    (origin / file.path).unlink()  # so that the next run fetches it again
                raise
            (advance or (lambda _files: None))(1)
        record.digest = digest({"dataset": offer.name, "revision": offer.revision, "files": listing})
        lines = [json.dumps(dict(zip(("path", "size", "sha256"), line, strict=True))) for line in listing]
        (out / LISTING).write_text("\n".join(lines) + "\n", encoding="utf-8")
    if offer.source is None:
        shutil.rmtree(origin, ignore_errors=True)
    return Pulled(folder, record, already_there=False)


def pulled_folders(home: Home, name: str) -> list[Path]:
    """Finished raw folders of a dataset."""
    return [folder for folder in home.finished("raw") if folder.name.rpartition("@")[0] == name]


def _record(offer: Offer) -> Record:
    return Record(
        kind="raw",
        name=f"{offer.name}@{offer.revision}",
        digest="",
        rows_in=len(offer.files) + offer.left_out,
        rows_out=len(offer.files),
        rejected={NOT_ASKED_FOR: offer.left_out} if offer.left_out else {},
        settings={
            "dataset": offer.name,
            "revision": offer.revision,
            "repo": offer.repo,
            "commit": offer.commit,
            "bytes": offer.size,
            "left_out": list(offer.rows_left_out[:LEFT_OUT_TOLD]),
        },
        command=f"curator pull {offer.name}",
    )


def _downloaded(home: Home, offer: Offer, endpoint: str | None) -> Path:
    """The folder with all files of a Hub offer. A killed download is continued here by the next run."""
    assert offer.repo is not None
    assert offer.commit is not None
    into = home.path / DOWNLOADS / f"{offer.name}@{offer.revision}"
    into.mkdir(parents=True, exist_ok=True)
    paths = [file.path for file in offer.files] if offer.left_out else None
    download(offer.repo, offer.commit, paths, into, endpoint)
    return into


def _bring(source: Path, target: Path, file: PublishedFile, *, link: bool) -> tuple[str, int, str]:
    """Copy or link one file and check it against what was announced; returns path, size and sha256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    linked = False
    if link:
        with contextlib.suppress(OSError):  # another file system: copy instead
            os.link(source.resolve(), target)  # never a link to a link
            linked = True
    if not linked:
        shutil.copyfile(source, target)
    size, sha256 = target.stat().st_size, file_digest(target)
    if (file.sha256 and sha256 != file.sha256) or (file.size and size != file.size):
        raise _Different(file.path, "is not what its publisher announced (size or sha256)", "run the command again")
    return file.path, size, sha256


class _Different(Refusal):
    """A file differs from what was announced: a changed source or a damaged download."""


def _checked_path(repo: str, path: str) -> str:
    try:
        return safe_relative(path)
    except Unusable:
        raise Refusal(repo, f"lists a file outside its folder: {path!r}", "do not use this server") from None


def _refuse_nothing(card: Card, where: str, wanted: Iterable[str]) -> None:
    if not any(is_data(name) for name in wanted):
        raise Refusal(where, f"has no data file that the card '{card.name}' asks for", "correct 'source' in the card")


def _refuse_strange(card: Card, source: Path, here: Files) -> None:
    """Refuse links that would be data if they were followed, rather than pull a dataset that lacks them."""
    names = {*here.published, *here.strange}
    asked = {name for form in forms(card) for name in select(names, form.source)} & set(here.strange)
    link = next((name for name in sorted(asked) if is_data(name)), None)
    if link is not None:
        leads = "out of its folder" if (source / link).exists() else "nowhere"
        raise Refusal(str(source / link), f"is a link that leads {leads}", "put the file itself there")


def _refuse_full_disk(home: Home, offer: Offer) -> None:
    """Refuse before anything is spent when the files cannot fit."""
    home.path.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home.path).free
    if offer.size > free:
        what = f"needs {offer.size:,} bytes and {free:,} are free"
        raise Refusal(f"{home.path}", what, "free some space, or choose another --home")
