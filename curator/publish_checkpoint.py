"""Publish the checkpoint of a trial as a model repository, with a card that carries the digest of its mix."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curator.destination import Destination
from curator.evidence import Evidence, evidence_for
from curator.licences import Terms, cards_of, check_known, terms_of
from curator.model_page import ModelPage
from curator.publication import README, Large, Plan, Wish, plan
from registry.card import Card
from registry.checkpoint import CHECKPOINT, DEMO_FOLDER, WEIGHTS, base_digest, is_pickled
from registry.damage import damage_refused
from registry.errors import Refusal
from registry.facts import mix_by_content
from registry.identity import digest, file_digest, short
from registry.mix import MixInfo, MixReader
from registry.store import RECORD, Home, dump_json, read_record
from registry.trial import BenchmarkScore, Settings

_OURS = re.compile(r"[\w.-]+\.(safetensors|json|jinja|txt|model)")


@dataclass(frozen=True)
class CheckpointWish(Wish):
    """What a user asks for of a checkpoint."""

    accept_licences: bool = False


@dataclass(frozen=True)
class CheckpointGoods:
    """A trial's checkpoint as files of a repository."""

    home: Home
    folder: Path
    wish: CheckpointWish
    stage: str = "trials"
    form: str = "checkpoint"

    @property
    def name(self) -> str:
        """Human name of the trial."""
        return self.folder.name.rpartition("-")[0]

    @cached_property
    def files(self) -> list[Path]:
        """The files of the checkpoint; Refusal where there are none, or any that could run code."""
        root = self.folder / CHECKPOINT
        found = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else []
        if not any(path.suffix in WEIGHTS for path in found):
            raise Refusal(str(root), "there is no checkpoint with safetensors weights", "train it again")
        pickled = [path.name for path in found if is_pickled(path)]
        if pickled:
            raise Refusal(str(root), f"{pickled[0]} is pickled and could run code", "train it again")
        return found

    @cached_property
    def content(self) -> str:
        """Digest of the checkpoint's files."""
        return base_digest(self.folder / CHECKPOINT)

    @property
    def tag(self) -> str:
        """Name of the version where nobody gives one."""
        return f"checkpoint-{short(self.content)}"

    @property
    def rows(self) -> int:
        """Samples that it was trained on."""
        return read_record(self.folder).rows_out

    @property
    def title(self) -> str:
        """Title of the commit."""
        return f"{self.name}: trained on {self.rows:,} samples, mix {short(self.trained.mix)}"

    @cached_property
    def trained(self) -> Settings:
        """Identity of the trial."""
        return _settings_of(self.folder)

    @cached_property
    def mixes(self) -> dict[str, MixReader | None]:
        """Content -> the mixes of all stages of training, the last stage first; None for one that is not here."""
        names = mix_by_content(self.home.path)
        contents = dict.fromkeys(stage.mix for stage in self._stages())
        return {one: MixReader(self.home, names[one]) if one in names else None for one in contents}

    def _stages(self) -> Iterator[Settings]:
        """Its own settings, then those of the trials that it started from, as far as they are here."""
        current: Settings | None = self.trained
        while current is not None:
            yield current
            before = self.home.find("trials", current.init) if current.init else None
            current = _settings_of(before) if before else None

    @property
    def mix(self) -> MixInfo | None:
        """The mix of the last stage, where that is in this home."""
        reader = self.mixes[self.trained.mix]
        return reader.info if reader else None

    @property
    def missing(self) -> list[str]:
        """Digests of mixes and first stages whose data nothing is known of."""
        *_, first = self._stages()
        unknown = [content for content, reader in self.mixes.items() if reader is None]
        return unknown + ([first.init] if first.init else [])

    @cached_property
    def cards(self) -> dict[str, Card]:
        """Cards of the datasets of all stages."""
        return cards_of(self.home, {name for reader in self.mixes.values() if reader for name in reader.info.datasets})

    @cached_property
    def terms(self) -> list[Terms]:
        """Terms of the datasets of all stages."""
        there = [reader for reader in self.mixes.values() if reader]
        pictured = {name for reader in there for name in _pictured(reader)}
        return terms_of(self.home, {name for reader in there for name in reader.info.datasets}, pictured)

    @cached_property
    def scores(self) -> list[BenchmarkScore]:
        """All scores of the trial, by benchmark."""
        found = []
        for path in sorted((self.folder / "scores").glob("*.json")):
            with damage_refused(path):
                found.append(BenchmarkScore.model_validate_json(path.read_bytes()))
        return found

    @cached_property
    def evidence(self) -> list[Evidence]:
        """Decisions that measured the mix."""
        return evidence_for(self.home, self.trained.mix)

    def settings(self) -> dict[str, Any]:
        """What besides the weights decides the files."""
        scores = digest([score.model_dump(mode="json") for score in self.scores])
        evidence = sorted(one.digest for one in self.evidence)
        return {"trial": read_record(self.folder).digest, "scores": scores, "evidence": evidence}

    def owns(self, path: str) -> bool:
        """Whether a file of an earlier version may be taken away."""
        return _OURS.fullmatch(path) is not None

    def large(self, work: Path) -> Iterator[tuple[str, Path, Large]]:  # noqa: ARG002  the weights are files already
        """The weights."""
        weights = [path for path in self.files if path.suffix in WEIGHTS]
        for number, path in enumerate(weights):
            rows = self.rows if number == len(weights) - 1 else 0
            yield self._path(path), path, Large(path.stat().st_size, file_digest(path), {}, rows)

    def small(self, to: Destination, tag: str, large: dict[str, Large]) -> dict[str, bytes]:
        """The card, what else transformers reads, settings and scores."""
        told = _told(self.folder)
        base, repo = self._base()
        page = ModelPage(
            repo_id=to.repo_id,
            tag=tag,
            trial=self.name,
            digest=read_record(self.folder).digest,
            settings=self.trained,
            samples=self.rows,
            modules=told.get("modules", {}),
            base=base,
            base_repo=repo,
            mix=self.mix,
            mix_repos=_published(self.home, self.trained.mix),
            terms=self.terms,
            cards=self.cards,
            scores=self.scores,
            evidence=self.evidence,
        )
        return {
            **{self._path(path): path.read_bytes() for path in self.files if self._path(path) not in large},
            README: page.readme().encode(),
            "settings.json": dump_json(self.trained.model_dump(mode="json")),
            "scores.json": dump_json([score.model_dump(mode="json") for score in self.scores]),
        }

    def _path(self, path: Path) -> str:
        return path.relative_to(self.folder / CHECKPOINT).as_posix()

    def _base(self) -> tuple[str, str | None]:
        """The base checkpoint in words, and its repository where it was fetched from one."""
        wanted = self.trained.base
        for folder in self.home.finished("models"):
            record = read_record(folder)
            if record.digest == wanted:
                repo, commit = record.settings["repo"], record.settings["commit"]
                return f"{repo} at `{commit}` (files `{wanted}`)", repo
        if DEMO_FOLDER.is_dir() and base_digest(DEMO_FOLDER) == wanted:
            return f"the demo's, which comes with vlm-curator (files `{wanted}`)", None
        return f"files `{wanted}`", None


