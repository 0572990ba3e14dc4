"""What a benchmark is: questions from a published table, a prompt for each, and a score from the replies.

A benchmark is one file in ``registry/benchmarks/``, found by its name, that offers what :class:`Benchmark` lists.
Nothing here needs a model: who has the replies of any model, made anywhere, can score them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from registry import discovery
from registry.errors import Refusal

PACKAGE = "registry.benchmarks"
TABLES = "https://opencompass.openxlab.space"
"""The server of the published tables."""

LLAVA, DEFAULT = "llava", "default"
STYLES = (LLAVA, DEFAULT)
"""Prompts of the published scorer for LLaVA-1.5, and for models that it has no prompt of their own for."""

Index = int | str
"""Name of a prompt in its table: int when every index of the table is one, else text."""


Judged = Mapping[Index, str]
"""What a judge (a language model) wrote about replies."""
NOBODY: Judged = MappingProxyType({})


def _no_image() -> None:
    """The picture of a question that has none."""


@dataclass(frozen=True)
class Question:
    """One prompt of a benchmark. Light: the picture is read from the table only when it is asked for."""

    index: Index
    group: str
    """Prompts that are scored together share it: the circular variants of a question, the pair of a picture."""
    text: str
    options: Mapping[str, str]
    """Letter -> option text, in order of the letters; empty for questions without options."""
    answer: str
    """The right reply as published: a letter, ``Yes`` / ``No``, or a text."""
    category: str = ""
    row: Mapping[str, str] = field(default_factory=dict)
    """The other non-missing text cells of the table row, by lower-case column name."""
    altered: tuple[str, ...] = ()
    """Columns whose cell the published rules lose or rewrite when they read the table (table.py)."""
    image_key: str = ""
    """Equal for prompts of one table that share a picture; empty where there is none."""
    read_image: Callable[[], str | None] = field(default=_no_image, repr=False, compare=False)

    @property
    def image_base64(self) -> str | None:
        """The encoded picture (JPEG, PNG, …) as base64 text, read now; None for a question without one."""
        return self.read_image()


@dataclass(frozen=True)
class Answer:
    """What one reply was taken for."""

    index: Index
    group: str
    extracted: str
    """Letter, ``Z``, ``Yes``, ``No``, ``Unknown`` or a normalised text; empty when nothing could be made of it."""
    hit: bool
    judged: bool = False
    """True when the rules could not read the reply and a judge's word was taken."""


