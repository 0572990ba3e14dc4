"""One trial: a stage of training on one mix, from a checkpoint to a checkpoint.

Equal settings give equal bytes on one machine: one thread, deterministic kernels, an order that depends on seed and
samples alone. Nothing is visible before everything is there, and what is there is never made again.
"""

from __future__ import annotations

import contextlib
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from registry.checkpoint import CHECKPOINT
from registry.errors import Refusal
from registry.mix import MixReader
from registry.store import COST, Home, Record, dump_json
from registry.trial import Runtime, Settings, Stage
from trainers import chat_jinja
from trainers.chat import template
from trainers.features import Features
from trainers.feed import Feed
from trainers.forward import Network, Way
from trainers.loader import Corpus, load_corpus
from trainers.loop import Loop, Tell
from trainers.lora import LORA, merge_lora, save_lora
from trainers.model import Checkpoint, save_checkpoint
from trainers.parallel import ALONE, Team, device_of, whole_state
from trainers.prepare import prepare
from trainers.requests import TrainRequest
from trainers.resume import FOLDER as STATES
from trainers.resume import States
from trainers.tracking import FOLDER as TRACKING
from trainers.tracking import Run
from trainers.workshop import Workshop, check_base

LOG = "log.jsonl"
SETTINGS = "settings.json"


def prepare_torch(runtime: Runtime) -> torch.device:
    """Fix what would make equal runs differ; the device to compute on."""
    device = device_of(runtime)
    torch.set_num_threads(runtime.threads)
    # On a GPU the exact kernels cost too much; there equal runs are equal up to rounding.
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Every place of every tensor made here is written before it is read; filling them first costs a tenth of a step.
    # torch puts an object in this module's place, which the checker does not see
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return device


def train(workshop: Workshop, request: TrainRequest, tell: Tell, team: Team = ALONE) -> tuple[Path, bool]:
    """Run a trial unless it is there. ``(folder, whether it was there)``; Refusal for whatever does not fit.

    Of many processes each calls this with its place in the ``team``; the leader writes and tells.
    """
    home, settings = Home(Path(request.home)), request.settings
    found = team.agree(str(home.find("trials", settings.digest()) or "") if team.leads else None)
    if found:
        return Path(found), True
    started = Clock()
    prepare_torch(request.runtime)
    reader = MixReader(home, request.mix)
    if reader.info.content_digest != settings.mix:
        what = f"has content {reader.info.content_digest[:12]}, the settings ask for {settings.mix[:12]}"
        raise Refusal(f"mix '{request.mix}'", what, "build the mix again, or plan the trial again")
    if settings.stage.lora is not None and request.runtime.parallel not in ("none", "ddp"):
        what = f"are not shared among processes by '{request.runtime.parallel}'"
        raise Refusal("low-rank adapters", what, "train them with --parallel ddp, or in one process")
    way = way_of(request.runtime, settings.stage, team)
    start = _start_folder(home, settings, Path(request.base))
    shared = way.whole and way.device.type == "cpu" and settings.stage.lora is None
    checkpoint, frozen = prepare(workshop.checkpoint(start, own=not shared), settings.stage, settings.seed)
    corpus = load_corpus(reader, settings.stage, settings.seed, workshop.tokens(checkpoint))
    folder = home.folder("trials", request.name, settings.digest())
    with _making(home, folder, _record(request.name, settings, corpus), team) as work:
        if work is None:
            return folder, True
        features = Features(checkpoint, workshop.store(home).read, workshop.pictures)
        states = States(work / STATES, team)
        feed = Feed(corpus, home, checkpoint.pictures if request.runtime.workers else None)
        run = Run(folder.name, home.path / TRACKING / folder.name, settings.model_dump(mode="json"))
        loop = Loop(Network(checkpoint, features, way), feed, request.runtime, tell, team, states, run)
        _run(loop, work.parent / LOG if team.leads else None)
        weights = whole_state(checkpoint.model, team)
        if team.leads:
            (work.parent / LOG).rename(work / LOG)
            _write_trial(work, settings, checkpoint, frozen, weights)
            (work / COST).write_bytes(dump_json(started.cost(corpus)))
            states.leave()
    return folder, False


def way_of(runtime: Runtime, stage: Stage, team: Team) -> Way:
    """How the model of a stage is computed."""
    whole = team.size == 1 and not runtime.recompute and not runtime.compile
    return Way(stage.precision, team.device, whole, stage.capacity if runtime.compile else 0)


@contextlib.contextmanager
def _making(home: Home, folder: Path, record: Record, team: Team) -> Iterator[Path | None]:
    """The folder that is being made, with what a killed run left in it; None where another run has finished it."""
    if not team.leads:
        found: str = team.agree(None)
        yield Path(found) if found else None
        team.wait()
        return
    with home.continuing(folder, record) as work:
        team.agree(str(work or ""))
        yield work
    team.wait()


def _start_folder(home: Home, settings: Settings, base: Path) -> Path:
    """The checkpoint folder a trial starts from: an upstream trial's, or the base."""
    if settings.init is None:
        check_base(base, settings.base)
        return base
    found = home.find("trials", settings.init)
    if found is None:
        way = "train the first stage, then run this again"
        raise Refusal(f"trial {settings.init[:12]}", "is the start of this one but not there", way)
    return found / CHECKPOINT


def _run(loop: Loop, log: Path | None) -> None:
    """Train to the end. The log grows step by step beside what is kept, so that whoever waits sees the curve."""
    with contextlib.ExitStack() as closing:
        file = closing.enter_context(log.open("w")) if log is not None else None
        for line in loop.run():
            if file is not None:
                file.write(json.dumps(vars(line), sort_keys=True) + "\n")
                file.flush()


def _record(name: str, settings: Settings, corpus: Corpus) -> Record:
    inputs = {"mix": settings.mix, "base": settings.base}
    if settings.init is not None:
        inputs["init"] = settings.init
    return Record(
        kind="trial",
        name=name,
        digest=settings.digest(),
        inputs=inputs,
        rows_in=len(corpus.samples) + sum(corpus.rejected.values()),
        rows_out=len(corpus.samples),
        rejected=corpus.rejected,
        settings=settings.model_dump(mode="json"),
        versions={"torch": torch.__version__, "transformers": transformers.__version__},
        command=f"train {name}",
    )


def _write_trial(
    work: Path,
    settings: Settings,
    checkpoint: Checkpoint,
    frozen: dict[str, Any],
    weights: dict[str, Tensor] | None,
) -> None:
    (work / SETTINGS).write_bytes(dump_json({**settings.model_dump(mode="json"), "modules": frozen}))
    if checkpoint.lora is not None:
        save_lora(checkpoint, work / LORA, settings.init or settings.base)
        merge_lora(checkpoint)
        weights = None  # those of the plain model that this leaves
    save_checkpoint(checkpoint, work / CHECKPOINT, weights=weights)
    asks = chat_jinja.jinja(template(settings.stage.template))
    if asks is not None:
        (work / CHECKPOINT / chat_jinja.FILE).write_text(asks)


class Clock:
    """CPU and wall seconds since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def cost(self, corpus: Corpus) -> dict[str, Any]:
        """What ``cost.json`` says."""
        cpu = time.process_time() - self._cpu
        samples = len(corpus.samples) * corpus.stage.epochs
        return {
            "cpu_seconds": round(cpu, 3),
            "wall_seconds": round(time.monotonic() - self._wall, 3),
            "samples": samples,
            "samples_per_cpu_second": round(samples / max(cpu, 1e-9), 1),
            "machine": platform.machine(),
        }