@dataclass(frozen=True)
class CheckpointPlan(Plan):
    """A plan for a checkpoint, with what it weighs."""

    def plain(self) -> dict[str, Any]:
        """What ``--dry-run`` prints."""
        goods = self.goods
        assert isinstance(goods, CheckpointGoods)
        size = sum(path.stat().st_size for path in goods.files)
        scores = {score.benchmark: round(score.score, 2) for score in goods.scores}
        return {**super().plain(), "files": len(goods.files), "bytes": size, "mix": goods.trained.mix, "scores": scores}


def plan_checkpoint(
    home: Home, folder: Path, wish: CheckpointWish, to: Destination, *, only_plan: bool = False
) -> CheckpointPlan:
    """Look at the checkpoint, the licences of its data, the account and the repository; Refusal for what is wrong."""
    goods = CheckpointGoods(home, folder, wish)
    assert goods.files, "a checkpoint without files is refused"
    warnings = check_known(goods.terms, private=not wish.public, accepted=wish.accept_licences)
    if goods.missing:
        what = f"{', '.join(map(short, goods.missing))} of its training is not in this data home: terms are not known"
        if wish.public and not wish.accept_licences:
            raise Refusal(folder.name, what, "make it again, leave --public out, or add --accept-licences")
        warnings.append(what)
    return CheckpointPlan(**vars(plan(home, goods, wish, to, warnings, only_plan=only_plan)))


def _settings_of(trial: Path) -> Settings:
    """The identity of a finished trial, as its record has it."""
    with damage_refused(trial / RECORD):
        return Settings.model_validate(read_record(trial).settings)


def _pictured(reader: MixReader) -> list[str]:
    """Datasets of which the mix has rows that show pictures."""
    import pyarrow.compute as pc

    rows = reader.rows()
    return sorted(set(rows.filter(pc.greater(pc.list_value_length(rows["images"]), 0))["dataset"].to_pylist()))


def _told(folder: Path) -> dict[str, Any]:
    """``settings.json`` of a trial; empty when there is none that can be read."""
    try:
        found = json.loads((folder / "settings.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _published(home: Home, mix: str) -> list[str]:
    """Dataset repositories that this home published a mix to."""
    records = [read_record(folder).settings for folder in home.finished("publications")]
    return sorted({told["repo"] for told in records if told.get("content_digest") == mix and told["type"] == "dataset"})
