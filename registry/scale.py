"""Scales: everything about a trial but the data, a file each in ``registry/scales``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from registry.assembly import Assembly
from registry.discovery import names
from registry.errors import Refusal, did_you_mean
from registry.trial import Stage
from registry.yaml_file import StrictModel, load

SCALES = Path(__file__).parent / "scales"


class Noise(StrictModel):
    """Seed noise measured in a calibration study: the prior of the selection's variance estimate."""

    degrees_of_freedom: float = Field(gt=0)
    """Weight of this prior beside the study's own repeats."""
    average: float = Field(gt=0)
    """Standard deviation of one paired difference of the guide average, in points."""
    benchmarks: dict[str, float] = Field(default_factory=dict)
    """The same for each guide benchmark."""


class Scale(StrictModel):
    """Everything about a trial but the data."""

    name: str
    title: str
    base: str | Assembly
    """``demo`` (ships with the package), a folder with a LLaVA checkpoint in transformers' layout, or what to join."""
    pretrain: Stage | None = None
    sft: Stage
    max_new_tokens: int = 512
    noise: Noise | None = None


def scale_names() -> list[str]:
    """Names of the packaged scales."""
    return names(SCALES, ".yaml")


def load_scale(name_or_path: str) -> Scale:
    """A scale by name or from a ``.yaml`` file."""
    if name_or_path.endswith((".yaml", ".yml")):
        return load(Path(name_or_path), Scale)
    if name_or_path not in scale_names():
        hint = did_you_mean(name_or_path, scale_names())
        raise Refusal(f"scale '{name_or_path}'", f"there is none{hint}", f"choose one of: {', '.join(scale_names())}")
    return load(SCALES / f"{name_or_path}.yaml", Scale)
