"""A new thing is a new file: what exists is what lies in a folder, found by its file name."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

from registry.errors import Refusal, did_you_mean

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def names(folder: Path, suffix: str) -> list[str]:
    """Sorted stems of the files in ``folder`` that end with ``suffix`` (``.py``, ``.yaml``), private ones left out."""
    if not folder.is_dir():
        return []
    return sorted(
        path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}") if not path.name.startswith(("_", "."))
    )


def package_folder(package: str) -> Path:
    """The folder of an importable package."""
    module = importlib.import_module(package)
    return Path(module.__path__[0])


def load_module(package: str, name: str, kind: str) -> ModuleType:
    """The module ``package.name``; an unknown name is a Refusal with the nearest known one. ``kind`` is for people."""
    known = names(package_folder(package), ".py")
    if name not in known:
        hint = did_you_mean(name, known)
        raise Refusal(f"{kind} '{name}'", f"there is no such {kind}{hint}", f"choose one of: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")


def checked_name(name: str, kind: str) -> str:
    """``name`` if it is safe as a file name (no path parts, no leading dot); raises Refusal otherwise."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise Refusal(f"{kind} {name!r}", "not a valid name", "use lower-case letters, digits, '-', '_' and '.' only")
    return name
