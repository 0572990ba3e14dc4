"""Identity: one canonical form, one digest, one way to order rows, one way to explain a change.

Two things are the same exactly when their canonical forms are the same bytes. Values without a stable
form (sets, bytes, NaN, objects) are refused instead of hashed by accident.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SHORT = 12
"""Hex characters of a digest that appear in folder names (48 bits)."""


def canonical(value: Any) -> bytes:
    """Canonical JSON of ``value``: sorted keys, no blanks, UTF-8, shortest round-trip floats.

    Raises TypeError or ValueError for anything without a stable form.
    """
    if not _is_stable(value):
        _refuse_unstable(value, "value")
    return _ENCODER.encode(value).encode()


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_text(value: Any) -> bytes:
    """``canonical`` for what is known to be text, lists and mappings of text alone: nothing is checked."""
    return _ENCODER.encode(value).encode()


def digest(value: Any) -> str:
    """sha256 (64 hex characters) of the canonical form of ``value``."""
    return hashlib.sha256(canonical(value)).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short(full_digest: str) -> str:
    """The part of a digest that stands in folder names."""
    return full_digest[:SHORT]


def order_key(*parts: str | int) -> int:
    """A 64-bit number that depends on ``parts`` alone: the only way rows are ordered or drawn "at random".

    The same on every machine, Python version and process, unlike ``random`` or ``hash``.
    """
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@dataclass(frozen=True)
class FieldChange:
    """One difference between two settings: dotted path, old and new value (None where absent)."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path}: {self.old!r} -> {self.new!r}"


def field_diff(old: Any, new: Any, path: str = "") -> list[FieldChange]:
    """Every leaf in which two JSON-like values differ, in the order of their sorted paths."""
    if isinstance(old, dict) and isinstance(new, dict):
        changes: list[FieldChange] = []
        for key in sorted({*old, *new}):
            changes += field_diff(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        return changes
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [c for i, (a, b) in enumerate(zip(old, new, strict=True)) for c in field_diff(a, b, f"{path}[{i}]")]
    return [] if old == new and type(old) is type(new) else [FieldChange(path, old, new)]


def _is_stable(value: Any) -> bool:
    """Whether canonical JSON can hold ``value`` without guessing; says nothing of where it cannot."""
    if value is None or isinstance(value, (str, bool, int)):
        return True
    if isinstance(value, (list, tuple)):
        return all(map(_is_stable, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_stable, value.values()))
    return isinstance(value, float) and math.isfinite(value)


def _refuse_unstable(value: Any, path: str) -> None:
    """Raise for the first place that is not stable, and say where it is."""
    if value is None or isinstance(value, (str, bool, int)):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{path}: {value!r} has no stable form")
        return
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _refuse_unstable(item, f"{path}[{index}]")
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{path}: key {key!r} is not text")
            _refuse_unstable(item, f"{path}.{key}")
        return
    raise TypeError(f"{path}: {type(value).__name__} has no stable form")
