"""What a pull found out of things that lie outside the data home, so that the next one need not look again.

A note holds for this machine alone (times, places and addresses are in its key), saves work, and decides nothing: a
note that is damaged or gone costs the work once more. Keys stand there as digests, because an address may hold a key.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from registry.identity import digest
from registry.store import Home, dump_json, write_aside

KNOWN = "known"
"""Folder of the home with the notes."""


def recall(home: Home, *key: Any) -> str | None:
    """What was noted under a key (any JSON values); None when nothing was."""
    try:
        found = json.loads(_note(home, key).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, str) else None


def remember(home: Home, value: str, *key: Any) -> None:
    """Note a value under a key."""
    write_aside(_note(home, key), dump_json(value))


def _note(home: Home, key: tuple[Any, ...]) -> Path:
    return home.path / KNOWN / f"{digest(key)}.json"
