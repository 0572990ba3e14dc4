"""Training speed of LLaVA on one GPU: useful tokens a second, MFU, where a step's time goes, memory, and the loader.

``python -m tests.speed.gpu_training [--size llava-7b|small|toy] [--seconds N] [--json FILE]``, about seven minutes on
one H100 or H200. Weights are random, the same for every method, and so are the data: JPEG pictures and texts with the
lengths of LLaVA-1.5's mix, read from a data home. Useful tokens are those that are no padding. Compared are

* ours: rows packed to 4,096 tokens, prepared ahead by the feed's workers;
* Trainer: transformers' own, padded to the longest of a batch, as LLaVA trains (16 samples, layers computed again on
  the way back), and with a batch that fits without that, where there is room for it;
* packed peer: transformers' model on rows packed by best fit in windows of 1,000 (what LLaMA-Factory, ms-swift and TRL
  do), flattened by transformers' own collator, with flash attention where it is installed.

All train adapter and decoder in bf16 with fused AdamW; the tower is frozen. Exit status 1 when an aim is missed. On a
CPU the toy size shows that everything runs; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from registry.images import ImageStore
from registry.store import Home
from tests.speed.gpu_bench import SIZES, Bench, Forgetful, Speed, make_data, speed_of, timed
from tests.speed.gpu_peers import measure_packed_peer, measure_trainer
from trainers.features import Features
from trainers.feed import Feed
from trainers.flops import Flops
from trainers.forward import Network, Way
from trainers.loader import Corpus, Step
from trainers.loop import make_optimizer
from trainers.meter import peak_of_devices
from trainers.model import Checkpoint
from trainers.packing import fill

AIMS = {"over padded": 2.0, "over packed": 1.10, "mfu": 0.45}
MOST_LOADER = 1.03
"""What a step with the real loader may take of one whose batch is there already."""


@dataclass
class Ours:
    """The seam to the trainer's own loop: one optimiser step on one prepared step."""

    bench: Bench
    checkpoint: Checkpoint
    corpus: Corpus
    network: Network = field(init=False)

    def __post_init__(self) -> None:
        self.store = ImageStore(self.bench.home)
        way = Way("fp32" if self.bench.device.type == "cpu" else "bf16", self.bench.device)
        self.network = Network(self.checkpoint, Features(self.checkpoint, self.store.read, Forgetful()), way)
        self.optimizer, self.learning = make_optimizer(self.checkpoint.model, self.bench.stage)

    def feed(self) -> Feed:
        pinned = self.bench.device.type == "cuda"
        return Feed(self.corpus, self.bench.home, self.checkpoint.pictures, by_length=self.network.lean, pinned=pinned)

    def steps(self) -> Iterator[Step]:
        return (step for [step] in self.feed().steps(workers=self.bench.workers))

    def loss(self, step: Step) -> Tensor:
        with self.mixed():
            return self.network.loss(step)

    def mixed(self) -> torch.autocast:
        return torch.autocast(self.bench.device.type, torch.bfloat16, enabled=self.bench.device.type == "cuda")

    def embed(self, step: Step) -> Tensor:
        with self.mixed():
            return self.network.embed(step)

    def update(self) -> None:
        nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def __call__(self, step: Step) -> None:
        torch.autograd.backward(self.loss(step))
        self.update()


def measure_ours(bench: Bench) -> Speed:
    """Our loop with the real loader; then where its time goes, and whether the loader holds it up."""
    bench.fresh()
    checkpoint = bench.checkpoint()
    ours = Ours(bench, checkpoint, bench.corpus(checkpoint))
    done, seconds = timed(bench, ours.steps(), ours)
    speed = speed_of(bench, Flops.of(checkpoint.model), done, seconds, sum(len(step.ids) for step in done))
    rows = [row for step in ours.corpus.steps() for row in step]
    bench.notes["fill of our rows"] = fill(ours.corpus.lengths, rows, bench.size.capacity)
    bench.notes["loader"] = loader_share(bench, ours, done)
    bench.notes["step, seconds"] = breakdown(bench, ours)
    return speed


