"""Train one stage of a scale on one mix: here, in one process or many, or as one task of a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curator.assembly import Base, look_at_base
from curator.runner import LOCAL, Place, run
from curator.trials import Listener, Workers, train_request
from registry.checkpoint import DEMO
from registry.errors import Refusal
from registry.memory import in_gib, memory_of, sizes_of
from registry.mix import MixReader
from registry.scale import Scale
from registry.store import Home, find_folder, read_record, write_aside
from registry.trial import Runtime, Settings, Stage


@dataclass(frozen=True)
class TrainPlan:
    """A trial that is fully determined: what it is, what it will be called, whether it is there."""

    name: str
    settings: Settings
    base: Base
    mix: Path
    samples: int
    finished: Path | None
    runtime: Runtime = field(default_factory=Runtime)

    @property
    def digest(self) -> str | None:
        """Identity of the trial; not known before its base is here."""
        return self.settings.digest() if self.base.digest is not None else None

    @property
    def base_folder(self) -> Path:
        """Where the base lies, which is made before anything is trained."""
        assert self.base.folder is not None, "what is trained has its base"
        return self.base.folder

    @property
    def modules(self) -> dict[str, dict[str, Any]]:
        """The freeze plan."""
        return self.base.plan(self.settings.stage)

    def facts(self) -> dict[str, Any]:
        """What is known of the trial before it is trained."""
        stage = self.settings.stage
        return {
            "name": self.name,
            "digest": self.digest or "known once the base is here",
            "base": self.base.name,
            "to_fetch": self.base.absent,
            "stage": stage.name,
            "samples": self.samples,
            "trains": list(stage.trains),
            "frozen": [module for module in self.modules if module not in stage.trains],
            "lora": stage.lora.model_dump() if stage.lora is not None else None,
            "template": stage.template,
            "already_there": self.finished is not None,
            "device": self.runtime.device,
            "processes": self.runtime.processes * self.runtime.nodes,
            "parallel": self.runtime.parallel,
        }


def plan_training(
    home: Home, mix: str, scale: Scale, stage: str, init: str | None, seed: int, base: Base | None = None
) -> TrainPlan:
    """Resolve names to a trial; raises Refusal for an unknown mix, stage or upstream trial.

    ``base`` is what is known of the scale's base checkpoint; by default it is looked at.
    """
    base = base or look_at_base(home, scale.base)
    folder = find_folder(home, "mixes", mix)
    info = MixReader(home, folder).info
    settings = Settings(
        stage=stage_of(scale, stage),
        base=base.digest or "not known yet",
        init=read_record(find_folder(home, "trials", init)).digest if init else None,
        mix=info.content_digest,
        seed=seed,
    )
    name = f"{info.name}-s{seed}" if stage == "sft" else f"{stage}-{info.name}-s{seed}"
    finished = home.find("trials", settings.digest()) if base.digest is not None else None
    return TrainPlan(name, settings, base, folder, info.samples, finished)


def in_words(entry: dict[str, Any]) -> str:
    """A line of the freeze plan."""
    size = "parameters not known yet" if entry["parameters"] is None else f"{entry['parameters']:,} parameters"
    if entry["rate"] is None:
        return f"{size}, frozen"
    learning = "all" if entry["learning"] is None else f"{entry['learning']:,}"
    return f"{size}, {learning} learn at {entry['rate']:g}"


def runtime_of(scale: Scale, how: dict[str, Any]) -> Runtime:
    """How to run, from what the command line says: fields of ``Runtime``; Refusal where it does not add up.

    ``every`` is a number of steps (``200``) or minutes (``20m``) between two states. The demo's model is too small
    for a GPU, and its figures are those of the CPU: for it ``auto`` is the CPU.
    """
    chosen = {name: value for name, value in how.items() if value is not None}
    every = chosen.pop("every", None)
    if chosen["device"] == "auto" and scale.base == DEMO:
        chosen["device"] = "cpu"
    if chosen.get("parallel") is None and chosen.get("processes", 1) * chosen.get("nodes", 1) > 1:
        chosen["parallel"] = "ddp"
    if every is not None:
        number, minutes = every.removesuffix("m"), every.endswith("m")
        if not (number.isascii() and number.isdecimal() and int(number)):
            raise Refusal(f"--checkpoint-every '{every}'", "is no time", "say 200 for steps, or 20m for minutes")
        chosen["checkpoint_minutes" if minutes else "checkpoint_steps"] = int(number)
    try:
        return Runtime.model_validate(chosen)
    except ValidationError as error:
        what = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise Refusal("how to train", what, "see 'curator train --help'") from None


def memory_plan(plan: TrainPlan) -> dict[str, float] | None:
    """GiB that each process of a training needs, by what for; a trial that starts from another has its base's sizes.

    None where that is not known: before the base is here, and for low-rank adapters.
    """
    if plan.base.folder is None or plan.settings.stage.lora is not None:
        return None
    return in_gib(memory_of(sizes_of(plan.base.folder), plan.settings.stage, plan.runtime))


def train(home: Home, plan: TrainPlan, listen: Listener, place: Place | None = None) -> Path:
    """Train unless it is there already; the folder of the trial. Elsewhere nothing is heard before the end."""
    if plan.finished is not None:
        return plan.finished
    if place is None or place.on == LOCAL:
        _train_here(home, plan, listen)
    else:
        gpus = 0 if plan.runtime.device == "cpu" else plan.runtime.processes
        needs = replace(place, workers=1, gpus=gpus, processors=max(plan.runtime.processes, plan.runtime.threads))
        for _ in run(_train_there, [Errand(home.path, plan)], needs):
            pass
    folder = home.find("trials", plan.settings.digest())
    assert folder is not None, "a trial that was trained is there"
    return folder


@dataclass(frozen=True)
class Errand:
    """A training as a task of a cluster; ``base`` must be seen from there too."""

    home: Path
    plan: TrainPlan

    @property
    def source(self) -> str:
        """What it is called when its process dies."""
        return f"training {self.plan.name}"


def _train_there(errand: Errand) -> Iterator[int]:
    _train_here(Home(errand.home), errand.plan, lambda _event: None)
    yield errand.plan.samples


def _train_here(home: Home, plan: TrainPlan, listen: Listener) -> None:
    request = train_request(home, plan.name, plan.settings, plan.mix, plan.base_folder, plan.runtime)
    with Workers(1, plan.runtime.threads) as workers:
        workers.run([[request]], listen)


def write_request(home: Home, plan: TrainPlan, path: Path) -> list[str]:
    """Write a training for torchrun to ``path``; the command that runs it, on each machine."""
    request = train_request(home, plan.name, plan.settings, plan.mix, plan.base_folder, plan.runtime)
    path = path.resolve()  # the command is for other machines too
    if not path.parent.is_dir():
        raise Refusal(str(path.parent), "is no folder", "name a file in a folder that every machine sees")
    write_aside(path, (json.dumps(request.body, sort_keys=True, indent=2) + "\n").encode())
    nodes, processes = plan.runtime.nodes, plan.runtime.processes
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "FIRST_MACHINE:29500"] if nodes > 1 else ["--standalone"]
    start = ["torchrun", "--nnodes", str(nodes), "--nproc-per-node", str(processes), *meeting]
    return [*start, "-m", "trainers", "train", str(path)]


def stage_of(scale: Scale, name: str) -> Stage:
    """A stage of a scale by its name."""
    stages = {"sft": scale.sft, "pretrain": scale.pretrain}
    stage = stages.get(name)
    if stage is None:
        known = ", ".join(key for key, value in stages.items() if value is not None)
        raise Refusal(f"scale '{scale.name}'", f"has no stage '{name}'", f"choose one of: {known}")
    return stage
