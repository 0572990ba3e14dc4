"""Publish a mix as a dataset repository: large files first, then one commit, then a tag, then a look at the result.

Nothing is visible before the commit, and the commit is everything at once. What is there already is not sent again:
the same mix is recognised by its content digest, a shard of a killed run by its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.dataset_page import Page
from curator.destination import Destination, Known, State, checked_tag
from curator.export import EXPORT_VERSION, SHARD_BYTES, Exporter, Shard, Slice
from curator.licences import Terms, check_known, hub_licences, terms_of
from curator.published_recipe import recipe_files
from registry.card import Card, load_card
from registry.errors import Refusal
from registry.identity import short
from registry.mix import MIX_FILE, MixInfo, MixReader, composition
from registry.store import Home, dump_json

PUBLICATION_FILE = "publication.json"
README = "README.md"
DATA = "data/train-"
_HARMLESS = (".gitattributes", ".gitignore", README, "LICENSE", "LICENSE.md")
"""Files that a repository may hold and still count as empty."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Wish:
    """What a user asks for."""

    repo_id: str
    private: bool = False
    endpoint: str | None = None
    tag: str | None = None
    accept_licences: bool = False
    shard_bytes: int = SHARD_BYTES


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before a byte is sent."""

    wish: Wish
    folder: Path
    info: MixInfo
    slices: list[Slice]
    terms: list[Terms]
    pictures: dict[str, int]
    warnings: list[str]
    tag: str
    before: State
    present: bool
    """The repository holds exactly this mix already."""

    @property
    def paths(self) -> list[str]:
        """Path of each shard."""
        return [f"{DATA}{number:05d}-of-{len(self.slices):05d}.parquet" for number in range(len(self.slices))]

    def plain(self) -> dict[str, Any]:
        """What ``--dry-run`` prints."""
        return {
            "repo": self.wish.repo_id,
            "mix": self.folder.name,
            "tag": self.tag,
            "rows": self.info.samples,
            "images": self.info.images,
            "shards": len(self.slices),
            "bytes_about": sum(part.estimate for part in self.slices),
            "private": self.before.private if self.before.head else self.wish.private,
            "new_repository": self.before.head is None,
            "already_there": self.present,
            "licences": hub_licences(self.terms),
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class Published:
    """A mix that is on a Hub, looked at after the upload."""

    url: str
    commit: str
    tag: str
    rows: int
    images: int
    files: int
    bytes: int
    uploaded: bool
    """False when all of it was there before."""
    warnings: list[str]


def plan_publication(home: Home, folder: Path, wish: Wish, to: Destination) -> Plan:
    """Look at the mix, its licences, the account and the repository; Refusal for whatever will not work out."""
    reader = MixReader(home, folder)
    tag = checked_tag(wish.tag) if wish.tag else f"mix-{short(reader.info.content_digest)}"
    if not reader.info.samples:
        raise Refusal(folder.name, "the mix has no samples", "loosen its filters and build it again")
    exporter = Exporter(home, reader, wish.shard_bytes)
    try:
        slices, pictures = exporter.slices(), exporter.pictures()
    finally:
        exporter.close()
    terms = terms_of(home, reader.info.datasets, pictures)
    warnings = check_known(terms, private=wish.private, accepted=wish.accept_licences)
    to.check_account()
    before = to.state()
    _refuse_foreign(wish, before)
    present = _is_present(home, to, before, reader.info, wish)
    tagged = before.tags.get(tag)
    if tagged is not None and not (present and tagged == before.head):
        raise Refusal(f"{wish.repo_id}@{tag}", "this tag names another version already", "choose another with --tag")
    return Plan(wish, folder, reader.info, slices, terms, pictures, warnings, tag, before, present)


def publish(home: Home, plan: Plan, to: Destination, advance: Advance = lambda _rows: None) -> Published:
    """Carry a plan out; ``advance`` is told the rows that are done."""
    if plan.present:
        head, wanted = plan.before.head, dict[str, Known]()
        advance(plan.info.samples)
    else:
        head, wanted = _upload(home, plan, to, advance)
    assert head is not None, "a mix that is present has a commit"
    if plan.before.tags.get(plan.tag) != head:
        to.tag(plan.tag, head)
    after = _checked(to, head, wanted, plan.tag)
    return Published(
        url=to.url,
        commit=head,
        tag=plan.tag,
        rows=plan.info.samples,
        images=plan.info.images,
        files=len(after.files),
        bytes=sum(known.size for known in after.files.values()),
        uploaded=not plan.present,
        warnings=plan.warnings,
    )


def _refuse_foreign(wish: Wish, before: State) -> None:
    """Never write over a dataset that is not a published mix, and never into a public one that should be private."""
    if before.head is None:
        return
    foreign = sorted(path for path in before.files if path not in _HARMLESS)
    if foreign and PUBLICATION_FILE not in before.files:
        what = f"holds files that are no published mix ({foreign[0]} …)"
        raise Refusal(wish.repo_id, what, "publish under another name")
    if wish.private and not before.private:
        raise Refusal(wish.repo_id, "is public", "make it private in its settings, or leave --private out")


def _is_present(home: Home, to: Destination, before: State, info: MixInfo, wish: Wish) -> bool:
    """Whether the repository's files are this mix, by its content digest and what its publication lists."""
    if before.head is None or not {MIX_FILE, PUBLICATION_FILE} <= before.files.keys():
        return False
    with home.workspace("publish") as work:
        try:
            digest = json.loads(to.read(MIX_FILE, before.head, work))["content_digest"]
            published = json.loads(to.read(PUBLICATION_FILE, before.head, work))
            wanted = {path: Known(shard["size"], shard["sha256"]) for path, shard in published["shards"].items()}
            settings = published["settings"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return False  # damaged: it is published anew
    there = {path for path in before.files if path.startswith(DATA)}
    same = digest == info.content_digest and settings == _settings(wish)
    return same and there == wanted.keys() and README in before.files and before.holds(wanted)


def _settings(wish: Wish) -> dict[str, Any]:
    """What besides the mix decides the published files."""
    return {"export_version": EXPORT_VERSION, "shard_bytes": wish.shard_bytes}


def _upload(home: Home, plan: Plan, to: Destination, advance: Advance) -> tuple[str, dict[str, Known]]:
    """Send the shards one by one, then commit; the commit, and what it must hold."""
    parent = plan.before.head
    if parent is None:
        to.create(private=plan.wish.private)
        parent = to.state().head
    assert parent is not None, "a repository that was just made has a first commit"
    shards: dict[str, Shard] = {}
    sent = []
    exporter = Exporter(home, MixReader(home, plan.folder), plan.wish.shard_bytes)
    try:
        with home.workspace("publish") as work:
            for path, part in zip(plan.paths, plan.slices, strict=True):
                local = work / "shard.parquet"
                shards[path] = exporter.write(local, part)
                sent.append(to.send(path, local))
                local.unlink()
                advance(part.stop - part.start)
    finally:
        exporter.close()
    small = _small_files(home, plan, shards)
    wanted = {path: Known(shard.size, shard.sha256) for path, shard in shards.items()}
    wanted |= {path: Known.of(data) for path, data in small.items()}
    gone = [path for path in plan.before.files if path not in wanted and _is_ours(path)]
    message = f"{plan.info.name}: {plan.info.samples:,} samples, content {short(plan.info.content_digest)}"
    return to.commit(sent, small, gone, wanted, parent=parent, message=message), wanted


def _is_ours(path: str) -> bool:
    """Whether a file of an earlier version may be taken away."""
    return path.startswith(DATA) or re.fullmatch(r"recipe(-\d+)?\.json", path) is not None


def _small_files(home: Home, plan: Plan, shards: dict[str, Shard]) -> dict[str, bytes]:
    page = Page(plan.wish.repo_id, plan.tag, plan.info, shards, plan.terms, _cards(home, plan.info), plan.pictures)
    publication = {
        "settings": _settings(plan.wish),
        "content_digest": plan.info.content_digest,
        "rows": plan.info.samples,
        "parts": composition(MixReader(home, plan.folder).rows()),
        "shards": {path: shard.plain() for path, shard in shards.items()},
    }
    return {
        README: page.readme().encode(),
        MIX_FILE: (plan.folder / MIX_FILE).read_bytes(),
        PUBLICATION_FILE: dump_json(publication),
        **recipe_files(plan.info),
    }


def _cards(home: Home, info: MixInfo) -> dict[str, Card]:
    found = {}
    for name in info.datasets:
        try:
            found[name] = load_card(name, home)
        except Refusal:
            continue  # the licences say that it is not here
    return found


def _checked(to: Destination, commit: str, wanted: dict[str, Known], tag: str) -> State:
    """The repository after all is done; Refusal when it is not what it should be."""
    after = to.state()
    differing = after.differing(wanted) if after.head == commit else []
    if after.tags.get(tag) != commit:
        differing.append(f"tag {tag}")
    if differing:
        what = f"after the upload these are not as they were sent: {', '.join(differing[:5])}"
        raise Refusal(to.repo_id, what, "run the same command again")
    return after
