"""A task away from home: done by another process, perhaps on another machine, and what came of it.

What a process elsewhere must have in common with the one that sent the task is checked at every task, not once for
every node: nodes come and go while a run goes on.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import platform
import secrets
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.errors import Refusal
from registry.identity import digest, field_diff, short
from registry.store import Home

LIBRARIES = ("numpy", "pillow", "pyarrow")
"""What decides about the bytes of a file, beside our own code."""


@dataclass(frozen=True)
class Outcome:
    """What came of one task: rows done, or an error, or the death of the process that did it."""

    rows: int = 0
    error: Exception | None = None
    died: str = ""
    """How the process ended, in words."""


@dataclass(frozen=True)
class Ticket:
    """What every node must find as the sender left it."""

    home: Path
    token: Path
    secret: str
    versions: dict[str, str]

    def check(self) -> None:
        """Raise Refusal, with the name of this node, where it sees another file system or runs other code."""
        node = f"node '{platform.node()}'"
        if _text(self.token) != self.secret:
            way_out = "put the data home (--home) on a file system that every node mounts at the same path"
            raise Refusal(node, f"does not see the data home {self.home}", way_out)
        if changes := field_diff(self.versions, versions()):
            what = f"runs other code than this machine ({'; '.join(map(str, changes))})"
            raise Refusal(node, what, "install the same vlm-curator and libraries on every node")


@contextlib.contextmanager
def ticket(home: Path) -> Iterator[Ticket]:
    """A ticket for one run; it ends with the run, so that what a dead run left in a queue does nothing."""
    with Home(home).workspace("tasks") as folder:
        token, secret = folder / "token", secrets.token_hex(16)
        token.write_text(secret, encoding="ascii")
        yield Ticket(home, token, secret, versions())


def attempt(function: Callable[[Any], Iterator[int]], task: Any, checked: Ticket | None = None) -> Outcome:
    """Do one task to its end. An error is an outcome, so that no place wraps it in one of its own."""
    try:
        if checked is not None:
            checked.check()
        return Outcome(sum(function(task)))
    except (Refusal, OSError) as error:
        return Outcome(error=error)
    except ImportError as error:
        node = f"node '{platform.node()}'"
        return Outcome(error=Refusal(node, f"lacks a library ({error})", "install the same libraries on every node"))
    except Exception:  # noqa: BLE001  told where it can be seen, by a text that any process can read back
        return Outcome(error=RuntimeError(f"a task failed on {platform.node()}:\n{traceback.format_exc()}"))


@functools.cache
def versions() -> dict[str, str]:
    """Our code, Python and the libraries that decide about the bytes of a file, as this process has them."""
    from importlib.metadata import version

    ours = short(digest([_package(name) for name in ("registry", "curator")]))
    python = ".".join(platform.python_version_tuple()[:2])
    return {"vlm-curator": ours, "python": python} | {name: version(name) for name in LIBRARIES}


def _package(name: str) -> dict[str, str]:
    """Relative path -> sha256 of every source file of a package."""
    from registry.discovery import package_folder

    root = package_folder(name)
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.py"))
    }


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
