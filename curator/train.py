"""Train one stage of a scale on one mix, in a trainer process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curator.trials import Listener, Workers, train_request
from registry.checkpoint import base_digest, base_folder
from registry.errors import Refusal
from registry.mix import MixReader
from registry.store import Home, find_folder, read_record
from registry.trial import Runtime, Scale, Settings, Stage


@dataclass(frozen=True)
class TrainPlan:
    """A trial that is fully determined: what it is, what it will be called, whether it is there."""

    name: str
    settings: Settings
    base: Path
    mix: Path
    samples: int
    finished: Path | None


def plan_training(home: Home, mix: str, scale: Scale, stage: str, init: str | None, seed: int) -> TrainPlan:
    """Resolve names to a trial; raises Refusal for an unknown mix, stage or upstream trial."""
    folder = find_folder(home, "mixes", mix)
    info = MixReader(home, folder).info
    base = base_folder(scale.base)
    settings = Settings(
        stage=_stage(scale, stage),
        base=base_digest(base),
        init=read_record(find_folder(home, "trials", init)).digest if init else None,
        mix=info.content_digest,
        seed=seed,
    )
    name = f"{info.name}-s{seed}" if stage == "sft" else f"{stage}-{info.name}-s{seed}"
    return TrainPlan(name, settings, base, folder, info.samples, home.find("trials", settings.digest()))


def train(home: Home, plan: TrainPlan, listen: Listener, runtime: Runtime | None = None) -> Path:
    """Train unless it is there already; the folder of the trial."""
    if plan.finished is not None:
        return plan.finished
    with Workers(1) as workers:
        workers.run([[train_request(home, plan.name, plan.settings, plan.mix, plan.base, runtime)]], listen)
    folder = home.find("trials", plan.settings.digest())
    assert folder is not None, "a trial that was trained is there"
    return folder


def _stage(scale: Scale, name: str) -> Stage:
    stages = {"sft": scale.sft, "pretrain": scale.pretrain}
    stage = stages.get(name)
    if stage is None:
        known = ", ".join(key for key, value in stages.items() if value is not None)
        raise Refusal(f"scale '{scale.name}'", f"has no stage '{name}'", f"choose one of: {known}")
    return stage
