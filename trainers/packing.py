"""Packing: whole samples into rows of a fixed number of tokens, close to the order in which they come.

A row is opened by the oldest sample that waits and filled in order. As soon as one or two waiting samples fill its gap
exactly, they close it; when the oldest does not fit any more, the largest that fits goes in. No sample is split, none
moves ahead by more than the window, and the same lengths give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

LEAST_WINDOW, MOST_WINDOW = 256, 4096
"""Samples that wait at a time: the fewest fill rows of samples with one picture, more those with several tiles."""


def pack(lengths: Sequence[int] | Indices, capacity: int, window: int | None = None) -> list[Indices]:
    """Rows of sample numbers whose lengths add up to at most ``capacity``.

    Args:
        lengths: tokens of each sample, pictures counted.
        capacity: tokens of a row.
        window: samples that wait at a time; by default a hundredth of all, as what waits at the end fits badly.

    Raises ValueError when a sample is empty or longer than a row: what to do with those is the caller's decision.
    """
    order, ends = packed(lengths, capacity, window)
    rows = ends.tolist()
    return [order[start:end] for start, end in zip([0, *rows][:-1], rows, strict=True)]


def packed(lengths: Sequence[int] | Indices, capacity: int, window: int | None = None) -> tuple[Indices, Indices]:
    """As ``pack``: the sample numbers row after row, and where each row ends."""
    from trainers.packing_kernel import fill_rows

    sizes = np.ascontiguousarray(lengths, np.int64)
    if not len(sizes):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if not 0 < sizes.min() <= sizes.max() <= capacity:
        raise ValueError(f"lengths must lie in 1..{capacity}, found {sizes.min()}..{sizes.max()}")
    waiting = max(1, window) if window is not None else min(max(LEAST_WINDOW, len(sizes) // 100), MOST_WINDOW)
    order, ends = np.empty(len(sizes), np.int64), np.empty(len(sizes), np.int64)
    return order, ends[: fill_rows(sizes, capacity, waiting, order, ends)].copy()


def with_picture_limit(lengths: Indices, pictures: Indices, capacity: int, most: int) -> Indices:
    """Lengths with which no row that is packed gets more than ``most`` pictures.

    A picture counts at least its share of a row. Where its tokens take that much anyway, nothing changes; no sample
    may have more than ``most`` pictures itself.
    """
    share = capacity // most
    if (most + 1) * share <= capacity:  # so small a share, rounded down, lets one picture too many in
        share = -(-capacity // most)
    return np.maximum(lengths, np.minimum(pictures * share, capacity))


def by_length(lengths: Sequence[int], most: int, tokens: int) -> Iterator[list[int]]:
    """Numbers of samples that go through a model together: ascending in length, bounded in number and tokens.

    Tokens count as if all were padded to the longest; a sample that is longer than the bound goes alone.
    """
    batch: list[int] = []
    for number in np.argsort(np.array(lengths), kind="stable").tolist():
        if batch and (len(batch) == most or lengths[number] * (len(batch) + 1) > tokens):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def fill(lengths: Sequence[int] | Indices, rows: Iterable[Indices], capacity: int) -> float:
    """Share of the rows' places that hold a token, 0..1."""
    numbers = list(rows)
    return sum(int(np.asarray(lengths)[row].sum()) for row in numbers) / (capacity * max(len(numbers), 1))
