"""The base checkpoint of a scale: where it lies, or what is still to be fetched and joined.

Looking spends nothing and asks no server. Making fetches the parts of an assembly at their commits, safetensors only,
and has a trainer process join them, once for a home.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from curator.models import Model, find_model, model_here
from curator.trials import Event, Workers, assemble_request
from registry.assembly import FILES, Assembly
from registry.checkpoint import CHECKPOINT, PickledRefusal, base_digest, base_folder
from registry.errors import Refusal
from registry.store import Home, read_record
from registry.tensors import Shapes, adapter_shapes, added_by, count, of_module, of_vision, stored_shapes
from registry.trial import MODULES, Module, Stage


@dataclass(frozen=True)
class Base:
    """A base checkpoint, or as much of it as is known before it is made."""

    name: str
    """For people."""
    folder: Path | None = None
    """None until it is made."""
    digest: str | None = None
    """Of its files."""
    absent: list[str] = field(default_factory=list)
    """Parts that are not on this machine."""
    vision: Path | None = None
    llm: Path | None = None
    """Folders of the parts, where it is still to be joined."""

    @cached_property
    def shapes(self) -> dict[Module, Shapes]:
        """The weights of the modules that are here, from the headers of their files."""
        if self.folder is not None:
            stored = stored_shapes(self.folder)
            return {module: of_module(stored, module) for module in MODULES}
        found: dict[Module, Shapes] = {}
        if self.vision is not None:
            found["vision"] = of_vision(stored_shapes(self.vision))
        if self.llm is not None:
            found["llm"] = stored_shapes(self.llm)
        if self.vision is not None and self.llm is not None:
            found["adapter"] = adapter_shapes(_width(self.vision), _width(self.llm))
        return found

    def plan(self, stage: Stage) -> dict[str, dict[str, Any]]:
        """The freeze plan: of each module its parameters where they are known, how many learn, and how fast."""
        found: dict[str, dict[str, Any]] = {}
        for module in MODULES:
            shapes = self.shapes.get(module)
            size = count(shapes) if shapes is not None else None
            learning = size if module in stage.trains else 0
            if module == "llm" and stage.lora is not None:
                learning = added_by(stage.lora, shapes) if shapes is not None else None
            found[module] = {"parameters": size, "learning": learning, "rate": stage.lr.get(module)}
        return found


def look_at_base(home: Home, base: str | Assembly) -> Base:
    """What is known of a base without fetching or joining anything."""
    if isinstance(base, str):
        folder = base_folder(base)
        return Base(base, folder, base_digest(folder))
    vision, llm = model_here(home, base.vision), model_here(home, base.llm)
    if vision is not None and llm is not None:
        made = home.find("models", base.digest(vision.digest, llm.digest))
        if made is not None:
            return Base(_name(base), made / CHECKPOINT, str(read_record(made).settings[FILES]))
    absent = [name for name, part in ((base.vision, vision), (base.llm, llm)) if part is None]
    folders = [part.folder if part is not None else None for part in (vision, llm)]
    return Base(_name(base), None, None, absent, *folders)


def make_base(home: Home, base: str | Assembly) -> Base:
    """The base, fetched and joined if it is not there yet; Refusal when a part is not to be had or does not fit."""
    if not isinstance(base, Assembly):
        return look_at_base(home, base)
    vision, llm = _part(home, base.vision, "vision"), _part(home, base.llm, "llm")
    digest = base.digest(vision.digest, llm.digest)
    made = home.find("models", digest)
    if made is None:
        with Workers(1) as workers:
            workers.run([[assemble_request(home, _name(base), digest, base, vision, llm)]], _ignore)
        made = home.find("models", digest)
        assert made is not None, "what was joined is there"
    return Base(_name(base), made / CHECKPOINT, str(read_record(made).settings[FILES]))


def _ignore(_event: Event) -> None:
    """Joining has no steps to report."""


def _name(base: Assembly) -> str:
    """Both parts, by the last part of their names."""
    short = [part.rpartition("@")[0] or part for part in (base.vision, base.llm)]
    return "+".join(name.rstrip("/").rpartition("/")[2] for name in short)


def _part(home: Home, name: str, kind: str) -> Model:
    try:
        return find_model(home, name)
    except PickledRefusal as refusal:
        raise Refusal(refusal.where, refusal.what, _conversion(name, kind)) from None


def _conversion(name: str, kind: str) -> str:
    """How to get safetensors of a model that is published as pickles alone."""
    repo, _, revision = name.partition("@")
    at = f", revision='{revision}'" if revision else ""
    into = repo.rstrip("/").rpartition("/")[2]
    classes = ("AutoModelForCausalLM", "AutoTokenizer") if kind == "llm" else ("AutoModel", "AutoImageProcessor")
    steps = "; ".join(f"t.{each}.from_pretrained('{repo}'{at}).save_pretrained('{into}')" for each in classes)
    return (
        "convert it once, where code that it may hold can do no harm (a container without your files and keys): "
        f'python -c "import transformers as t; {steps}"; then copy the scale to a file of your own and name the folder '
        f"'{into}' as its {kind}"
    )


def _width(folder: Path) -> int:
    """Width of the hidden states of a part."""
    try:
        raw = json.loads((folder / "config.json").read_bytes())
        return int(raw.get("vision_config", raw)["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        where = str(folder / "config.json")
        raise Refusal(where, "does not say the model's width", "give a folder in transformers' layout") from None
