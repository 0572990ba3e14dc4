"""One trial: a stage of training on one mix, from a checkpoint to a checkpoint.

Equal settings give equal bytes on one machine: one thread, deterministic kernels, an order that depends on seed and
samples alone. Nothing is visible before everything is there, and what is there is never made again.
"""

from __future__ import annotations

import json
import logging
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from registry.checkpoint import CHECKPOINT
from registry.errors import Refusal
from registry.mix import MixReader
from registry.store import COST, Home, Record, dump_json
from registry.trial import Runtime, Settings, Stage
from trainers.features import Features
from trainers.feed import Feed
from trainers.flops import Flops
from trainers.forward import Network
from trainers.loader import Corpus, Step, load_corpus
from trainers.meter import Meter, peak_of_devices
from trainers.model import Checkpoint, freeze, parameters_of, save_checkpoint
from trainers.requests import TrainRequest
from trainers.tracking import FOLDER, Run, Track, tracked
from trainers.workshop import Workshop, check_base

logger = logging.getLogger(__name__)

Event = dict[str, Any]
Tell = Callable[[Event], None]

LOG = "log.jsonl"
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Logged:
    """One line of ``log.jsonl``: no times, so that equal runs have equal logs."""

    step: int
    loss: float
    rate: float
    """Share of the peak learning rates."""
    samples: int
    tokens: int
    learned: int


def prepare_torch(runtime: Runtime) -> None:
    """Fix what would make equal runs differ."""
    if runtime.device != "cpu":
        raise Refusal(f"device '{runtime.device}'", "is not supported by this trainer", "set device to 'cpu'")
    torch.set_num_threads(runtime.threads)
    torch.use_deterministic_algorithms(True)
    # Every place of every tensor made here is written before it is read; filling them first costs a tenth of a step.
    # torch puts an object in this module's place, which the checker does not see
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def train(workshop: Workshop, request: TrainRequest, tell: Tell) -> tuple[Path, bool]:
    """Run a trial unless it is there. ``(folder, whether it was there)``; Refusal for whatever does not fit."""
    home, settings = Home(Path(request.home)), request.settings
    found = home.find("trials", settings.digest())
    if found is not None:
        return found, True
    started = _Clock()
    prepare_torch(request.runtime)
    reader = MixReader(home, request.mix)
    if reader.info.content_digest != settings.mix:
        what = f"has content {reader.info.content_digest[:12]}, the settings ask for {settings.mix[:12]}"
        raise Refusal(f"mix '{request.mix}'", what, "build the mix again, or plan the trial again")
    checkpoint = workshop.checkpoint(_start_folder(home, settings, Path(request.base)))
    frozen = freeze(checkpoint, settings.stage.trains)
    corpus = load_corpus(reader, settings.stage, settings.seed, workshop.tokens(checkpoint))
    folder = home.folder("trials", request.name, settings.digest())
    with home.making(folder, _record(request.name, settings, corpus)) as work:
        features = Features(checkpoint, workshop.store(home).read, workshop.pictures)
        network = Network(checkpoint, features, settings.stage.precision)
        ahead = checkpoint.pictures if request.runtime.workers else None
        feed = Feed(corpus, home, ahead, work=Flops.of(checkpoint.model).work, by_length=network.lean)
        run = Run(folder.name, home.path / FOLDER / folder.name, settings.model_dump(mode="json"))
        with tracked(request.runtime.track, run) as track:
            log = list(run_stage(network, feed, request.runtime, tell, track))
        _write_trial(work, settings, checkpoint, frozen, log)
        (work / COST).write_bytes(dump_json(started.cost(corpus)))
    return folder, False


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


def run_stage(
    network: Network, feed: Feed, runtime: Runtime, tell: Tell, track: Track = lambda _step, _figures: None
) -> Iterator[Logged]:
    """Train ``network`` in place, step by step."""
    corpus, stage = feed.corpus, feed.corpus.stage
    plan = corpus.steps()
    optimizer, learning = make_optimizer(network.checkpoint.model, stage)
    meter, flops = Meter(len(plan), peak_of_devices(runtime.device, 1)), Flops.of(network.checkpoint.model)
    for number, step in enumerate(feed.steps(workers=runtime.workers)):
        rate = learning_rate(number, len(plan), stage.warmup_ratio)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        loss = _one_step(network, step, optimizer, learning, stage)
        if not math.isfinite(loss):
            way = "lower the learning rates, or look at the samples of this step"
            raise Refusal(f"stage {stage.name}, step {number + 1}", f"the loss is {loss}", way)
        line = Logged(number + 1, loss, rate, step.samples, len(step.ids), step.learned)
        meter.add(step.samples, len(step.ids), flops.of_step(step.lengths, len(step.images), step.learned))
        figures = meter.figures()
        track(line.step, {**vars(line), **figures})
        if line.step % runtime.log_every == 0 or line.step == len(plan):
            tell({"event": "progress", "step": line.step, "steps": len(plan), "loss": loss, **figures})
        yield line


def _one_step(
    network: Network, step: Step, optimizer: torch.optim.Optimizer, learning: list[nn.Parameter], stage: Stage
) -> float:
    """Forward, backward, update; the loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=stage.precision == "bf16"):
        loss = network.loss(step)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(learning, stage.clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def make_optimizer(model: nn.Module, stage: Stage) -> tuple[torch.optim.AdamW, list[nn.Parameter]]:
    """AdamW with a peak rate for each module; vectors (norms, biases) do not decay. And all parameters that learn."""
    groups: list[dict[str, Any]] = []
    for module in stage.trains:
        named = [parameter for _, parameter in parameters_of(model, module)]
        if not stage.weight_decay:  # one group is updated faster than two
            groups.append({"params": named, "peak": stage.lr[module], "weight_decay": 0.0})
            continue
        for decays in (True, False):
            chosen = [parameter for parameter in named if (parameter.ndim >= 2) == decays]
            decay = stage.weight_decay if decays else 0.0
            groups.append({"params": chosen, "peak": stage.lr[module], "weight_decay": decay})
    if not groups:
        raise Refusal(f"stage {stage.name}", "trains nothing", "name vision, adapter or llm in 'trains'")
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=stage.betas, fused=True)
    return optimizer, [parameter for group in groups for parameter in group["params"]]


def learning_rate(step: int, steps: int, warmup_ratio: float) -> float:
    """Share of the peak rate at ``step`` (from 0): linear warm-up, then half a cosine down to zero at the end."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


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
    work: Path, settings: Settings, checkpoint: Checkpoint, frozen: dict[str, Any], log: list[Logged]
) -> None:
    lines = [json.dumps(vars(line), sort_keys=True) for line in log]
    (work / LOG).write_text("\n".join(lines) + "\n")
    (work / SETTINGS).write_bytes(dump_json({**settings.model_dump(mode="json"), "modules": frozen}))
    save_checkpoint(checkpoint, work / CHECKPOINT)


class _Clock:
    """CPU and wall seconds since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def wall(self) -> float:
        return time.monotonic() - self._wall

    def cost(self, corpus: Corpus) -> dict[str, Any]:
        cpu = time.process_time() - self._cpu
        samples = len(corpus.samples) * corpus.stage.epochs
        return {
            "cpu_seconds": round(cpu, 3),
            "wall_seconds": round(self.wall(), 3),
            "samples": samples,
            "samples_per_cpu_second": round(samples / max(cpu, 1e-9), 1),
            "machine": platform.machine(),
        }
