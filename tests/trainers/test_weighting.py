"""Each way of weighting: its formula, and the same loss and gradients packed, in parts and sample by sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from registry.trial import Weighting
from tests.trainers.conftest import Toy
from tests.trainers.test_forward import EVERYTHING, TOLERANCE, assert_close, gradients, one_by_one
from tests.trainers.toy import stage
from trainers.forward import Network
from trainers.loader import Corpus
from trainers.weighting import POWERS, mass, token_weights

WAYS: tuple[Weighting, ...] = ("token", "sample", "root")


def by_hand(network: Network, corpus: Corpus, numbers: list[int], power: float) -> torch.Tensor:
    """The loss from the mean of each sample alone: n * n^-p * mean, over the sum of n^(1-p)."""
    steps = [replace(step, weights=None) for step in one_by_one(corpus, numbers)]
    counts = [step.learned for step in steps]
    means = torch.stack([network.loss(step) for step in steps])
    shares = torch.tensor([count ** (1 - power) for count in counts])
    return (means * shares).sum() / shares.sum()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["lean", "rows"])
def test_packed_equals_unpacked_and_the_formula(toy: Toy, way: Weighting, kind: str) -> None:
    checkpoint = toy.checkpoint(EVERYTHING)
    corpus = toy.corpus(checkpoint, stage(weighting=way))
    rows = corpus.steps()[0]
    network = toy.network(checkpoint, "fp32" if kind == "lean" else "rows of transformers")
    loss = network.loss(corpus.batch(rows, by_length=network.lean))
    torch.autograd.backward(loss)
    packed = gradients(checkpoint)
    single = toy.network(checkpoint, "rows of transformers")
    expected = by_hand(single, corpus, np.concatenate(rows).tolist(), POWERS[way])
    torch.autograd.backward(expected)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=TOLERANCE)
    assert_close(packed, gradients(checkpoint))


@pytest.mark.parametrize("way", WAYS)
def test_parts_and_ranks_add_up_to_the_step(toy: Toy, way: Weighting) -> None:
    checkpoint = toy.checkpoint()
    corpus = toy.corpus(checkpoint, stage(weighting=way, rows_per_step=5))
    network = toy.network(checkpoint, "rows of transformers")
    rows = corpus.steps()[0]
    step = corpus.batch(rows)
    with torch.no_grad():
        whole = float(network.loss(step))
        parts = [corpus.batch([row]) for rank in range(3) for row in corpus.share(rows, rank, 3)]
        assert len(parts) == 5
        together = sum(float(network.share_of_loss(part, corpus.mass(rows))) for part in parts)
    assert together == pytest.approx(whole, abs=TOLERANCE)
    assert corpus.mass(rows) == pytest.approx(sum(part.mass for part in parts), rel=1e-6)
    assert corpus.mass(rows) == pytest.approx(step.mass, rel=1e-6)


def test_the_three_ways_differ(toy: Toy) -> None:
    checkpoint = toy.checkpoint()
    network = toy.network(checkpoint)
    losses = set()
    for way in WAYS:
        corpus = toy.corpus(checkpoint, stage(weighting=way))
        with torch.no_grad():
            losses.add(round(float(network.loss(corpus.batch(corpus.steps()[0], by_length=True))), 6))
    assert len(losses) == 3


def test_weights_and_mass_of_counts() -> None:
    counts = np.array([4, 0, 1])
    assert token_weights(counts, "token") is None
    sample, root = token_weights(counts, "sample"), token_weights(counts, "root")
    assert sample is not None
    assert root is not None
    assert sample.tolist() == [0.25, 0.25, 0.25, 0.25, 1.0]
    assert root.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]
    assert [mass(counts, way) for way in WAYS] == [5.0, 2.0, 3.0]
