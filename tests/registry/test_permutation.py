"""Orders that are computed: each a permutation, each place alone, the same wherever they are computed."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.permutation import Blocks, Order, Permutation

ORDERS = "2175a7e1"
"""Of ``orders``: another value means that every run that goes on with a new version reads other samples."""


def orders() -> str:
    """A digest of a few orders; any Python and numpy must give the same."""
    text = hashlib.sha256()
    blocks = Blocks(np.array([5, 0, 3, 900, 1, 91]), np.arange(1000)[::-1].copy(), together=2)
    for order, epoch in itertools.product((Order(1000), Order(1000, 3), Order(1000, 3, blocks), Order(7, 1)), range(3)):
        text.update(order.at(epoch, np.arange(order.samples)).astype("<i8").tobytes())
    return text.hexdigest()[:8]


@given(st.integers(1, 3000), st.integers(0, 10**12))
@settings(max_examples=60, deadline=None)
def test_every_number_stands_at_one_place(size: int, seed: int) -> None:
    assert sorted(Permutation(size, seed)(np.arange(size)).tolist()) == list(range(size))


def test_a_place_needs_no_other_place() -> None:
    one = Permutation(10**12, "far")
    places = np.array([0, 5, 10**12 - 1, 123_456_789_012])
    together = one(places)
    assert together.tolist() == [int(one(places[n : n + 1])[0]) for n in range(4)]
    assert ((together >= 0) & (together < 10**12)).all()


def test_small_orders_are_all_drawn_about_equally_often() -> None:
    drawn = Counter(tuple(Permutation(4, seed)(np.arange(4)).tolist()) for seed in range(4800))
    assert len(drawn) == 24
    assert 140 < min(drawn.values()) <= max(drawn.values()) < 260


def test_neighbours_part() -> None:
    found = Permutation(100_000, 7)(np.arange(100_000))
    assert abs(float(np.corrcoef(found, np.arange(100_000))[0, 1])) < 0.02
    assert float(np.abs(np.diff(found)).mean()) == pytest.approx(100_000 / 3, rel=0.02)


def test_without_a_seed_it_is_the_order_of_the_mix_in_every_epoch() -> None:
    order = Order(50)
    assert order.at(0, np.arange(50)).tolist() == order.at(4, np.arange(50)).tolist() == list(range(50))


def test_seed_and_epoch_decide() -> None:
    orders = [tuple(Order(50, seed).at(epoch, np.arange(50))) for seed, epoch in itertools.product(range(3), range(3))]
    assert len(set(orders)) == 9


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(1, 8), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_shuffled_blocks_hold_every_sample_once_and_few_blocks_at_a_time(
    sizes: list[int], together: int, epoch: int
) -> None:
    total = sum(sizes)
    storage = np.random.default_rng(0).permutation(total)
    order = Order(total, 9, Blocks(np.array(sizes), storage, together))
    found = order.at(epoch, np.arange(total))
    assert sorted(found.tolist()) == list(range(total))
    row_of = np.argsort(storage)
    blocks = np.repeat(np.arange(len(sizes)), sizes)[row_of[found]]
    seen: list[int] = []
    for block in blocks.tolist():
        if block in seen[:-together]:
            raise AssertionError(f"block {block} comes back after {seen}")
        if block not in seen:
            seen.append(block)
    assert order.at(epoch, np.arange(total)[::-1]).tolist() == found[::-1].tolist()


def test_the_orders_of_earlier_versions_stay() -> None:
    assert orders() == ORDERS
