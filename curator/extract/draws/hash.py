"""A plain draw: every (url, caption) is as likely as any other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.extract.order import Draw, Numbers, Preparing

if TYPE_CHECKING:
    import polars as pl

    from curator.extract.scan import Look

VERSION = 1


def check(draw: Draw, columns: Mapping[str, Any]) -> None:
    """Every pool has what it needs."""


def prepare(asked: Preparing, look: Look) -> None:
    """A row's place is known from the row."""


def places(draw: Draw, frame: pl.DataFrame, keys: Numbers, looked_up: Path | None) -> Numbers:  # noqa: ARG001  one signature for all
    """The place is the key."""
    return keys
