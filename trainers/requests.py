"""What a trainer process can be asked to do. Checked before anything heavy is loaded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from registry.assembly import Assembly
from registry.trial import AnswerBy, Runtime, Settings, Stage
from registry.yaml_file import StrictModel


class Request(StrictModel):
    """Any request: its number (events carry it), what to do, and the data home."""

    id: int = 0
    do: str
    home: str
    runtime: Runtime = Runtime()


class TrainRequest(Request):
    """Train a trial."""

    name: str
    """For people; begins the folder's name."""
    settings: Settings
    mix: str
    """Folder name of the mix."""
    base: str
    """Folder of the base checkpoint."""


class Asked(Request):
    """A benchmark that a model is asked."""

    benchmark: str
    table: str
    """Path of the benchmark's published table."""
    rules: str
    max_new_tokens: int = Field(default=512, ge=1)
    answer_by: AnswerBy = "generation"
    limit: int | None = Field(default=None, ge=1)
    """Questions that are asked, evenly drawn; None: all."""


class ScoreRequest(Asked):
    """Score a trial on a benchmark."""

    trial: str
    """Folder name of the trial."""


class ModelScoreRequest(Asked):
    """Score a model that is no trial."""

    model: str
    """Folder name, in the home's ``models/``, where its scores go."""
    checkpoint: str
    """Folder of its files."""
    template: str | None = None
    """Chat template of ours that it is asked in; None: that of its own processor."""


class AssembleRequest(Request):
    """Put a base checkpoint together from its parts."""

    name: str
    """For people; begins the folder's name."""
    digest: str
    """Identity of the result."""
    assembly: Assembly
    vision: str
    """Folder of the vision encoder."""
    llm: str
    """Folder of the language model."""
    inputs: dict[str, str]
    """Name of each part -> digest of its files."""


class SampleFile(StrictModel):
    """A file of samples, and the file of measured columns that is made from it."""

    source: str
    target: str


class MeasureRequest(Request):
    """Measure samples with a model."""

    filter: str
    """A module of ``trainers.measures``."""
    columns: dict[str, Literal["float32", "int32"]]
    """What it measures, in the order in which it is written, and as what."""
    checkpoint: str
    """Folder of the model."""
    template: str | None = None
    """Chat template of a model that is asked questions."""
    files: list[SampleFile]


class Shape(StrictModel):
    """Sizes of a small model built from random weights. The defaults are the demo's."""

    image_size: int = Field(default=48, ge=4)
    """Pixels along a side."""
    patch_size: int = Field(default=12, ge=2)
    vision_width: int = 64
    vision_layers: int = 3
    vision_heads: int = 4
    vision_mlp: int = 128
    width: int = 96
    layers: int = 4
    heads: int = 4
    mlp: int = 288
    max_positions: int = 512
    rope_theta: float = 10_000.0
    embedding_std: float = 0.5
    """Larger than the usual 0.02, with which so small a model never learns to match a value with an option."""

    @model_validator(mode="after")
    def _divides(self) -> Shape:
        sizes = (
            (self.image_size, self.patch_size),
            (self.width, 2 * self.heads),
            (self.vision_width, self.vision_heads),
        )
        for size, part in sizes:
            if size % part:
                raise ValueError(f"{size} is not a multiple of {part}")
        return self


class BaseStage(StrictModel):
    """A stage of a base checkpoint and the mix it trains on."""

    stage: Stage
    mix: str
    """Folder name of a mix in the home."""


class BaseSettings(StrictModel):
    """Everything that a base checkpoint is made from."""

    seed: int = 0
    shape: Shape = Shape()
    words: list[str] = Field(min_length=1)
    """Words that become one token each."""
    stages: list[BaseStage] = Field(min_length=1)
    half: bool = True
    """Store 16-bit floats."""


class BaseRequest(Request):
    """Build a base checkpoint from random weights."""

    folder: str
    """Where its files go; must not hold weights yet."""
    settings: BaseSettings
