"""A trial (one training run on one mix), its scores, and the decision drawn from many of them.

``Settings`` is what a trial *is* and makes its digest; ``Runtime`` is how it happens to be run and never does.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from registry.identity import digest
from registry.yaml_file import StrictModel

SETTINGS_VERSION = 2
"""Raised whenever training behaves differently for equal settings."""


Module = Literal["vision", "adapter", "llm"]
MODULES: tuple[Module, ...] = ("vision", "adapter", "llm")
Weighting = Literal["token", "sample", "root"]
Packing = Literal["nearby", "whole"]
Tracker = Literal["tensorboard", "trackio", "wandb"]


class Lora(StrictModel):
    """Low-rank adapters on every linear layer of the language model, merged into it after training."""

    r: int = Field(ge=1)
    """Rank."""
    alpha: float = Field(gt=0)
    """What they add is scaled by alpha / r."""
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Stage(StrictModel):
    """One stage of training: what is trained, how fast, and how samples are packed."""

    name: str
    """pretrain, sft, or the name of a stage of a base checkpoint."""
    template: str
    """Chat template (see ``trainers.chat``)."""
    trains: list[Module]
    """Modules that learn; the others are frozen."""
    lr: dict[Module, float]
    """Peak learning rate of each trained module."""
    capacity: int = Field(ge=16)
    """Tokens in a packed row, image tokens counted."""
    rows_per_step: int = Field(ge=1)
    """Packed rows in one optimiser step."""
    packing: Packing = "nearby"
    """``nearby`` keeps samples close to their order, so that mixes that differ little are seen in nearly one order;
    ``whole`` looks further ahead for what fills a row, which pays from thousands of rows on."""
    images_per_row: int | None = Field(default=None, ge=1)
    """Pictures that a packed row may hold; null = as many as its tokens have room for."""
    weighting: Weighting = "token"
    """What counts alike in the loss: every learned token, every sample, or (``root``) a sample with n learned tokens
    as much as the square root of n."""
    epochs: int = Field(default=1, ge=1)
    warmup_ratio: float = 0.03
    """Share of the steps with linear warm-up; cosine decay follows (paper, training settings)."""
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"
    too_long_limit: float = 0.05
    """Share of samples that may exceed the capacity (they are left out and counted) before the run is refused."""
    unsupervised_limit: float = 0.01
    """The same for samples with nothing to learn, such as an empty answer."""
    fit: Literal["pad", "crop"] = "pad"
    """How a picture becomes a square: padded with the encoder's mean colour, or cut to its middle."""
    lora: Lora | None = None
    """Train the language model through low-rank adapters; its own weights stay as they are until these are merged."""

    @model_validator(mode="after")
    def _rates_match(self) -> Stage:
        if set(self.lr) != set(self.trains):
            raise ValueError(f"lr names {sorted(self.lr)} but trains {sorted(self.trains)}: give one rate each")
        if self.lora is not None and "llm" not in self.trains:
            raise ValueError("lora is for the language model, which this stage does not train: add llm to trains")
        return self


class Settings(StrictModel):
    """The identity of a trial. Benchmarks are no part of it: a new scorer never retrains."""

    version: int = SETTINGS_VERSION
    stage: Stage
    base: str
    """Digest of the base checkpoint's files."""
    init: str | None = None
    """Digest of the trial whose checkpoint this one starts from; null = the base itself."""
    mix: str
    """Content digest of the mix."""
    seed: int = 0

    def digest(self) -> str:
        """sha256 of the canonical settings."""
        return digest(self.model_dump(mode="json"))


Parallel = Literal["none", "ddp", "fsdp", "tp", "fsdp+tp"]


