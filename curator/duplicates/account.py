"""What ``curator dedup`` says: how many samples are the same, in which way, and which would go; with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from curator.duplicates.clusters import clusters
from curator.duplicates.fingerprints import folder_of
from curator.duplicates.keep import Clustered, Decided, Member, clustered, decide
from curator.duplicates.scope import NAME, Scope
from curator.measure import Advance, Measured
from curator.runner import HERE, Place
from curator.samples import Samples, find_samples
from curator.shown import rows_at
from registry.errors import Refusal
from registry.identity import order_key
from registry.recipe import Dedup
from registry.sample import message_text
from registry.store import Home, is_finished

Row = dict[str, object]
EXAMPLES = 4
"""Clusters of each way that are shown."""
SHOWN = 6
"""Samples of a cluster that are shown."""


@dataclass(frozen=True)
class Request:
    """Datasets to look at, in the order in which their rows are preferred, and those to compare against."""

    samples: list[Samples]
    against: list[Samples]
    wanted: Dedup

    @classmethod
    def of(cls, home: Home, names: Iterable[str], wanted: Dedup) -> Request:
        """Find the samples; raises Refusal for what is not here, or named on both sides."""
        samples = [find_samples(home, name) for name in dict.fromkeys(names)]
        against = [find_samples(home, name) for name in dict.fromkeys(wanted.against)]
        for name in {one.folder.name for one in samples} & {one.folder.name for one in against}:
            raise Refusal(
                f"dataset '{name.partition('@')[0]}'", "is compared against itself", "name it on one side only"
            )
        return cls(samples, against, wanted)

    @property
    def scope(self) -> Scope:
        """What is searched together."""
        return Scope.of([*self.samples, *self.against], self.wanted)


class Shown(NamedTuple):
    """One sample of an example."""

    dataset: str
    id: str
    source_id: str
    turns: list[tuple[str, str]]
    """``(role, text)`` of each message."""
    images: list[str]
    """sha256 of its pictures."""
    fate: str
    """``stays``, ``goes`` or ``against``."""
    way: str


@dataclass(frozen=True)
class Example:
    """One cluster."""

    cluster: str
    way: str
    size: int
    samples: list[Shown]
    """What stays first; not more than are shown."""


@dataclass(frozen=True)
class Account:
    """All that was found."""

    ways: list[Row]
    datasets: list[Row]
    examples: list[Example]
    folders: list[str]

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        examples = [{**vars(one), "samples": [shown._asdict() for shown in one.samples]} for one in self.examples]
        return {"ways": self.ways, "datasets": self.datasets, "examples": examples, "measures": self.folders}


def plan_rows(home: Home, request: Request) -> list[Row]:
    """What would be made, and of how many samples."""
    scope = request.scope
    rows: list[Row] = []
    for samples in scope.samples:
        for kind in scope.fingerprints():
            folder = folder_of(home, samples, kind)
            rows.append(_to_make(samples.card.name, kind.name, 0 if is_finished(folder) else samples.record.rows_out))
    todo = scope.rows if scope.missing(home) else 0
    return [*rows, _to_make(str(scope), NAME, todo)]


def _to_make(dataset: str, measure: str, samples: int) -> Row:
    return {"dataset": dataset, "measure": measure, "samples": samples}


def account(home: Home, request: Request, advance: Advance | None = None, place: Place = HERE) -> Account:
    """Search (or find) and sum up."""
    found = clusters(home, request.scope, advance, place)
    decided = decide([Member(found[s.folder.name]) for s in request.samples], _of(found, request.against))
    others = [clustered(Member(one)) for one in _of(found, request.against)]
    way_of = _ways(request, [*(one.rows for one in decided), *others])
    return Account(
        _by_way(request, decided, way_of),
        [_by_dataset(samples, one) for samples, one in zip(request.samples, decided, strict=True)],
        _examples(request, decided, others, way_of),
        sorted(str(one.folder) for one in found.values()),
    )


def _of(found: dict[str, Measured], samples: list[Samples]) -> list[Measured]:
    return [found[one.folder.name] for one in samples]


def _ways(request: Request, rows: list[Clustered]) -> dict[str, str]:
    """Cluster -> the loosest way that holds it together."""
    rank = {str(way): number for number, way in enumerate(request.scope.ways())}
    loosest: dict[str, str] = {}
    for one in rows:
        for cluster, way in zip(one.clusters, one.ways, strict=True):
            loosest[cluster] = max(way, loosest.get(cluster, way), key=rank.__getitem__)
    return loosest


def _by_way(request: Request, decided: list[Decided], way_of: dict[str, str]) -> list[Row]:
    held = {cluster for one in decided for cluster in one.rows.clusters}  # not those of what is compared against alone
    groups, reasons, rows = Counter(way_of[cluster] for cluster in held), Counter[str](), Counter[str]()
    for one in decided:
        reasons.update(way_of[c] for c, goes in zip(one.rows.clusters, one.goes.tolist(), strict=True) if goes)
        rows.update(way_of[cluster] for cluster in one.rows.clusters)
    names = list(map(str, request.scope.ways()))
    return [{"same by": n, "clusters": groups[n], "samples": rows[n], "would go": reasons[n]} for n in names]


def _by_dataset(samples: Samples, decided: Decided) -> Row:
    gone, total = int(decided.goes.sum()), samples.record.rows_out
    in_clusters = len(decided.goes)
    name = samples.card.name
    return {"dataset": name, "samples": total, "in clusters": in_clusters, "would go": gone, "left": total - gone}


def _examples(
    request: Request, decided: list[Decided], others: list[Clustered], way_of: dict[str, str]
) -> list[Example]:
    """A few clusters of each way, drawn by their names."""
    chosen: dict[str, str] = {}
    for way in map(str, request.scope.ways()):
        there = sorted((c for c, w in way_of.items() if w == way), key=partial(order_key, "dedup example"))
        chosen |= dict.fromkeys(there[:EXAMPLES], way)
    members: dict[str, list[Shown]] = {cluster: [] for cluster in chosen}
    for samples, one in zip(request.samples, decided, strict=True):
        fates = ["goes" if goes else "stays" for goes in one.goes.tolist()]
        _collect(members, samples, one.rows, fates)
    for samples, rows in zip(request.against, others, strict=True):
        _collect(members, samples, rows, ["against"] * len(rows.clusters))
    return [
        Example(cluster, way, len(members[cluster]), sorted(members[cluster], key=_shown_first)[:SHOWN])
        for cluster, way in chosen.items()
        if any(shown.fate != "against" for shown in members[cluster])
    ]


def _shown_first(shown: Shown) -> tuple[int, int]:
    return ("against", "stays", "goes").index(shown.fate), order_key("dedup", shown.id)


def _collect(members: dict[str, list[Shown]], samples: Samples, rows: Clustered, fates: list[str]) -> None:
    """Add the samples of the chosen clusters to their lists."""
    at = [number for number, cluster in enumerate(rows.clusters) if cluster in members]
    for number, row in zip(at, rows_at(samples, [int(rows.positions[number]) for number in at]), strict=True):
        turns = [(message["role"], message_text(message)) for message in row["messages"]]
        images = [image["sha256"] for image in row["images"]]
        shown = (samples.card.name, row["id"], row["source_id"], turns, images, fates[number], rows.ways[number])
        members[rows.clusters[number]].append(Shown(*shown))
