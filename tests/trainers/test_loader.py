"""From a mix to steps: order, counting, refusals, and what a step holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from registry.errors import Refusal
from registry.mix import MixReader
from registry.sample import make_message
from tests.trainers.conftest import Toy
from tests.trainers.toy import make_mix, stage, talk
from trainers.loader import IGNORED, TOO_LONG, Corpus, load_corpus
from trainers.tokens import Tokens


def load(toy: Toy, mix: str, seed: int = 0, **changes: Any) -> Corpus:
    checkpoint = toy.checkpoint()
    reader = MixReader(toy.home, mix)
    return load_corpus(reader, stage(**changes), seed, toy.workshop.tokens(checkpoint))


def test_the_order_depends_on_the_seed_and_a_candidate_only_goes_between(toy: Toy) -> None:
    small, _ = make_mix(toy.home, "few", list(range(60)))
    large, _ = make_mix(toy.home, "more", list(range(90)))
    few, more = load(toy, small), load(toy, large)
    assert [name for name in more.order if name in set(few.order)] == few.order
    assert load(toy, small, seed=1).order != few.order
    assert load(toy, small).order == few.order


def test_copies_of_a_sample_have_places_of_their_own(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "twice", [1, 2, 3, 1, 2, 3])
    order = load(toy, mix).order
    assert len(order) == len(set(order)) == 6
    assert len({name for name, _ in order}) == 3


def test_steps_hold_every_sample_once_an_epoch_in_another_order(toy: Toy) -> None:
    corpus = load(toy, toy.mix[0], epochs=2)
    steps = [np.concatenate(rows) for rows in corpus.steps()]
    numbers = np.concatenate(steps)
    half = len(corpus.samples)
    assert sorted(numbers[:half]) == sorted(numbers[half:]) == list(range(half))
    assert numbers[:half].tolist() != numbers[half:].tolist()
    assert all(len(rows) <= 2 for rows in corpus.steps())


def test_a_step_is_its_samples_without_padding(toy: Toy) -> None:
    corpus = load(toy, toy.mix[0])
    rows = corpus.steps()[0]
    step, sorted_step = corpus.batch(rows), corpus.batch(rows, by_length=True)
    assert step.lengths.sum() == len(step.ids) == len(step.labels) == len(step.positions)
    assert step.rows.tolist() == [len(row) for row in rows]
    assert step.positions.max() == step.lengths.max() - 1
    assert (step.positions == 0).sum() == step.samples
    assert sorted_step.lengths.tolist() == sorted(step.lengths.tolist())
    assert sorted(sorted_step.ids.tolist()) == sorted(step.ids.tolist())
    assert sorted_step.learned == step.learned == (step.labels != IGNORED).sum()
    assert (step.ids == corpus.samples[0].ids.dtype.type(2)).sum() == 4 * len(step.images)
    assert sorted(step.images) == sorted(sorted_step.images)


def test_learned_labels_are_the_answers(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "one", [0])
    corpus = load(toy, mix)
    step = corpus.batch(corpus.steps()[0])
    tokens: Tokens = toy.checkpoint().tokens
    colour = talk(0)[1]
    assert colour is not None
    assert tokens.decode(step.labels[step.labels != IGNORED].tolist()) == f" {colour}"
    assert step.labels[-1] == tokens.single("</s>")


def test_too_long_samples_are_left_out_and_counted(toy: Toy) -> None:
    long = [make_message("user", "red " * 200), make_message("assistant", "yes")]
    mix, _ = make_mix(toy.home, "long", list(range(40)), [long])
    corpus = load(toy, mix)
    assert corpus.rejected == {TOO_LONG: 1}
    assert len(corpus.samples) == 40


def test_too_many_too_long_samples_are_refused(toy: Toy) -> None:
    long = [[make_message("user", f"red {number} " * 200), make_message("assistant", "yes")] for number in range(3)]
    mix, _ = make_mix(toy.home, "longer", list(range(27)), long)
    with pytest.raises(Refusal, match=r"3 of 30 samples \(10.0%\) do not fit into a row: 3 are longer than its 160 tokens") as refusal:
        load(toy, mix)
    assert "too_long_limit" in refusal.value.way_out
    assert load(toy, mix, too_long_limit=0.1).rejected == {TOO_LONG: 3}


def test_a_mix_of_only_too_long_samples_is_refused_whatever_the_limit(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "alone", [1])
    with pytest.raises(Refusal, match="1 of 1 samples"):
        load(toy, mix, capacity=16, too_long_limit=1.0)


def test_a_sample_with_nothing_to_learn_is_refused(toy: Toy) -> None:
    silent = [make_message("user", "red"), make_message("assistant", "yes"), make_message("system", "x")]
    mix, _ = make_mix(toy.home, "silent", [1], [silent[:1]])
    with pytest.raises(Refusal, match="has no token to learn"):
        load(toy, mix)


def test_places_without_pictures_are_refused(toy: Toy) -> None:
    blind = [make_message("user", "red", 1), make_message("assistant", "yes")]
    mix, _ = make_mix(toy.home, "blind", [1], [blind])
    with pytest.raises(Refusal, match="1 picture places but it has 0 pictures"):
        load(toy, mix)


def test_an_empty_mix_is_refused(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "empty", [])
    with pytest.raises(Refusal, match="has no samples"):
        load(toy, mix)


def test_the_first_stage_learns_captions_only(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "captions", [0, 1, 4])
    corpus = load(toy, mix, template="plain")
    for sample in corpus.samples:
        assert sample.ids[:4].tolist() == [2, 2, 2, 2]
        assert sample.learned.tolist() == [False] * 4 + [True] * (len(sample) - 4)