class Runtime(StrictModel):
    """How a trial is run; changes nothing about what it is.

    On the CPU in one process equal settings give equal bytes. A GPU, more processes, ``micro_rows`` and ``compile``
    add the same numbers in another order: equal up to rounding, and under the same name.
    """

    threads: int = 1
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """auto: a GPU where there is one."""
    log_every: int = 10
    workers: int = Field(default=0, ge=0)
    """Processes that prepare tokens and pictures ahead; 0 = the trainer prepares each step when it comes to it."""
    track: Tracker | None = None
    """Where figures go while the trial runs, besides its own log."""
    processes: int = Field(default=1, ge=1)
    """Processes on a machine, one for each GPU."""
    nodes: int = Field(default=1, ge=1)
    """Machines with so many processes each."""
    parallel: Parallel = "none"
    """What the processes share: rows (ddp), rows and weights (fsdp), each layer's work (tp), or all of it."""
    tensor: int = Field(default=0, ge=0)
    """Processes that share a layer's work in fsdp+tp; 0 = all of a machine."""
    micro_rows: int = Field(default=0, ge=0)
    """Packed rows that a process computes at once; 0 = all of its rows of a step."""
    recompute: bool = False
    """Keep only the inputs of layers, and compute the layers again on the way back (activation checkpointing)."""
    compile: bool = False
    """Compile the decoder's layers (torch.compile)."""
    checkpoint_steps: int = Field(default=0, ge=0)
    """Steps between two states that a killed training goes on from; 0 = by time alone."""
    checkpoint_minutes: float = Field(default=30.0, gt=0)
    """Minutes between them, where ``checkpoint_steps`` says nothing."""

    @model_validator(mode="after")
    def _adds_up(self) -> Runtime:
        size = self.processes * self.nodes
        if (size > 1) != (self.parallel != "none"):
            raise ValueError(f"{size} processes and parallel '{self.parallel}': say ddp, fsdp, tp or fsdp+tp for many")
        if self.tensor and self.parallel != "fsdp+tp":
            raise ValueError("'tensor' is for parallel 'fsdp+tp'")
        if size % self.tensor_size:
            raise ValueError(f"{size} processes are no multiple of {self.tensor_size} that share a layer")
        return self

    @property
    def tensor_size(self) -> int:
        """Processes that share each layer's work."""
        sizes = {"tp": self.processes * self.nodes, "fsdp+tp": self.tensor or self.processes}
        return sizes.get(self.parallel, 1)


AnswerBy = Literal["generation", "likelihood"]
"""How a model's reply is found: the text it says, or, for multiple choice, the likeliest of the option letters."""


class BenchmarkScore(BaseModel):
    """``scores/<benchmark>-<d>.json``: one benchmark's result for one model."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    benchmark: str
    version: int
    rules: str
    answer_by: AnswerBy = "generation"
    table_digest: str
    """sha256 of the benchmark's table file."""
    score: float
    """The primary figure, 0..100."""
    metrics: dict[str, float] = Field(default_factory=dict)
    breakdown: dict[str, float] = Field(default_factory=dict)
    items: dict[str, float] = Field(default_factory=dict)
    """Item group -> 0..1: the unit of the paired bootstrap."""
    strata: dict[str, str] = Field(default_factory=dict)
    """Item group -> stratum; the score is 100 x the mean over strata of the mean of their items (MME's tasks)."""
    ratios: dict[str, dict[str, tuple[float, float]]] = Field(default_factory=dict)
    """Ratio -> item group -> numerator and denominator, of scores whose groups differ in size."""
    clusters: dict[str, str] = Field(default_factory=dict)
    """Item group -> cluster, of groups that share a picture with another: they are resampled together."""
    headline: str = ""
    """Name of the published figure among ``metrics``."""
    partial: bool = False
    """True when the score does not cover the whole benchmark."""
    questions: int = 0
    unresolved: int = 0
    """Replies that no rule could settle; counted as wrong."""
    notes: list[str] = Field(default_factory=list)


class Effect(BaseModel):
    """A difference between two mixes in points (0..100), with its interval."""

    model_config = ConfigDict(extra="forbid")

    mean: float
    low: float
    high: float
    se: float


How = Literal["joins", "leaves", "together", "fitted"]
Verdict = Literal["kept", "dropped", "undecided"]
Label = Literal["gain", "comparable", "harm", "unclear"]


class WithoutBenchmark(BaseModel):
    """What the verdict on a candidate would be without the benchmarks whose training split it is."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    benchmarks: list[str]
    """Guide benchmarks that are left out."""
    average: Effect | None
    """Effect on the mean of the others; null = there are no others."""
    verdict: Verdict
    label: Label


class CandidateDecision(BaseModel):
    """What was decided about one candidate, and on what evidence."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    candidate: str
    category: str
    dataset: str
    part: str | None = None
    samples: int
    verdict: Verdict
    label: Label
    reason: str
    """One sentence for people."""
    average: Effect
    """Effect on the mean of the guide benchmarks."""
    benchmarks: dict[str, Effect]
    item_bootstrap: Effect | None
    """The same difference with the sampling error of the benchmark items (paired bootstrap), for comparison; null
    where the effect is no difference of two mixes."""
    wrong: float | None = None
    """Chance of being wrong (one-sided p value): of a gain that there is none, of a comparable one that it costs more
    than the margin, of a dropped or undecided one that it does no harm. Null = nothing is known about chance."""
    how: How = "joins"
    """What was measured: the candidate joins ``against``, or leaves it (an effect is still that of having it), or is
    taken together with others (an effect is that of all together), or was fitted to mixes of many."""
    held_out: dict[str, Effect] = Field(default_factory=dict)
    """Effect on benchmarks that guided nothing."""
    without: WithoutBenchmark | None = None
    """Given for a candidate that is the training split of a guide benchmark."""
    seeds: list[int]
    against: str
    """Name of the mix it was compared with."""
    trials: list[str]
    """Digests of the trials with the candidate, in the order of the seeds."""
    truth: Literal["good", "neutral", "bad"] | None = None
    """Known only in the demo."""


