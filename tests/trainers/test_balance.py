"""Rows are dealt to ranks so that each has as much to do, and the step stays the same set of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainers.conftest import Toy
from tests.trainers.toy import stage
from trainers.balance import LLAVA, Work, shares


@given(st.lists(st.floats(0, 1e9), max_size=40), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_every_row_goes_to_one_rank_and_no_rank_gets_two_more_than_another(costs: list[float], world: int) -> None:
    found = shares(costs, world)
    assert len(found) == world
    assert sorted(row for rows in found for row in rows) == list(range(len(costs)))
    counts = [len(rows) for rows in found]
    assert max(counts) - min(counts) <= 1
    assert found == shares(costs, world)


def test_one_rank_keeps_the_order_and_several_begin_with_the_heaviest() -> None:
    costs = [1.0, 5.0, 3.0, 4.0]
    assert shares(costs, 1) == [[0, 1, 2, 3]]
    assert shares(costs, 2) == [[1, 0], [3, 2]]


def test_uneven_rows_are_balanced_better_than_by_turns() -> None:
    draw = np.random.default_rng(1)
    balanced: list[float] = []
    by_turns: list[float] = []
    for _ in range(50):
        costs = [LLAVA.of(row, 3) for row in _rows(draw)]
        for found, kept in ((shares(costs, 8), balanced), ([list(range(r, 64, 8)) for r in range(8)], by_turns)):
            loads = [sum(costs[row] for row in rows) for rows in found]
            kept.append(max(loads) / (sum(loads) / 8) - 1)
    assert np.mean(balanced) < 0.001
    assert np.mean(balanced) < 0.1 * np.mean(by_turns)


def _rows(draw: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """64 rows of 4,096 tokens in samples of very unlike lengths."""
    return [np.diff(np.sort([0, 4096, *draw.integers(1, 4096, draw.integers(0, 8))])) for _ in range(64)]


def test_a_long_sample_costs_more_than_two_of_half_its_length_and_a_picture_has_its_price() -> None:
    work = Work(token=2.0, pair=1.0, picture=10.0)
    assert work.of(np.array([8]), 1) == 2 * 8 + 64 + 10
    assert work.of(np.array([4, 4]), 0) == 2 * 8 + 32


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_the_step_is_the_same_set_of_rows_for_any_number_of_ranks(toy: Toy, world: int) -> None:
    corpus = toy.corpus(toy.checkpoint(), stage(rows_per_step=4))
    for rows in corpus.steps():
        found = [row.tolist() for rank in range(world) for row in corpus.share(rows, rank, world)]
        assert sorted(found) == sorted(row.tolist() for row in rows)
