"""Packing loses nothing, splits nothing, keeps near the order, and leaves hardly a gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.packing import WINDOW, Indices, fill, pack


@given(st.lists(st.integers(1, 50), max_size=300), st.integers(50, 120), st.integers(1, 40))
def test_every_sample_is_in_one_row_and_no_row_is_too_full(lengths: list[int], capacity: int, window: int) -> None:
    rows = pack(lengths, capacity, window)
    assert sorted(int(number) for row in rows for number in row) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in row) <= capacity for row in rows)
    assert [row.tolist() for row in rows] == [row.tolist() for row in pack(lengths, capacity, window)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=300), st.integers(1, 40))
def test_no_sample_moves_ahead_by_more_than_the_window(lengths: list[int], window: int) -> None:
    order = [int(number) for row in pack(lengths, 60, window) for number in row]
    taken = 0
    for place, number in enumerate(order):
        assert number < place + window
        taken += 1
    first = [int(row[0]) for row in pack(lengths, 60, window)]
    assert first[0] in range(window)
    assert taken == len(lengths)


def test_a_sample_longer_than_a_row_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"1\.\.10, found 3\.\.11"):
        pack([3, 11], 10)
    with pytest.raises(ValueError, match="found 0"):
        pack([0], 10)
    assert pack([], 10) == []


def llava_lengths(samples: int) -> Indices:
    """Lengths shaped like LLaVA-1.5's mix: 576 picture tokens in 94 %, log-normal text."""
    draw = np.random.default_rng(0)
    pictures = np.where(draw.random(samples) < 0.94, 576, 0)
    text = np.minimum(np.exp(draw.normal(5.2, 0.8, samples)).astype(np.int64) + 10, 1400)
    lengths: Indices = pictures + text
    return lengths


def test_rows_of_a_real_shape_are_full() -> None:
    lengths = llava_lengths(20_000)
    assert fill(lengths, pack(lengths, 4096), 4096) > 0.995
    short = 16 + np.random.default_rng(1).integers(10, 45, 20_000)
    assert fill(short, pack(short, 640), 640) > 0.995


def test_an_added_sample_changes_only_what_is_near_it() -> None:
    draw = np.random.default_rng(2)
    lengths = draw.integers(20, 60, 3000).tolist()
    more = [*lengths[:1500], 33, *lengths[1500:]]
    shifted = {number if number < 1500 else number + 1: place for place, number in enumerate(_order(lengths))}
    moved = [abs(place - shifted[number]) for place, number in enumerate(_order(more)) if number != 1500]
    assert max(moved) <= 2 * WINDOW


def _order(lengths: list[int]) -> list[int]:
    return [int(number) for row in pack(lengths, 640) for number in row]
