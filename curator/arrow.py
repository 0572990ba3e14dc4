"""pyarrow without the cost of pandas: 0.35 CPU seconds that a command line would pay at every call."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def import_arrow() -> None:
    """Import pyarrow such that it takes pandas for not installed. For the process of a command, not for libraries.

    pyarrow looks for pandas once, when the first array is made, and keeps the answer; ours never asks for a
    data frame. While it looks, pandas is hidden; afterwards anybody may import it as before.
    """
    if "pandas" in sys.modules:
        return
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        import pyarrow as pa

        pa.array([0])
    finally:
        sys.meta_path.remove(hidden)


class _Hidden:
    """An importer that says pandas is not there."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> None:  # noqa: ARG004  Python's
        """Raise for pandas; leave everything else to the importers after this one."""
        if name == "pandas":
            raise ModuleNotFoundError("hidden while pyarrow looks for it", name=name)
