"""A dataset's card: what is established about it, and how its rows become samples.

One YAML file a dataset, found by its name. ``null`` means "not established", never a guess.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from registry.discovery import checked_name, names
from registry.errors import Refusal, did_you_mean
from registry.identity import digest
from registry.pattern import check_pattern
from registry.store import Home
from registry.taxonomy import SLUGS
from registry.yaml_file import StrictModel, load

PLACE = re.compile(r"\{(?::0(\d{1,2})d)?\}")
"""The one place of a path template."""
PACKAGED = Path(__file__).parent / "datasets"


class Source(StrictModel):
    """Where the published files are."""

    hub_repo: str | None = None
    """``org/name`` of a dataset repository on the Hub."""
    config: str | None = None
    splits: list[str] = Field(default_factory=list)
    revision: str | None = None
    """Commit that the card is pinned to; null = to be pinned when it is pulled."""
    revisions_seen: list[str] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    """Glob patterns of the files to take; empty = all data files."""
    rows_at: str | None = None
    """Where the rows lie in a JSON file that holds an object: keys with dots between them; ``*`` = its values."""
    gated: str | None = None


class Alternate(StrictModel):
    """Another published form of the same data, told apart by its columns."""

    format: str | None
    """Format of this copy (a file in ``curator/formats``); null = its columns are not established."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Role that the format reads -> column name in this copy."""
    options: dict[str, str] = Field(default_factory=dict)
    source: Source | None = None
    note: str | None = None


class Rule(StrictModel):
    """Which samples belong to a part. Every condition that is given must hold; expressions are RE2's."""

    turns_min: int | None = None
    """At least this many questions."""
    turns_max: int | None = None
    request: str | None = None
    """Regular expression (search) on the first user message."""
    answer: str | None = None
    """Regular expression (search) on the first answer."""
    source_id: str | None = None
    """Regular expression (search) on the row's id in the source."""
    file: str | None = None
    """Glob on the name of the published file that holds the row."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Column -> regular expression (search) on its value as text; a missing value is empty text."""

    def patterns(self) -> list[tuple[str, str]]:
        """What is looked at, and the regular expression it must hold."""
        given = [("request", self.request), ("answer", self.answer), ("source_id", self.source_id)]
        return [(name, pattern) for name, pattern in given if pattern is not None] + list(self.columns.items())

    @field_validator("request", "answer", "source_id")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            check_pattern(pattern)
        return pattern

    @field_validator("columns")
    @classmethod
    def _all_compile(cls, patterns: dict[str, str]) -> dict[str, str]:
        for pattern in patterns.values():
            cls._compiles(pattern)
        return patterns


class Part(StrictModel):
    """A portion of a dataset with one category."""

    name: str
    category: str
    """One of the 12 slugs of the taxonomy."""
    rule: Rule | None = None
    """Null = the part that takes whatever no other part's rule takes."""
    table3_unit: str | None = None
    rows: int | None = None

    @field_validator("category")
    @classmethod
    def _known(cls, slug: str) -> str:
        if slug not in SLUGS:
            raise ValueError(f"unknown category '{slug}'{did_you_mean(slug, SLUGS)}")
        return slug


class Pictures(StrictModel):
    """Where the pictures are that rows name, when they are not inside the rows."""

    regime: Literal["embedded", "archive", "external", "url", "none"] | None = None
    """In the rows, in archives beside them, in folders that others publish, behind addresses, or none at all."""
    paths: list[str] = Field(default_factory=list)
    """Templates of a picture's path, tried in order: ``{}`` stands for what the row names, ``{:012d}`` for a number
    with leading zeros. None = the row names the path."""
    folders: dict[str, str] = Field(default_factory=dict)
    """Folder that the paths begin with -> where its files are to be had."""
    note: str | None = None

    @field_validator("paths")
    @classmethod
    def _one_place(cls, templates: list[str]) -> list[str]:
        for template in templates:
            if len(PLACE.findall(template)) != 1 or "{" in PLACE.sub("", template):
                raise ValueError(f"path template '{template}' needs one {{}} or {{:012d}}, and no other braces")
            if template.startswith("/") or "\\" in template or ":" in PLACE.sub("", template) or ".." in template:
                raise ValueError(f"path template '{template}' could leave the dataset's folder")
        return templates


class Licence(StrictModel):
    """Terms of the annotations, of the pictures, and of the model that wrote them, each apart.

    ``no-redistribution`` stands for terms that forbid passing anything on.
    """

    annotations: str | None = None
    images: str | None = None
    generator_terms: str | None = None
    note: str | None = None


