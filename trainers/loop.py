"""Step by step forward, backward, update: in one process or many, from the start or from where a killed run was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from registry.errors import Refusal
from registry.identity import order_key
from registry.mix_stream import Share
from registry.trial import Runtime, Stage
from trainers.feed import Feed
from trainers.flops import Flops
from trainers.forward import Network
from trainers.loader import Plan, Rows, Step
from trainers.meter import Meter, peak_of_devices
from trainers.model import parameters_of
from trainers.parallel import ALONE, Team, by_mesh, clip, held_back, spread
from trainers.resume import States
from trainers.tracking import Run, Track, tracked

Event = dict[str, Any]
Tell = Callable[[Event], None]


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


@dataclass
class Loop:
    """One stage of training of a network, in place."""

    network: Network
    feed: Feed
    """Where the steps come from; which share of them this process takes is said here."""
    runtime: Runtime
    tell: Tell
    team: Team = ALONE
    states: States | None = None
    """Where a state is kept for a run that is killed; None = nowhere."""
    tracked: Run | None = None
    """What is tracked where ``runtime`` asks for it."""

    def __post_init__(self) -> None:
        self._corpus = self.feed.corpus
        self._stage = self._corpus.stage
        self._flops = Flops.of(self.network.checkpoint.model)
        self.feed = replace(
            self.feed,
            share=Share(self.team.data_rank, self.team.data_size),
            work=self._flops.work,
            at_once=self.runtime.micro_rows,
            by_length=self.network.lean,
            pinned=self.team.device.type == "cuda",
        )
        self._objective = spread(self.network, self.runtime, self.team)
        self._optimizer, self._learning = make_optimizer(self.network.checkpoint.model, self._stage)

    def run(self) -> Iterator[Logged]:
        """Train to the end; a line for every step, those before a resumed state from there."""
        begun = list(self._resumed())
        yield from begun
        lines = list(begun)
        plan = self._corpus.steps()
        meter = Meter(len(plan), peak_of_devices(self.team.device.type, self.team.size), len(begun))
        feed = self.feed.steps(len(begun), self.runtime.workers)
        run = None if self.tracked is None else replace(self.tracked, done=len(begun))
        with tracked(self.runtime.track if self.team.leads else None, run) as track:
            for number, parts in enumerate(feed, start=len(begun)):
                line, due = self._step(number, plan, parts)
                if not math.isfinite(line.loss):
                    way = "lower the learning rates, or look at the samples of this step"
                    raise Refusal(f"stage {self._stage.name}, step {line.step}", f"the loss is {line.loss}", way)
                lines.append(line)
                self._told(line, plan, meter, track)
                if due and self.states is not None and line.step < len(plan):
                    self.states.save([vars(done) for done in lines], self.network.checkpoint.model, self._optimizer)
                yield line

    def _told(self, line: Logged, plan: Plan, meter: Meter, track: Track) -> None:
        """Count a step, and say how fast it goes."""
        numbers = np.concatenate(plan[line.step - 1])
        pictures = int(self._corpus.pictures[numbers].sum())
        meter.add(line.samples, line.tokens, self._flops.of_step(self._corpus.lengths[numbers], pictures, line.learned))
        if not self.team.leads:
            return
        figures = meter.figures()
        track(line.step, {**vars(line), **figures})
        if line.step % self.runtime.log_every == 0 or line.step == len(plan):
            self.tell({"event": "progress", "step": line.step, "steps": len(plan), "loss": line.loss, **figures})

    def _resumed(self) -> Iterator[Logged]:
        """What a killed run had done, after its state has been put in place."""
        if self.states is None:
            return
        found = self.states.load(self.network.checkpoint.model, self._optimizer)
        if found and self.team.leads:
            self.tell({"event": "resumed", "step": len(found)})
        for line in found:
            yield Logged(**line)

    def _step(self, number: int, plan: Plan, parts: list[Step]) -> tuple[Logged, bool]:
        """One update; its line, and whether a state should be kept now."""
        rows, corpus = plan[number], self._corpus
        rate = learning_rate(number, len(plan), self._stage.warmup_ratio)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        # Dropout is a matter of seed, step and data group, not of what was drawn before: nothing of it to resume.
        torch.manual_seed(order_key(corpus.seed, "step", number, self.team.data_rank))
        chosen = np.concatenate(rows)
        loss = self._backward(parts, rows, bool(corpus.pictures[chosen].any()))
        clip(self._learning, self._stage.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        found = self._together(loss, number + 1)
        tokens, learned = int(corpus.lengths[chosen].sum()), int(corpus.learned[chosen].sum())
        return Logged(number + 1, found[0], rate, len(chosen), tokens, learned), bool(found[1])

    def _backward(self, parts: list[Step], rows: Rows, pictured: bool) -> Tensor:
        """Gradients of a step's loss; the part of the loss that is this process's."""
        device, bf16, mass = self.team.device.type, self._stage.precision == "bf16", self._corpus.mass(rows)
        total = torch.zeros((), device=self.team.device)
        for number, part in enumerate(parts):
            # Who has no row goes through another's without learning from it: the others wait for it in every layer.
            step = part if part.samples else self._corpus.batch([rows[0]], by_length=self.network.lean)
            with held_back(self._objective, last=number + 1 == len(parts)):
                with torch.autocast(device, torch.bfloat16, enabled=bf16):
                    loss = self._objective(step, mass, pictured and self.team.data_size > 1)
                loss = loss if part.samples else loss * 0.0
                # What processes gather of their gradients is a mean; a step wants their sum.
                torch.autograd.backward(loss * self.team.data_size if self.team.data_size > 1 else loss)
            total += loss.detach()
        return total

    def _together(self, loss: Tensor, step: int) -> tuple[float, float]:
        """The loss of all processes, and whether the leader's clock says that a state should be kept."""
        due = float(self.states is not None and self.team.leads and self.states.is_due(step, self.runtime))
        return self.team.summed(loss, due)


def make_optimizer(model: nn.Module, stage: Stage) -> tuple[torch.optim.AdamW, list[nn.Parameter]]:
    """AdamW with a peak rate for each module; vectors (norms, biases) do not decay. And all parameters that learn."""
    groups: list[dict[str, Any]] = []
    for module in stage.trains:
        named = [parameter for _, parameter in parameters_of(model, module) if parameter.requires_grad]
        kinds = [(named, 0.0)]  # one group is updated faster than two
        if stage.weight_decay:
            kinds = [
                ([parameter for parameter in named if (parameter.ndim >= 2) == decays], stage.weight_decay * decays)
                for decays in (True, False)
            ]
        for chosen, decay in kinds:
            common = {"peak": stage.lr[module], "weight_decay": decay}
            groups += [{"params": alike, **common} for alike in by_mesh(chosen).values()]
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
