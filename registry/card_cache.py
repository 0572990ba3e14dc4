"""Cards that were read before, kept as JSON under the digest of their bytes.

Reading YAML is a third of what a small query costs. The cache is never the truth: its key is the content of
every card file, so an edited card is a new key, and a damaged, unwritable or deleted cache costs 20 ms.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

CACHE_VERSION = 1
"""Raised when the same card bytes are read into other facts."""
KEPT = 8
"""Caches that are kept: one a data home with cards of its own, and a few older ones."""


def folder() -> Path:
    """Where caches lie: ``vlm-curator`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vlm-curator"


def cached_cards(files: dict[str, Path], read: Callable[[Path], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Card name -> facts, from the cache of exactly these bytes or else by ``read``."""
    path = folder() / f"cards-{_digest(files)}.json"
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict) and list(found) == list(files):
            return found
    cards = {name: read(file) for name, file in files.items()}
    with contextlib.suppress(OSError):
        _keep(path, json.dumps(cards, ensure_ascii=False))
    return cards


def _digest(files: dict[str, Path]) -> str:
    state = hashlib.sha256(f"{CACHE_VERSION}".encode())
    for name, file in files.items():
        with contextlib.suppress(OSError):  # ``read`` says what is wrong with this one
            data = file.read_bytes()
            state.update(f"\n{name} {len(data)}\n".encode())
            state.update(data)
    return state.hexdigest()[:32]


def _keep(path: Path, text: str) -> None:
    """Write the cache aside and rename it, and drop the oldest ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    caches = sorted(path.parent.glob("cards-*.json"), key=lambda cache: cache.stat().st_mtime)
    for old in caches[:-KEPT]:
        old.unlink(missing_ok=True)
