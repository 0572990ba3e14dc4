"""A base checkpoint that is put together from a published vision encoder and a published language model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from registry.identity import digest
from registry.yaml_file import StrictModel

ASSEMBLY_VERSION = 1
"""Raised whenever equal parts are put together differently."""

FILES = "files"
"""In the record of a finished assembly: the digest of its files, by which a trial knows its base."""


class Assembly(StrictModel):
    """Vision encoder + adapter + language model, as LLaVA-1.5 joins them.

    ``vision`` and ``llm`` are each a folder in transformers' layout or ``org/name@revision`` on the Hub.
    """

    vision: str
    """A CLIP or SigLIP checkpoint."""
    llm: str
    """A language model with its tokenizer (``tokenizer.json``)."""
    adapter: Literal["mlp2x_gelu"] = "mlp2x_gelu"
    """Linear, GELU, Linear, from random weights."""
    vision_feature_layer: int = -2
    """Which hidden states of the encoder are read, counted from the last."""
    select: Literal["patch", "cls_patch"] = "patch"
    """``patch`` leaves CLIP's class token out; SigLIP has none."""
    seed: int = Field(default=0, ge=0)
    """Of the adapter's weights."""

    def digest(self, vision: str, llm: str) -> str:
        """Identity of the result, from the digests of the parts' files."""
        how = self.model_dump(mode="json", exclude={"vision", "llm"})
        return digest({"version": ASSEMBLY_VERSION, "vision": vision, "llm": llm, **how})