class Size(StrictModel):
    """Published size."""

    samples: int | None = Field(default=None, ge=0)
    """Samples or question-answer pairs, as they are usually counted."""
    images: int | None = Field(default=None, ge=0)
    exact: bool = False
    """False = a rounded figure."""
    rows: int | None = Field(default=None, ge=0)
    """Rows that pulling the main form must find; null = not established."""
    note: str | None = None


class Citation(StrictModel):
    """Where the dataset comes from."""

    arxiv: str | None = None
    homepage: str | None = None


class Card(StrictModel):
    """Everything that is established about one dataset."""

    name: str
    title: str
    stage: Literal["sft", "pretrain", "eval"]
    format: str
    """How the published rows are read: a file in ``curator/formats``."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Role that the format reads -> column name, where it differs from the format's own."""
    options: dict[str, str] = Field(default_factory=dict)
    """Settings of the format (for example ``answer_style``)."""
    source: Source = Field(default_factory=Source)
    alternates: list[Alternate] = Field(default_factory=list)
    parts: list[Part]
    prompts: list[str] = Field(default_factory=list)
    """Requests for a caption where the source has none; one is drawn per row by its id."""
    languages: list[str] = Field(default_factory=list)
    licence: Licence = Field(default_factory=Licence)
    size: Size = Field(default_factory=Size)
    pictures: Pictures = Field(default_factory=Pictures)
    expected_rejections: dict[str, str] = Field(default_factory=dict)
    """Reason of a rejection -> why so many rows of this dataset meet it; such rows do not count towards the limit."""
    quality_notes: list[str] = Field(default_factory=list)
    conversion: str | None = None
    """How the published rows are turned into samples, and what of it is not settled."""
    overlaps: list[str] = Field(default_factory=list)
    """Benchmarks and other datasets whose pictures or questions are known to be in here, with counts."""
    train_split_of: list[str] = Field(default_factory=list)
    """Benchmarks of the registry that this is the training split of: their scores are then in-distribution."""
    role: Literal["table3", "baseline", "baseline_part", "improved_baseline", "pretrain", "other"] = "other"
    """What it is to the paper: one of Table 3's candidates, the baseline or a part of it, a pretraining set."""
    paper_status: Literal["certain", "possible", "unlikely"] | None = None
    """Whether it is among the paper's 17; never stated as fact by the paper."""
    citation: Citation = Field(default_factory=Citation)
    confidence: dict[str, str] = Field(default_factory=dict)
    sources: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _parts_are_sound(self) -> Card:
        part_names = [part.name for part in self.parts]
        if not self.parts:
            raise ValueError("a card needs at least one part")
        if len(set(part_names)) != len(part_names):
            raise ValueError("two parts have the same name")
        if sum(part.rule is None for part in self.parts) > 1:
            raise ValueError("only one part may be without a rule")
        return self

    @property
    def categories(self) -> list[str]:
        """Categories of the parts, in their order."""
        return list(dict.fromkeys(part.category for part in self.parts))

    def digest(self) -> str:
        """Identity of everything that decides what the samples are (facts for people are not part of it)."""
        fields = self.model_dump(
            mode="json",
            include={"name", "format", "columns", "options", "alternates", "parts", "prompts", "pictures"},
            exclude={
                "alternates": {"__all__": {"note"}},
                "parts": {"__all__": {"table3_unit", "rows"}},
                "pictures": {"regime", "folders", "note"},
            },
        )
        return digest(fields)


def card_files(home: Home | None = None) -> dict[str, Path]:
    """Card name -> file: the packaged ones, then the home's own, which win."""
    files = {name: PACKAGED / f"{name}.yaml" for name in names(PACKAGED, ".yaml")}
    if home is not None:
        files |= {name: home.cards / f"{name}.yaml" for name in names(home.cards, ".yaml")}
    return files


def load_card(name: str, home: Home | None = None) -> Card:
    """One card, strictly checked; an unknown name is a Refusal with the nearest known one."""
    files = card_files(home)
    if name not in files:
        hint = did_you_mean(name, files)
        raise Refusal(f"dataset '{name}'", f"there is no card of that name{hint}", "see 'curator list'")
    return read_card(files[name])


def read_card(path: Path) -> Card:
    """The card in one file; its name must be the file's."""
    card = load(path, Card)
    checked_name(card.name, "dataset")
    if card.name != path.stem:
        raise Refusal(
            f"{path}:1", f"name '{card.name}' is not the file's name", f"call it '{path.stem}' in both places"
        )
    return card


def load_cards(home: Home | None = None) -> dict[str, Card]:
    """All cards by name."""
    return {name: read_card(path) for name, path in sorted(card_files(home).items())}
