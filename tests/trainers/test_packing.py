"""Packing loses nothing, splits nothing, keeps near the order, and leaves hardly a gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.packing import Indices, fill, pack, with_picture_limit

NEARBY = 256


@settings(deadline=None)  # the loop is loaded once, by whichever example comes first
@given(st.lists(st.integers(1, 50), max_size=300), st.integers(50, 120), st.integers(1, 40))
def test_every_sample_is_in_one_row_and_no_row_is_too_full(lengths: list[int], capacity: int, window: int) -> None:
    rows = pack(lengths, capacity, window)
    assert sorted(int(number) for row in rows for number in row) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in row) <= capacity for row in rows)
    assert [row.tolist() for row in rows] == [row.tolist() for row in pack(lengths, capacity, window)]


@settings(deadline=None)  # the loop is loaded once, by whichever example comes first
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


def reference(lengths: list[int], capacity: int, window: int) -> list[list[int]]:
    """The same rule, one sample at a time and with nothing kept."""
    waiting, rest = list(range(len(lengths)))[:window], list(range(len(lengths)))[window:]
    rows: list[list[int]] = []
    row: list[int] = []
    gap = capacity
    while waiting:
        sizes = [lengths[number] for number in waiting]
        halves = [size for size in sizes if gap - size in sizes]
        pair = max(halves, default=0)
        if 2 * pair == gap and sizes.count(pair) == 1:
            pair = 0
        fitting = sizes[0] if sizes[0] <= gap else max((size for size in sizes if size < gap), default=0)
        wanted = gap if gap in sizes else pair or fitting
        if not gap or not wanted:
            rows.append(row)
            row, gap = [], capacity
            continue
        number = waiting.pop(sizes.index(wanted))
        row.append(number)
        gap -= wanted
        waiting += rest[:1]
        del rest[:1]
    return [*rows, row] if row else rows


@settings(deadline=None)  # the loop is loaded once, by whichever example comes first
@given(st.lists(st.integers(1, 130), max_size=120), st.integers(130, 200), st.integers(1, 50))
def test_the_compiled_loop_follows_the_rule(lengths: list[int], capacity: int, window: int) -> None:
    assert [row.tolist() for row in pack(lengths, capacity, window)] == reference(lengths, capacity, window)


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


@pytest.mark.parametrize(
    "tiles", [(0.4, 0.13, 0.17, 0.13, 0.17), (0.35, 0.15, 0.3, 0.05, 0.15), (0.38, 0.17, 0.21, 0.07, 0.17)]
)
def test_rows_of_pictures_in_several_tiles_are_full(tiles: tuple[float, ...]) -> None:
    """10 % text, up to five tiles of 576 tokens, log-normal text: 1,650 tokens on average, as any-resolution mixes."""
    draw = np.random.default_rng(0)
    pictures = np.where(draw.random(400_000) < 0.1, 0, draw.choice(5, 400_000, p=tiles) + 1) * 576
    text = np.minimum(np.exp(draw.normal(5.5, 0.75, 400_000)).astype(np.int64) + 5, 2048)
    lengths = np.minimum(pictures + text, 4096)
    assert fill(lengths, pack(lengths, 4096), 4096) > 0.993


def test_an_added_sample_changes_only_what_is_near_it() -> None:
    draw = np.random.default_rng(2)
    lengths = draw.integers(20, 60, 3000).tolist()
    more = [*lengths[:1500], 33, *lengths[1500:]]
    shifted = {number if number < 1500 else number + 1: place for place, number in enumerate(_order(lengths))}
    moved = [abs(place - shifted[number]) for place, number in enumerate(_order(more)) if number != 1500]
    assert max(moved) <= 2 * NEARBY


def _order(lengths: list[int]) -> list[int]:
    return [int(number) for row in pack(lengths, 640, NEARBY) for number in row]


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 9)), min_size=1, max_size=200),
    st.integers(400, 900),
    st.integers(9, 50),
)
@settings(max_examples=100, deadline=None)
def test_a_limit_of_pictures_is_kept_by_rows(samples: list[tuple[int, int]], capacity: int, most: int) -> None:
    lengths, pictures = (np.array(column) for column in zip(*samples, strict=True))
    sizes = with_picture_limit(lengths, pictures, capacity, most)
    assert (sizes >= lengths).all()
    rows = pack(sizes, capacity)
    assert sorted(np.concatenate(rows)) == list(range(len(samples)))
    assert all(pictures[row].sum() <= most and lengths[row].sum() <= capacity for row in rows)


def test_a_limit_is_reached_and_costs_nothing_where_pictures_take_as_much_anyway() -> None:
    ones = np.ones(300, np.int64)
    assert [len(row) for row in pack(with_picture_limit(ones, ones, 4096, 30), 4096)] == [30] * 10
    lengths = 576 + np.arange(300)
    assert np.array_equal(with_picture_limit(lengths, ones, 4096, 8), lengths)
