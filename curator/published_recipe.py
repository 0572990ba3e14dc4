"""The recipe of a built mix as files from which anyone can build it again.

A built mix knows its recipe resolved: nested recipes written out, samples folders pinned by digest. Here it becomes
recipes again that name each dataset with its revision, and each model by its digest; the inner ones are files of their
own beside the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from curator.models import named_by_digest
from registry.mix import MixInfo
from registry.store import dump_json

RECIPE_FILE = "recipe.json"
_DRAWS = ("proportion", "repeat", "choose")


def recipe_files(info: MixInfo) -> dict[str, bytes]:
    """File name -> content: ``recipe.json``, and ``recipe-1.json`` … for the recipes it is nested of."""
    files: dict[str, bytes] = {}
    _add(files, info.recipe, info.name)
    return files


def revision_of(samples_folder: str) -> str:
    """``a@local-0123-<digest>`` gives ``local-0123``."""
    return samples_folder.partition("@")[2].rpartition("-")[0]


def _add(files: dict[str, bytes], group: Mapping[str, Any], name: str) -> str:
    """Write one recipe and those inside it; the path by which another recipe names it."""
    file = f"recipe-{len(files)}.json" if files else RECIPE_FILE
    files[file] = b""  # keeps the place in the numbering while the inner ones are written
    parts = [_part(files, member, name) for member in group["parts"]]
    models = {used: named_by_digest(identity) for used, identity in _models(group)}
    named = {"models": models} if models else {}
    files[file] = dump_json({"name": name, "seed": group["seed"], "parts": parts, **named})
    return f"./{file}"


def _part(files: dict[str, bytes], member: Mapping[str, Any], name: str) -> dict[str, Any]:
    draw = {key: member[key] for key in _DRAWS if key in member}
    if "parts" in member:
        return {"recipe": _add(files, member, f"{name}-{len(files)}"), **draw}
    revision = revision_of(member["samples"])
    part: dict[str, Any] = {"dataset": f"{member['dataset']}@{revision}" if revision else member["dataset"], **draw}
    if member.get("part") is not None:
        part["part"] = member["part"]
    if member.get("filters"):
        part["filters"] = _filters(member["filters"])
    return part


def _models(group: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Filter and model of the datasets that stand in this recipe itself."""
    for member in group["parts"]:
        for one in member.get("filters", ()):
            if "model" in one:
                yield one["filter"], one["model"]


def _filters(pinned: list[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Bounds by filter and column; of two bounds on one column both hold, so the tighter one is written."""
    joined: dict[str, dict[str, dict[str, Any]]] = {}
    for one in pinned:
        columns = joined.setdefault(one["filter"], {})
        for column, bounds in one["bounds"].items():
            kept = columns.setdefault(column, {})
            for key, value in bounds.items():
                tighter = {"min": max, "max": min, "lowest": min, "highest": min}.get(key)
                kept[key] = tighter(kept[key], value) if tighter and key in kept else value
    return joined