def loader_share(bench: Bench, ours: Ours, steps: list[Step]) -> float:
    """Time of steps that the loader hands over as they are made, over that of the same steps, there already."""
    kept = steps[: max(len(steps) // 4, 2)]
    for step in kept[:1]:
        ours(step)
    bench.wait()
    start = time.perf_counter()
    for step in kept:
        ours(step)
    bench.wait()
    cached = (time.perf_counter() - start) / sum(len(step.ids) for step in kept)
    feed = timed(bench, ours.steps(), ours, warm=1)
    fed = feed[1] / sum(len(step.ids) for step in feed[0])
    return fed / cached


def breakdown(bench: Bench, ours: Ours, steps: int = 8) -> dict[str, float]:
    """Seconds of each part of a step, each waited for: their sum is a little more than a step takes."""
    parts = dict.fromkeys(("loader", "vision", "decoder forward", "backward", "optimiser"), 0.0)
    feed = ours.steps()

    def part(name: str, do: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = do()
        bench.wait()
        parts[name] += time.perf_counter() - start
        return found

    for number in range(steps + 2):
        if number == 2:
            parts.update(dict.fromkeys(parts, 0.0))
        step = part("loader", lambda: next(feed, None))
        if step is None:
            break
        part("vision", partial(ours.embed, step))
        loss = part("decoder forward", partial(ours.loss, step))
        part("backward", partial(torch.autograd.backward, loss))
        part("optimiser", ours.update)
    parts["decoder forward"] -= parts["vision"]  # it went through the tower once more
    return {name: round(value / steps, 5) for name, value in parts.items()}


def verdicts(found: dict[str, Speed], loader: float, peak: float | None) -> dict[str, tuple[float, bool]]:
    """Each aim: what was reached, and whether that is enough."""
    ours = found["ours"].tokens_per_second
    padded = max(speed.tokens_per_second for name, speed in found.items() if name.startswith("Trainer"))
    reached = {"over padded": ours / padded, "over packed": ours / found["packed peer"].tokens_per_second}
    if peak:
        reached["mfu"] = found["ours"].flops_per_second / peak
    met = {name: (value, value >= AIMS[name]) for name, value in reached.items()}
    return met | {"loader": (loader, loader <= MOST_LOADER)}


def measure(bench: Bench) -> dict[str, Speed]:
    """Every method in turn; one that has no room for its batch is left out, and said so."""
    found = {"ours": measure_ours(bench)}
    for batch, recompute in bench.size.padded:
        name = f"Trainer, {batch} padded{', recomputed' if recompute else ''}"
        try:
            found[name] = measure_trainer(bench, batch, recompute)
        except torch.OutOfMemoryError:
            bench.notes[name] = "out of memory"
    found["packed peer"] = measure_packed_peer(bench)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="llava-7b")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each measurement")
    parser.add_argument("--workers", type=int, default=6, help="processes that prepare pictures")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak = peak_of_devices(device.type, 1)
    with tempfile.TemporaryDirectory() as work:
        home = Home(Path(work) / "home")
        mix = make_data(home, SIZES[given.size])
        bench = Bench(SIZES[given.size], home, mix, Path(work), device, given.seconds, given.workers)
        found = measure(bench)
    for name, speed in found.items():
        print(speed.line(name, peak))
    for name, value in bench.notes.items():
        print(f"{name}: {value}")
    judged = verdicts(found, bench.notes["loader"], peak)
    for name, (value, met) in judged.items():
        print(f"{name}: {value:.3f} ({'met' if met else 'missed'})")
    if given.json:
        shown = {
            "methods": {name: asdict(speed) for name, speed in found.items()},
            "notes": bench.notes,
            "aims": judged,
        }
        given.json.write_text(json.dumps(shown | {"device": str(device), "torch": torch.__version__}, indent=2) + "\n")
    return 0 if device.type == "cpu" or all(met for _, met in judged.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