@dataclass(frozen=True)
class Result:
    """The score of one set of replies on one benchmark under one named set of rules."""

    benchmark: str
    version: int
    rules: str
    headline: str
    """The key of ``metrics`` that is published."""
    score: float
    """0..100; equal to ``metrics[PRIMARY]`` and to :func:`score_of_items`."""
    metrics: dict[str, float]
    breakdown: dict[str, float]
    """Category -> figure in the benchmark's own unit (0..100; MME tasks 0..200)."""
    items: dict[str, float]
    """Group -> its part of the score, the unit of a paired bootstrap; 0..1, or more where groups differ in size.
    ``score = 100 * mean over strata of mean of items``."""
    strata: dict[str, str] = field(default_factory=dict)
    """Group -> stratum; empty means all groups are in one, so that the score is the plain mean of the items."""
    ratios: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    """Ratio -> group -> numerator and denominator, where groups differ in size: the score is then 100 x the mean over
    ratios of (sum of numerators / sum of denominators), and its sampling error is computed of these."""
    clusters: dict[str, str] = field(default_factory=dict)
    """Group -> cluster, of groups that share a picture with another (sampling.py); filled by who has the questions."""
    answers: list[Answer] = field(default_factory=list)
    unresolved: int = 0
    """Replies that no rule and no judge could read. They count as wrong; nothing is drawn at random."""
    partial: bool = False
    """True when the score does not cover the whole benchmark."""
    notes: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """JSON-ready figures without the per-item part."""
        return {
            "benchmark": self.benchmark,
            "version": self.version,
            "rules": self.rules,
            "primary": {"name": self.headline, "value": self.metrics[self.headline]},
            "scores": self.metrics,
            "breakdown": self.breakdown,
            "groups": len(self.items),
            "questions": len(self.answers),
            "unresolved": self.unresolved,
            "judged": sum(answer.judged for answer in self.answers),
            "partial": self.partial,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class PublishedTable:
    """Where the table of a benchmark is published, in VLMEvalKit's form."""

    name: str
    """As VLMEvalKit calls it; the file is ``<name>.tsv``."""
    md5: str
    folder: str = "utils/VLMEval"
    """On the publisher's server."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it is to be had: the place of today, and that of 2024."""
        folders = dict.fromkeys((self.folder, "utils/VLMEval"))
        return tuple(f"{TABLES}/{folder}/{self.name}.tsv" for folder in folders)


@dataclass(frozen=True)
class JudgeRequest:
    """What a judge is asked about one reply. The words are this project's own."""

    text: str
    is_clear: Callable[[str], bool]
    """Whether what the judge said can be read; what cannot is asked for again."""
    max_tokens: int = 256
    temperature: float = 0.0
    """Of the first try; each further one is half a degree warmer."""


class Benchmark(Protocol):
    """What the module of a benchmark offers."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module constant
        """Equal to the file name."""

    @property
    def TITLE(self) -> str:  # noqa: N802 - a module constant
        """For people."""

    @property
    def VERSION(self) -> int:  # noqa: N802 - a module constant
        """Raised when the same replies would score differently."""

    @property
    def PRIMARY(self) -> str:  # noqa: N802 - a module constant
        """The key of ``Result.metrics`` that is the score."""

    @property
    def RANGE(self) -> tuple[float, float]:  # noqa: N802 - a module constant
        """Least and greatest value of the score."""

    @property
    def HELD_OUT(self) -> bool:  # noqa: N802 - a module constant
        """Whether no selection may be guided by it, so that it can tell what a selection was worth."""

    @property
    def TABLE(self) -> PublishedTable | None:  # noqa: N802 - a module constant
        """Where its table is published; None where VLMEvalKit has no such table."""

    def questions(self, table: Path) -> Iterator[Question]:
        """The prompts of a published table in its order; Refusal with file:line for a bad one."""

    def prompt(self, question: Question, style: str = LLAVA) -> str:
        """The text part of the user's turn, in one of :data:`STYLES`; the picture goes before it."""

    def judge_request(self, question: Question, reply: str, rules: str) -> JudgeRequest | None:
        """What a judge is asked of a reply; None where the rules settle it, or no judge is heard."""

    def score(
        self, questions: Sequence[Question], replies: Mapping[Index, str], rules: str, judged: Judged = NOBODY
    ) -> Result:
        """Score ``replies``, which must hold one for every question; others are ignored.

        ``judged`` is what a judge said of replies that the rules cannot read; of all, where only a judge scores.
        """


def names() -> list[str]:
    """The benchmarks there are, sorted."""
    return discovery.names(discovery.package_folder(PACKAGE), ".py")


def load_benchmark(name: str) -> Benchmark:
    """The benchmark of this name; Refusal with the nearest known name when there is none."""
    return cast("Benchmark", discovery.load_module(PACKAGE, name, "benchmark"))


def score_of_items(items: Mapping[str, float], strata: Mapping[str, str] | None = None) -> float:
    """``100 * mean over strata of (mean of the items in the stratum)``: 0..100, NaN for no items.

    A group that ``strata`` does not name belongs to the stratum ``""``.
    """
    cells: dict[str, list[float]] = {}
    for group, value in items.items():
        cells.setdefault((strata or {}).get(group, ""), []).append(value)
    means = [sum(values) / len(values) for values in cells.values()]
    return 100 * sum(means) / len(means) if means else float("nan")


def check_replies(benchmark: str, questions: Sequence[Question], replies: Mapping[Index, str]) -> None:
    """Refuse an empty question list and any question without a reply."""
    if not questions:
        raise Refusal(f"benchmark {benchmark}", "no question to score", "give a table that has rows of this benchmark")
    absent = [question.index for question in questions if question.index not in replies]
    if absent:
        few = ", ".join(map(str, absent[:5])) + (", …" if len(absent) > 5 else "")
        raise Refusal(
            f"benchmark {benchmark}",
            f"{len(absent)} of {len(questions)} questions have no reply (index {few})",
            "answer the missing ones, or score only what is there with --partial",
        )
