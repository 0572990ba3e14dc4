"""Train one stage of a scale on one mix, in a trainer process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.assembly import Base, look_at_base
from curator.trials import Listener, Workers, train_request
from registry.errors import Refusal
from registry.mix import MixReader
from registry.store import Home, find_folder, read_record
from registry.trial import Scale, Settings, Stage


@dataclass(frozen=True)
class TrainPlan:
    """A trial that is fully determined: what it is, what it will be called, whether it is there."""

    name: str
    settings: Settings
    base: Base
    mix: Path
    samples: int
    finished: Path | None

    @property
    def digest(self) -> str | None:
        """Identity of the trial; not known before its base is here."""
        return self.settings.digest() if self.base.digest is not None else None

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


def train(home: Home, plan: TrainPlan, listen: Listener) -> Path:
    """Train unless it is there already; the folder of the trial."""
    if plan.finished is not None:
        return plan.finished
    assert plan.base.folder is not None, "what is trained has its base"
    with Workers(1) as workers:
        workers.run([[train_request(home, plan.name, plan.settings, plan.mix, plan.base.folder)]], listen)
    folder = home.find("trials", plan.settings.digest())
    assert folder is not None, "a trial that was trained is there"
    return folder


def stage_of(scale: Scale, name: str) -> Stage:
    """A stage of a scale by its name."""
    stages = {"sft": scale.sft, "pretrain": scale.pretrain}
    stage = stages.get(name)
    if stage is None:
        known = ", ".join(key for key, value in stages.items() if value is not None)
        raise Refusal(f"scale '{scale.name}'", f"has no stage '{name}'", f"choose one of: {known}")
    return stage
