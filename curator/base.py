"""The base checkpoint of a scale: where it lies, or what is still to be fetched and joined.

Looking spends nothing and asks no server. Making fetches the parts of an assembly at their commits, safetensors only,
and has a trainer process join them, once for a home.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from curator.models import Model, find_model, model_here
from curator.trials import Event, Workers, assemble_request
from registry.assembly import FILES, Assembly
from registry.checkpoint import CHECKPOINT, PickledRefusal, base_digest, base_folder
from registry.errors import Refusal
from registry.store import Home, read_record
from registry.tensors import added_by, count, of_module, of_vision, stored_shapes
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
    sizes: dict[Module, int] = field(default_factory=dict)
    """Parameters of the modules that are here."""
    added: int | None = None
    """Parameters that the stage's low-rank adapters add, where it has any and the language model is here."""


def look_at_base(home: Home, base: str | Assembly, stage: Stage) -> Base:
    """What is known of a base without fetching or joining anything."""
    if isinstance(base, str):
        folder = base_folder(base)
        return _whole(base, folder, base_digest(folder), stage)
    vision, llm = model_here(home, base.vision), model_here(home, base.llm)
    if vision is not None and llm is not None:
        made = home.find("models", base.digest(vision.digest, llm.digest))
        if made is not None:
            return _whole(_name(base), made / CHECKPOINT, str(read_record(made).settings[FILES]), stage)
    sizes: dict[Module, int] = {}
    added = None
    if vision is not None and vision.folder is not None:
        sizes["vision"] = count(of_vision(stored_shapes(vision.folder)))
    if llm is not None and llm.folder is not None:
        shapes = stored_shapes(llm.folder)
        sizes["llm"] = count(shapes)
        added = added_by(stage.lora, shapes) if stage.lora is not None else None
        if vision is not None and vision.folder is not None:
            sizes["adapter"] = _adapter(_width(vision.folder), _width(llm.folder))
    absent = [name for name, part in ((base.vision, vision), (base.llm, llm)) if part is None]
    return Base(_name(base), absent=absent, sizes=sizes, added=added)


def make_base(home: Home, base: str | Assembly, stage: Stage) -> Base:
    """The base, fetched and joined if it is not there yet; Refusal when a part is not to be had or does not fit."""
    if isinstance(base, Assembly):
        vision, llm = _part(home, base.vision, "vision"), _part(home, base.llm, "llm")
        digest = base.digest(vision.digest, llm.digest)
        if home.find("models", digest) is None:
            with Workers(1) as workers:
                workers.run([[assemble_request(home, _name(base), digest, base, vision, llm)]], _ignore)
    return look_at_base(home, base, stage)


def _ignore(_event: Event) -> None:
    """Joining has no steps to report."""


def _whole(name: str, folder: Path, digest: str, stage: Stage) -> Base:
    """A LLaVA checkpoint that is here."""
    shapes = stored_shapes(folder)
    sizes = {module: count(of_module(shapes, module)) for module in MODULES}
    added = added_by(stage.lora, of_module(shapes, "llm")) if stage.lora is not None else None
    return Base(name, folder, digest, sizes=sizes, added=added)


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


def _adapter(vision: int, llm: int) -> int:
    """Parameters of two linear layers with biases."""
    return vision * llm + llm + llm * llm + llm
