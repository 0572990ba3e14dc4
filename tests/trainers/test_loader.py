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
from trainers.loader import IGNORED, TOO_LONG, TOO_MANY_PICTURES, Corpus, load_corpus
from trainers.packing import pack
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
    with pytest.raises(
        Refusal, match=r"3 of 30 samples \(10.0%\) do not fit into a row: 3 are longer than its 160 tokens"
    ) as refusal:
        load(toy, mix)
    assert "too_long_limit" in refusal.value.way_out
    assert load(toy, mix, too_long_limit=0.1).rejected == {TOO_LONG: 3}


def test_a_mix_of_only_too_long_samples_is_refused_whatever_the_limit(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "alone", [1])
    with pytest.raises(Refusal, match="1 of 1 samples"):
        load(toy, mix, capacity=16, too_long_limit=1.0)


def test_samples_with_nothing_to_learn_are_left_out_and_counted_up_to_a_limit(toy: Toy) -> None:
    silent = [[make_message("user", f"red {number}")] for number in range(3)]
    mix, _ = make_mix(toy.home, "silent", list(range(27)), silent)
    corpus = load(toy, mix, unsupervised_limit=0.1)
    assert len(corpus.samples) == 27
    assert corpus.rejected == {"nothing to learn": 3}
    assert all(sample.learned.any() for sample in corpus.samples)
    with pytest.raises(Refusal, match=r"3 of 30 samples \(10.0%\) have no token to learn") as refusal:
        load(toy, mix)
    assert "unsupervised_limit" in refusal.value.way_out


def test_a_mix_of_samples_with_nothing_to_learn_is_refused_whatever_the_limit(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "mute", [], [[make_message("user", "red")]])
    with pytest.raises(Refusal, match="1 of 1 samples"):
        load(toy, mix, unsupervised_limit=1.0)


def test_long_and_silent_samples_are_counted_once_each(toy: Toy) -> None:
    long = [make_message("user", "red " * 200), make_message("assistant", "yes")]
    both = [make_message("user", "red " * 200)]
    mix, _ = make_mix(toy.home, "both", list(range(40)), [long, both])
    corpus = load(toy, mix, unsupervised_limit=0.05)
    assert corpus.rejected == {"longer than a packed row": 1, "nothing to learn": 1}


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


def test_rows_hold_no_more_pictures_than_they_may(toy: Toy) -> None:
    free, bound = load(toy, toy.mix[0]), load(toy, toy.mix[0], images_per_row=2)

    def most(corpus: Corpus) -> int:
        return max(int(corpus.pictures[row].sum()) for rows in corpus.steps() for row in rows)

    assert most(free) > 2
    assert most(bound) == 2
    numbers = np.concatenate([row for rows in bound.steps() for row in rows])
    assert sorted(numbers) == list(range(240))


def test_a_sample_of_more_pictures_than_a_row_may_hold_is_left_out_and_counted(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "albums", list(range(40)), pictured=[3])
    assert load(toy, mix).rejected == {}
    corpus = load(toy, mix, images_per_row=2)
    assert corpus.rejected == {TOO_MANY_PICTURES: 1}
    assert len(corpus.samples) == 40
    with pytest.raises(Refusal, match=r"1 of 41 samples .* do not fit into a row: 1 are of more than 2 pictures"):
        load(toy, mix, images_per_row=2, too_long_limit=0.01)


def test_looking_at_the_whole_mix_fills_rows_better(toy: Toy) -> None:
    mix, _ = make_mix(toy.home, "many", list(range(1500)))
    rows = {}
    for packing in ("nearby", "whole"):
        corpus = load(toy, mix, packing=packing, capacity=200)
        plan = corpus.steps()
        rows[packing] = [row.tolist() for step in plan for row in step]
        assert sorted(number for row in rows[packing] for number in row) == list(range(1500))
        assert len(plan) == -(-len(rows[packing]) // 2)
    assert len(rows["whole"]) <= len(rows["nearby"])
    assert rows["whole"] == [row.tolist() for row in pack(corpus.lengths, 200)]
    assert rows["nearby"] == [row.tolist() for row in pack(corpus.lengths, 200, 256)]


def test_a_plan_can_be_sliced(toy: Toy) -> None:
    plan = load(toy, toy.mix[0], epochs=2).steps()
    everything = list(plan)
    for found, expected in ((plan[3:], everything[3:]), (plan[:-1], everything[:-1]), ([plan[-1]], everything[-1:])):
        assert [[row.tolist() for row in rows] for rows in found] == [[r.tolist() for r in rows] for rows in expected]
    with pytest.raises(IndexError):
        plan[len(plan)]
