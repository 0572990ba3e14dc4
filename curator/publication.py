"""What every publication does: look, send what is large, make one commit and a tag, look at the result.

Nothing is visible before the commit, and the commit is everything at once. What is there already is not sent again:
goods are recognised by their content digest and settings, a large file of a killed run by its own digest. A
publication that is finished leaves a record in the data home, so that `curator lineage` knows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from curator.destination import Destination, Known, State, Unreachable, checked_tag
from curator.evidence import Evidence
from registry.errors import Refusal
from registry.identity import digest
from registry.store import Home, Record, dump_json, find_folder, read_record

PUBLICATION_FILE = "publication.json"
README = "README.md"
PUBLICATION_VERSION = 1
_HARMLESS = (".gitattributes", ".gitignore", README, "LICENSE", "LICENSE.md")
"""Files that a repository may hold and still count as empty."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Wish:
    """What a user asks for, whatever is published."""

    repo_id: str
    public: bool = False
    tag: str | None = None
    date: str = "1970-01-01"
    """Day of the publication, as pages that must tell one say it."""


@dataclass(frozen=True)
class Large:
    """A large file of a publication: what `publication.json` says of it, beside its size and sha256, and its rows."""

    size: int
    sha256: str
    facts: dict[str, Any]
    rows: int = 0

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return {"size": self.size, "sha256": self.sha256, **self.facts}


class Goods(Protocol):
    """What is published: files, and what they are recognised by."""

    @property
    def stage(self) -> str:
        """Stage of the data home that it lies in."""

    @property
    def folder(self) -> Path:
        """Its finished folder in the data home."""

    @property
    def title(self) -> str:
        """Title of the commit."""

    @property
    def form(self) -> str:
        """One word for people: ``whole``, ``recipe-only`` or ``checkpoint``."""

    @property
    def content(self) -> str:
        """Digest of what is published."""

    @property
    def tag(self) -> str:
        """Name of the version where nobody gives one."""

    @property
    def rows(self) -> int:
        """Samples; for the account, and for progress."""

    @property
    def evidence(self) -> list[Evidence]:
        """Decisions that the page tells of."""

    def settings(self) -> dict[str, Any]:
        """What besides the content decides the published files."""

    def large(self, work: Path) -> Iterator[tuple[str, Path, Large]]:
        """Path in the repository, a file that is there until the next one is asked for, and what is said of it."""

    def small(self, to: Destination, tag: str, large: dict[str, Large]) -> dict[str, bytes]:
        """The other files, without `publication.json`; made when the large ones are known."""

    def owns(self, path: str) -> bool:
        """Whether a file of an earlier version may be taken away."""