class PathPoint(BaseModel):
    """The growing baseline after a category joined (the paper's Figure 4)."""

    model_config = ConfigDict(extra="forbid")

    category: str | None
    mix: str
    joined: list[str]
    samples: int
    scores: dict[str, float]
    average: float
    trials: list[str]


class MixOutcome(BaseModel):
    """One column of the Baseline / Selected / All comparison (the paper's Table 5)."""

    model_config = ConfigDict(extra="forbid")

    mix: str
    samples: int
    scores: dict[str, float]
    average: float
    by_seed: list[float]
    trials: list[str]
    held_out: dict[str, float] = Field(default_factory=dict)
    """Scores on benchmarks that guided nothing."""


class DecisionRule(StrictModel):
    """Everything that turned effects into verdicts. Recorded with the decision."""

    by: Literal["statistics", "paper"] = "statistics"
    """``statistics``: by intervals, as the other settings say. ``paper``: a candidate stays whose measured average is
    no more than the margin below that of the mix without it, whatever chance may have done."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence of the interval that is shown, and that "comparable" must pass."""
    harm_confidence: float = Field(default=0.99, gt=0.5, lt=1)
    """Confidence at which an effect below zero is called harm. Between the two more seeds are asked for."""
    gain_confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Family-wise confidence (over all candidates) at which an effect is called a gain."""
    comparable_margin: float = Field(default=3.0, ge=0)
    """Points of the average that a candidate may cost, at worst, and still be called comparable (by the paper's rule:
    points that it was measured to cost)."""
    errors_over: Literal["candidate", "category", "study"] = "candidate"
    """What harm and comparable are sure of at their confidence: each verdict alone, or all of a category or of the
    study together, with all looks at a candidate that gets more seeds."""
    question_noise: bool = False
    """Whether intervals hold the sampling of the benchmarks' questions too: then they speak of all questions of their
    kind, without it of these tables."""
    guard_standard_errors: float = Field(default=3.5, gt=0, le=8)
    """A single benchmark that falls by more standard errors than this drops the candidate (more of them where the
    noise itself is known from few repeats: Student's interval at the confidence of so many standard errors) ..."""
    guard_margin: float = Field(default=3.0, ge=0)
    """... if it also falls by more points than this."""
    seeds: int = Field(default=2, ge=1)
    """Seeds that every candidate gets."""
    max_seeds: int = Field(default=4, ge=1)
    """Seeds an undecided candidate may get."""
    extra_trials: int | None = Field(default=None, ge=0)
    """Trials of the whole study that may go to such further seeds; null = no limit but theirs."""

    @model_validator(mode="after")
    def _can_decide(self) -> DecisionRule:
        if self.by == "statistics" and self.comparable_margin == 0:
            raise ValueError("comparable_margin must be greater than 0: no measurement excludes every loss")
        return self


class Decision(BaseModel):
    """``decisions/<name>-<d>/decision.json``."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: str
    strategy: str
    strategy_version: int
    scale: str
    rule: DecisionRule
    benchmarks: list[str]
    rules: str
    """Rule set of the benchmark scorers."""
    categories: list[str]
    """In the order in which they were decided."""
    candidates: list[CandidateDecision]
    path: list[PathPoint]
    baseline: MixOutcome
    selected: MixOutcome
    all: MixOutcome | None = None
    """Baseline plus every candidate."""
    selected_minus_all: Effect | None = None
    selected_minus_baseline: Effect
    trials: dict[str, str]
    """Digest -> folder of every trial that was looked at."""
    held_out: list[str] = Field(default_factory=list)
    """Benchmarks that were scored and guided nothing."""
    notes: list[str] = Field(default_factory=list)
    """What the strategy has to say of the whole."""
    settings: dict[str, Any] = Field(default_factory=dict)


DECISION_FILE = "decision.json"
