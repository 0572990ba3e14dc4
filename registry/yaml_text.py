"""YAML as text: every scalar stays the characters that were written. No models, so it is cheap to import.

Anchors and aliases are refused: they are how a small file becomes a large one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from registry.errors import Refusal

MAX_BYTES = 4_000_000
"""A card or recipe larger than this is not one that a person wrote."""

_Loader: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read_raw(path: Path) -> tuple[Any, Any]:
    """``(value, node tree)`` of a YAML file with every scalar as text; the nodes carry line numbers."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refusal(str(path), f"cannot be read ({error.strerror})", "check the name and its permissions") from None
    if len(data) > MAX_BYTES:
        raise Refusal(str(path), f"{len(data):,} bytes is more than {MAX_BYTES:,}", "split the file")
    try:
        _refuse_anchors(path, data)
        loader = _Loader(data)
        try:
            node = loader.get_single_node()
            value = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise Refusal(f"{path}{line}", f"not valid YAML ({problem})", "check indentation and quotes there") from None
    except RecursionError:
        raise Refusal(str(path), "nested too deeply", "flatten the file") from None
    return value, node


def _refuse_anchors(path: Path, data: bytes) -> None:
    """Aliases let a kilobyte expand to gigabytes: no file of ours needs them."""
    if b"&" not in data and b"*" not in data:  # the common case: no second pass over the file
        return
    for event in yaml.parse(data, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            mark = event.start_mark
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            raise Refusal(where, "anchors and aliases are not allowed", "write the value out")
