"""Training and scoring speed of the demo-size model, in CPU milliseconds a sample, against transformers' forward.

``python -m tests.speed.training [--rounds N]``. Each step is done by every method in turn, forward, backward and update
on the same samples with a frozen, cached tower, so that a busy moment hits each alike. Low percentiles are the machine
left alone. Exit status 1 when the lean decoder is not ``LIMIT`` times as fast as the faster of the two others.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from registry.mix import MixReader
from registry.store import Home
from registry.trial import Runtime
from tests.trainers import toy
from trainers.base_build import start
from trainers.chat import template
from trainers.features import Features
from trainers.forward import Network
from trainers.generate import replies
from trainers.loader import IGNORED, Corpus, Step, load_corpus
from trainers.loop import make_optimizer
from trainers.model import Checkpoint, freeze
from trainers.requests import BaseSettings, BaseStage, Shape
from trainers.serve import keep_memory
from trainers.sharing import Prompt
from trainers.token_cache import TokenCache
from trainers.train import prepare_torch
from trainers.workshop import Workshop

LIMIT = 1.25
SAMPLES = 1024
STAGE = toy.stage(capacity=128, rows_per_step=4)


def prepare(root: Path) -> tuple[Checkpoint, Corpus, Workshop, Home]:
    """A model of the demo's size and a toy mix with pictures of the demo's size."""
    home, workshop = Home(root / "home"), Workshop()
    mix, _ = toy.make_mix(home, "toy", list(range(SAMPLES)))
    settings = BaseSettings(shape=Shape(), words=toy.WORDS, stages=[BaseStage(stage=STAGE, mix=mix)])
    checkpoint = start(settings, root / "base")
    freeze(checkpoint, STAGE.trains)
    corpus = load_corpus(MixReader(home, mix), STAGE, 0, TokenCache(checkpoint.tokens, checkpoint.image_tokens))
    return checkpoint, corpus, workshop, home


def padded_loss(network: Network, step: Step) -> torch.Tensor:
    """Transformers' forward on one sample a row, padded on the right: what most trainers do."""
    sizes = step.lengths.tolist()
    rows = torch.split(network.embed(step), sizes)
    padded = torch.stack([functional.pad(row, (0, 0, 0, max(sizes) - len(row))) for row in rows])
    hidden = network.decoder(inputs_embeds=padded, use_cache=False).last_hidden_state
    flat = torch.cat([row[:size] for row, size in zip(hidden, sizes, strict=True)])
    labels = torch.from_numpy(step.labels)
    learned = (labels != IGNORED).nonzero().flatten()
    return functional.cross_entropy(network.head(flat[learned - 1]), labels[learned])


def measure(root: Path, rounds: int) -> dict[str, list[float]]:
    """Method -> CPU milliseconds a sample of each step."""
    checkpoint, corpus, workshop, home = prepare(root)
    features = Features(checkpoint, workshop.store(home).read, workshop.pictures)
    lean = Network(checkpoint, features)
    rows = Network(checkpoint, features, "rows of transformers")
    optimizer, _ = make_optimizer(checkpoint.model, STAGE)
    methods: dict[str, tuple[bool, Callable[[Step], torch.Tensor]]] = {
        "lean": (True, lean.loss),
        "transformers, packed 128 x 4": (False, rows.loss),
        "transformers, padded": (True, lambda step: padded_loss(rows, step)),
    }
    found: dict[str, list[float]] = {name: [] for name in methods}
    plan = corpus.steps()[:-1]
    for round_ in range(rounds + 1):
        for numbers in plan:
            for name, (by_length, loss) in methods.items():
                before = time.process_time()
                step = corpus.batch(numbers, by_length=by_length)
                torch.autograd.backward(loss(step))
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                if round_:  # the first fills the tower cache
                    found[name].append(1e3 * (time.process_time() - before) / step.samples)
    tokens = [len(sample) for sample in corpus.samples]
    print(f"{len(plan)} steps, {statistics.mean(tokens):.1f} tokens a sample, {rounds} rounds")
    found["scoring, 3 tokens a prompt"] = _scoring(checkpoint, corpus, lean, rounds)
    return found


def _scoring(checkpoint: Checkpoint, corpus: Corpus, network: Network, rounds: int) -> list[float]:
    asked = [template("demo").prompt([toy.talk(number)[0][0]]) for number in range(512)]
    encoded = checkpoint.tokens.encode_prompts(asked, checkpoint.image_tokens)
    image = next(images for images in corpus.images if images)
    prompts = [Prompt(tokens, image[: tokens.pictures]) for tokens in encoded]
    found = []
    for _ in range(2 * rounds + 1):
        before = time.process_time()
        replies(network, prompts, -1, 3)
        found.append(1e3 * (time.process_time() - before) / len(prompts))
    return found[1:]


def main() -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description="Training and scoring speed of the demo-size model.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    prepare_torch(Runtime())
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), rounds)
    low = {name: float(np.percentile(values, 10)) for name, values in found.items()}
    for name, values in found.items():
        print(f"{name:32s} ms/sample: p10 {low[name]:6.2f}  median {statistics.median(values):6.2f}")
    others = [value for name, value in low.items() if name.startswith("transformers")]
    ratio = min(others) / low["lean"]
    print(f"lean is {ratio:.2f} x the faster of the others (limit {LIMIT})")
    return 0 if ratio >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
