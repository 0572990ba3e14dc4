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
from registry.recipe import Bounds
from registry.store import dump_json

RECIPE_FILE = "recipe.json"
_DRAWS = ("proportion", "repeat", "choose", "at_most")


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
    said = {key: write(group[key]) for key, write in _SECTIONS.items() if key in group}
    models = {used: named_by_digest(identity) for used, identity in _models(group)}
    named = {"models": models} if models else {}
    files[file] = dump_json({"name": name, "seed": group["seed"], "parts": parts, **named, **said})
    return f"./{file}"


def _part(files: dict[str, bytes], member: Mapping[str, Any], name: str) -> dict[str, Any]:
    draw = {key: member[key] for key in _DRAWS if key in member}
    if "parts" in member:
        return {"recipe": _add(files, member, f"{name}-{len(files)}"), **draw}
    part: dict[str, Any] = {"dataset": _dataset(member), **draw}
    part |= {key: member[key] for key in ("part", "category") if key in member}
    if member.get("filters"):
        part["filters"] = _filters(member["filters"])
    if "general" in member:
        part["labels"] = _labels(member["general"])
    return part


def _models(group: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Filter and model of the datasets that stand in this recipe itself."""
    for member in group["parts"]:
        for one in member.get("filters", ()):
            if "model" in one:
                yield one["filter"], one["model"]


def _dataset(pinned: Mapping[str, Any]) -> str:
    """The name of a dataset with the revision that was used."""
    revision = revision_of(pinned["samples"])
    return f"{pinned['dataset']}@{revision}" if revision else str(pinned["dataset"])


def _dedup(pinned: Mapping[str, Any]) -> dict[str, Any]:
    """What the recipe said of duplicates, the datasets to compare against named by their revisions."""
    settings = {key: value for key, value in pinned.items() if key != "clusters"}
    return settings | {"against": [_dataset(one) for one in pinned["against"]]}


def _labels(pinned: Mapping[str, Any]) -> dict[str, Any]:
    """What the recipe said of labels, the datasets that are learned from named by their revisions."""
    learned_from = [_dataset(one) for one in pinned["learned_from"]]
    return {"by": "general", "confidence": pinned["confidence"], "learned_from": learned_from}


def _decontaminate(pinned: Mapping[str, Any]) -> dict[str, Any]:
    """What the recipe said of benchmarks; their tables are everyone's own, and the digest of the mix tells."""
    return {key: value for key, value in pinned.items() if key != "distance"} | {"benchmarks": [*pinned["benchmarks"]]}


def _same(said: Any) -> Any:
    """What needs no names: quotas, a policy."""
    return said


_SECTIONS = {"categories": _same, "decontaminate": _decontaminate, "dedup": _dedup, "licences": _same}


def _filters(pinned: list[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Bounds by filter and column; of two bounds on one column both hold, so the tighter one is written."""
    joined: dict[str, dict[str, Bounds]] = {}
    for one in pinned:
        columns = joined.setdefault(one["filter"], {})
        for column, said in one["bounds"].items():
            bounds = Bounds.model_validate(said)
            columns[column] = columns[column].and_also(bounds) if column in columns else bounds
    return {
        name: {column: bounds.model_dump(mode="json", exclude_none=True) for column, bounds in columns.items()}
        for name, columns in joined.items()
    }