@dataclass(frozen=True)
class Look:
    """The repository as it was before anything was sent."""

    state: State
    unchecked: tuple[str, ...] = ()
    """What could not be looked at; only a plan that is not carried out may have any."""


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before a byte is sent."""

    wish: Wish
    goods: Goods
    tag: str
    look: Look
    present: bool
    """The repository holds exactly this already."""
    warnings: list[str]

    @property
    def private(self) -> bool:
        """Whether the repository is, or will be, private."""
        return self.look.state.private if self.look.state.head else not self.wish.public

    def plain(self) -> dict[str, Any]:
        """What ``--dry-run`` prints; kinds of goods add to it."""
        new = None if self.look.unchecked and self.look.state.head is None else self.look.state.head is None
        return {
            "repo": self.wish.repo_id,
            "from": f"{self.goods.stage}/{self.goods.folder.name}",
            "form": self.goods.form,
            "tag": self.tag,
            "private": self.private,
            "new_repository": new,
            "already_there": self.present,
            "not_checked": list(self.look.unchecked),
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class Published:
    """What is on a Hub now, looked at after the upload."""

    url: str
    commit: str
    tag: str
    private: bool
    rows: int
    files: int
    bytes: int
    uploaded: bool
    """False when all of it was there before."""
    record: str
    """Place of the record in the data home."""
    warnings: list[str]


def plan(home: Home, goods: Goods, wish: Wish, to: Destination, warnings: list[str], *, only_plan: bool) -> Plan:
    """Look at the account and the repository; Refusal for whatever will not work out.

    A plan that is not to be carried out needs neither a token nor a Hub: what was not looked at is in it.
    """
    tag = checked_tag(wish.tag) if wish.tag else goods.tag
    look = _look(to) if only_plan else _look_closely(to)
    before = look.state
    _refuse_foreign(wish, before)
    present = _is_present(home, to, before, goods)
    tagged = before.tags.get(tag)
    if tagged is not None and not (present and tagged == before.head):
        what = "this tag names another version already (other rows, or another form or evidence of the same)"
        raise Refusal(f"{wish.repo_id}@{tag}", what, "choose another with --tag")
    if wish.public and before.head is not None and before.private:
        warnings = [*warnings, f"{wish.repo_id} is private and stays so: its settings on the Hub make it public"]
    return Plan(wish, goods, tag, look, present, warnings)


def publish(home: Home, plan: Plan, to: Destination, advance: Advance = lambda _rows: None) -> Published:
    """Carry a plan out; ``advance`` is told the rows that are done."""
    assert not plan.look.unchecked, "a plan that was looked at from afar is not carried out"
    if plan.present:
        head, wanted = plan.look.state.head, dict[str, Known]()
        advance(plan.goods.rows)
    else:
        head, wanted = _upload(home, plan, to, advance)
    assert head is not None, "goods that are present have a commit"
    if plan.look.state.tags.get(plan.tag) != head:
        to.tag(plan.tag, head)
    after = _checked(to, head, wanted, plan.tag)
    return Published(
        url=to.url,
        commit=head,
        tag=plan.tag,
        private=after.private,
        rows=plan.goods.rows,
        files=len(after.files),
        bytes=sum(known.size for known in after.files.values()),
        uploaded=not plan.present,
        record=_recorded(home, plan, to, head),
        warnings=plan.warnings,
    )


def _look_closely(to: Destination) -> Look:
    to.check_account()
    return Look(to.state())


def _look(to: Destination) -> Look:
    """What can be seen with what is at hand."""
    try:
        if to.has_token:
            return _look_closely(to)
        unseen = ["whether the account may write there: there is no token"]
        state = to.state()
    except Unreachable as problem:
        return Look(State(), (f"the account and the repository: {problem.what}",))
    if state.head is None:
        unseen.append("whether a private repository of this name is there already: without a token it cannot be seen")
    return Look(state, tuple(unseen))


def _refuse_foreign(wish: Wish, before: State) -> None:
    """Never write over what is no publication of ours, and never into a public repository that nobody asked for."""
    if before.head is None:
        return
    foreign = sorted(path for path in before.files if path not in _HARMLESS)
    if foreign and PUBLICATION_FILE not in before.files:
        what = f"holds files that no 'curator publish' put there ({foreign[0]} …)"
        raise Refusal(wish.repo_id, what, "publish under another name")
    if not wish.public and not before.private:
        raise Refusal(wish.repo_id, "is public", "add --public if that is meant, or make it private in its settings")


def _is_present(home: Home, to: Destination, before: State, goods: Goods) -> bool:
    """Whether the repository's files are these goods, by what its publication says and lists."""
    if before.head is None or PUBLICATION_FILE not in before.files:
        return False
    with home.workspace("publish") as work:
        try:
            told = json.loads(to.read(PUBLICATION_FILE, before.head, work))
            large = {path: Known(one["size"], one["sha256"]) for path, one in told["large"].items()}
            same = told["content_digest"] == goods.content and told["settings"] == _settings(goods)
            small = set(told["small"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return False  # damaged: it is published anew
    there = {path for path in before.files if goods.owns(path) and path != PUBLICATION_FILE}
    return same and there <= {*large, *small} <= before.files.keys() and before.holds(large)


def _settings(goods: Goods) -> dict[str, Any]:
    return {"publication_version": PUBLICATION_VERSION, "form": goods.form, **goods.settings()}


def _upload(home: Home, plan: Plan, to: Destination, advance: Advance) -> tuple[str, dict[str, Known]]:
    """Send the large files one by one, then commit; the commit, and what it must hold."""
    goods, parent = plan.goods, plan.look.state.head
    if parent is None:
        to.create(private=not plan.wish.public)
        parent = to.state().head
    assert parent is not None, "a repository that was just made has a first commit"
    large: dict[str, Large] = {}
    sent = []
    with home.workspace("publish") as work:
        for path, local, known in goods.large(work):
            large[path] = known
            sent.append(to.send(path, local))
            advance(known.rows)
    small = goods.small(to, plan.tag, large)
    told = {
        "content_digest": goods.content,
        "settings": _settings(goods),
        "rows": goods.rows,
        "large": {path: one.plain() for path, one in large.items()},
        "small": sorted(small),
    }
    small[PUBLICATION_FILE] = dump_json(told)
    wanted = {path: Known(one.size, one.sha256) for path, one in large.items()}
    wanted |= {path: Known.of(data) for path, data in small.items()}
    gone = [path for path in plan.look.state.files if path not in wanted and goods.owns(path)]
    return to.commit(sent, small, gone, wanted, parent=parent, message=goods.title), wanted


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


def _recorded(home: Home, plan: Plan, to: Destination, commit: str) -> str:
    """Write down in the home what was published where; the place of that record."""
    goods = plan.goods
    evidence = {one.place: one.digest for one in goods.evidence}
    settings = {
        "url": to.url,
        "repo": to.repo_id,
        "type": to.repo_type,
        "commit": commit,
        "tag": plan.tag,
        "form": goods.form,
        "content_digest": goods.content,
    }
    record = Record(
        kind="publication",
        name=to.repo_id,
        digest=digest(settings),
        inputs={f"{goods.stage}/{goods.folder.name}": read_record(goods.folder).digest, **evidence},
        rows_in=goods.rows,
        rows_out=goods.rows,
        settings=settings,
        versions={"publication": str(PUBLICATION_VERSION)},
        command=f"curator publish {goods.folder.name} {to.repo_id}",
    )
    folder = home.folder("publications", to.repo_id, record.digest)
    with home.making(folder, record):
        pass
    return folder.relative_to(home.path).as_posix()


def meant(home: Home, what: str, *, checkpoint: bool) -> tuple[str, Path]:
    """Stage and folder of what is to be published: a mix of this name, else a trial of it."""
    if checkpoint:
        return "trials", find_folder(home, "trials", what)
    try:
        return "mixes", find_folder(home, "mixes", what)
    except Refusal as no_mix:
        try:
            return "trials", find_folder(home, "trials", what)
        except Refusal:
            raise no_mix from None
