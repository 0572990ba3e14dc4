"""Publish a mix as a dataset repository: whole, with texts and pictures, or only what builds it again.

How it is sent is the business of ``curator.publication``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curator.composition_chart import CHART_FILE, chart
from curator.croissant import CROISSANT_FILE, Described, croissant
from curator.dataset_page import CARDS, Page
from curator.destination import Destination, Known
from curator.evidence import Evidence, evidence_for
from curator.export import EXPORT_VERSION, SHARD_BYTES, Exporter, Slice, features
from curator.licences import Terms, cards_of, check_known, check_redistribution, terms_of
from curator.lock import LOCK_FILE, lock
from curator.publication import README, Large, Plan, Wish, plan
from curator.published_ids import IDS_VERSION, ids_features, write_ids
from curator.published_recipe import recipe_files
from registry.card import Card, card_files
from registry.errors import Refusal
from registry.identity import short
from registry.mix import MIX_FILE, MixInfo, MixReader
from registry.store import Home, dump_json

_OURS = re.compile(
    r"(data/train-|ids/ids-)[\w-]+\.parquet|cards/[\w.-]+\.yaml|recipe(-\d+)?\.json|(lock|croissant)\.json|composition\.png"
)


@dataclass(frozen=True)
class MixWish(Wish):
    """What a user asks for of a mix."""

    accept_licences: bool = False
    shard_bytes: int = SHARD_BYTES
    recipe_only: bool = False


@dataclass(frozen=True)
class MixGoods:
    """A mix as files of a repository."""

    home: Home
    folder: Path
    info: MixInfo
    wish: MixWish
    pictures: dict[str, int]
    """Dataset -> pictures its rows show."""
    slices: list[Slice]
    """Where its shards are cut; none when only the recipe is published."""
    stage: str = "mixes"

    @property
    def form(self) -> str:
        """Whole, or only what builds it again."""
        return "recipe-only" if self.wish.recipe_only else "whole"

    @property
    def content(self) -> str:
        """Content digest of the mix."""
        return self.info.content_digest

    @property
    def tag(self) -> str:
        """Name of the version where nobody gives one."""
        return f"{'recipe' if self.wish.recipe_only else 'mix'}-{short(self.content)}"

    @property
    def rows(self) -> int:
        """Samples."""
        return self.info.samples

    @property
    def title(self) -> str:
        """Title of the commit."""
        only = " (recipe only)" if self.wish.recipe_only else ""
        return f"{self.info.name}: {self.info.samples:,} samples, content {short(self.content)}{only}"

    @cached_property
    def terms(self) -> list[Terms]:
        """Terms of each dataset."""
        return terms_of(self.home, self.info.datasets, self.pictures)

    @cached_property
    def cards(self) -> dict[str, Card]:
        """The cards that are here."""
        return cards_of(self.home, self.info.datasets)

    @cached_property
    def evidence(self) -> list[Evidence]:
        """Decisions that measured this mix."""
        return evidence_for(self.home, self.content)

    def settings(self) -> dict[str, Any]:
        """What besides the content decides the files."""
        only = {"ids_version": IDS_VERSION}
        whole = {"export_version": EXPORT_VERSION, "shard_bytes": self.wish.shard_bytes}
        form = only if self.wish.recipe_only else whole
        return {**form, "evidence": sorted(one.digest for one in self.evidence)}

    def owns(self, path: str) -> bool:
        """Whether a file of an earlier version may be taken away."""
        return _OURS.fullmatch(path) is not None

    def large(self, work: Path) -> Iterator[tuple[str, Path, Large]]:
        """Shards with everything, or ids."""
        reader = MixReader(self.home, self.folder)
        yield from write_ids(reader, work) if self.wish.recipe_only else self._shards(reader, work)

    def _shards(self, reader: MixReader, work: Path) -> Iterator[tuple[str, Path, Large]]:
        exporter = Exporter(self.home, reader, self.wish.shard_bytes)
        try:
            local = work / "shard.parquet"
            for number, part in enumerate(self.slices):
                shard = exporter.write(local, part)
                facts = {"rows": shard.rows, "content": shard.content, "categories": _categories(local)}
                known = Large(shard.size, shard.sha256, facts, shard.rows)
                yield f"data/train-{number:05d}-of-{len(self.slices):05d}.parquet", local, known
                local.unlink()
        finally:
            exporter.close()

    def small(self, to: Destination, tag: str, large: dict[str, Large]) -> dict[str, bytes]:
        """Page, chart, recipe, account, lock and description."""
        columns = ids_features() if self.wish.recipe_only else features()
        locked = lock(self.home, self.folder, self.info)
        account = {
            MIX_FILE: (self.folder / MIX_FILE).read_bytes(),
            LOCK_FILE: dump_json(locked),
            **recipe_files(self.info),
        }
        cards = own_cards(self.home, self.info.datasets)
        page = Page(
            to.repo_id, tag, self.info, large, columns, self.terms, self.cards, self.evidence,
            own_cards=sorted(cards), whole=not self.wish.recipe_only,
        )  # fmt: skip
        described = Described(
            url=to.url,
            tag=tag,
            date=self.wish.date,
            owner=to.repo_id.partition("/")[0],
            info=self.info,
            terms=self.terms,
            cards=self.cards,
            lock=locked,
            large={path: one.plain() for path, one in large.items()},
            small={path: vars(Known.of(data)) for path, data in account.items()},
            features=columns,
        )
        return {
            README: page.readme().encode(),
            CHART_FILE: chart(self.info),
            CROISSANT_FILE: dump_json(croissant(described)),
            **{f"{CARDS}/{name}.yaml": path.read_bytes() for name, path in cards.items()},
            **account,
        }


@dataclass(frozen=True)
class MixPlan(Plan):
    """A plan for a mix; what it prints has what the mix weighs, where it is published whole."""

    def plain(self) -> dict[str, Any]:
        """What ``--dry-run`` prints."""
        goods = self.goods
        assert isinstance(goods, MixGoods)
        size = sum(part.estimate for part in goods.slices) or None
        mix = {"rows": goods.rows, "images": goods.info.images, "shards": len(goods.slices), "bytes_about": size}
        return {**super().plain(), **mix, "licences": sorted({str(n) for one in goods.terms for n in one.names})}


def plan_mix(home: Home, folder: Path, wish: MixWish, to: Destination, *, only_plan: bool = False) -> MixPlan:
    """Look at the mix, its licences, the account and the repository; Refusal for whatever will not work out."""
    reader = MixReader(home, folder)
    if not reader.info.samples:
        raise Refusal(folder.name, "the mix has no samples", "loosen its filters and build it again")
    exporter = Exporter(home, reader, wish.shard_bytes)
    try:
        slices = [] if wish.recipe_only else exporter.slices()
        pictures = exporter.pictures()
    finally:
        exporter.close()
    goods = MixGoods(home, folder, reader.info, wish, pictures, slices)
    warnings = []
    if not wish.recipe_only:
        check_redistribution(goods.terms)
        warnings = check_known(goods.terms, private=not wish.public, accepted=wish.accept_licences)
    return MixPlan(**vars(plan(home, goods, wish, to, warnings, only_plan=only_plan)))


def own_cards(home: Home, datasets: Iterable[str]) -> dict[str, Path]:
    """Files of the cards that come from the home and not from the registry: nobody else has them."""
    files = card_files(home)
    return {name: files[name] for name in sorted(datasets) if name in files and files[name].parent == home.cards}


def _categories(shard: Path) -> dict[str, int]:
    """Category -> rows of one written shard."""
    import pyarrow.parquet as pq

    names = pq.read_table(shard, columns=["category"]).column("category").to_pylist()
    return dict(sorted(Counter(names).items()))
