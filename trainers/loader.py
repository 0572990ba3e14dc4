"""From a mix to the packed steps of a training run.

Samples come in an order that depends on the seed and on each sample alone (common random numbers): a mix with one more
part has the same order with that part's samples put in between. What a step holds depends on the order and the lengths
alone: it is the same for any number of ranks and workers, and no sample is read to find the steps of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from registry.errors import Refusal
from registry.identity import order_key
from registry.mix import MixReader
from registry.trial import Stage, Weighting
from trainers.balance import LLAVA, Work, shares
from trainers.chat import template
from trainers.packing import Indices, packed, with_picture_limit
from trainers.token_cache import HELD, TokenCache, Tokenised
from trainers.tokens import Encoded
from trainers.weighting import mass, token_weights

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

IGNORED = -100
"""Label of a token that is not learned (the convention of torch and transformers)."""

NEARBY = 256
"""Samples that wait while rows are packed: few, so that two mixes that differ little are seen in nearly one order."""

TOO_LONG = "longer than a packed row"
TOO_MANY_PICTURES = "more pictures than a packed row may hold"
SILENT = "nothing to learn"

Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Rows = list[Indices]
"""The packed rows of a step, each an array of sample numbers."""


@dataclass(frozen=True)
class Step:
    """What one optimiser step sees: the real tokens of its rows one after another, without padding.

    Samples are contiguous and never attend to one another; ``lengths`` says where each ends.
    """

    ids: Longs
    """[tokens]"""
    labels: Longs
    """[tokens] the token itself where it is learned, else -100."""
    positions: Longs
    """[tokens] 0, 1, 2 … within each sample."""
    lengths: Longs
    """[samples] tokens of each sample; they add up to the number of tokens."""
    rows: Longs
    """[rows] samples in each packed row."""
    pictures: Longs
    """[samples] pictures of each sample."""
    images: tuple[str, ...]
    """sha256 of each picture, in the order of their places in ``ids``."""
    weights: Floats | None = None
    """[learned] what each learned token counts in the loss; None where all count one."""
    squares: Tensor | None = None
    """uint8 [pictures, size, size, 3], each picture once, in the order in which ``images`` first names it; None where
    the model's own cache decodes them."""

    @property
    def samples(self) -> int:
        """Samples in the step."""
        return len(self.lengths)

    @property
    def learned(self) -> int:
        """Tokens whose prediction is trained."""
        return int((self.labels != IGNORED).sum())

    @property
    def mass(self) -> float:
        """What the weighted sum of its losses is divided by where it is trained on alone (``Corpus.mass``)."""
        return float(self.learned if self.weights is None else self.weights.sum(dtype=np.float64))

    def pin_memory(self) -> Step:
        """The step with its pictures in memory that a GPU reads by itself; torch calls it."""
        return self if self.squares is None else replace(self, squares=self.squares.pin_memory())


class Plan(Sequence[Rows]):
    """The packed rows of every optimiser step of every epoch."""

    def __init__(self, epochs: Sequence[tuple[Indices, Indices]], per_step: int) -> None:
        self._epochs = [(order, np.concatenate([[0], ends])) for order, ends in epochs]
        self._per_step = per_step
        self._first = np.cumsum([0, *(-(-len(ends) // per_step) for _, ends in epochs)])

    def __len__(self) -> int:
        return int(self._first[-1])

    @overload
    def __getitem__(self, index: int) -> Rows: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rows]: ...
    def __getitem__(self, index: int | slice) -> Rows | list[Rows]:
        numbers = range(len(self))[index]
        return self._rows(numbers) if isinstance(numbers, int) else [self._rows(number) for number in numbers]

    def _rows(self, number: int) -> Rows:
        epoch = int(np.searchsorted(self._first, number, side="right")) - 1
        order, bounds = self._epochs[epoch]
        first = (number - int(self._first[epoch])) * self._per_step
        ends = bounds[first : first + self._per_step + 1].tolist()
        return [order[start:end] for start, end in pairwise(ends)]


@dataclass(frozen=True)
class Corpus:
    """A mix in tokens, in the order of one seed, and what had to be left out. A sample's number is its place in it."""

    samples: Sequence[Encoded]
    images: Sequence[tuple[str, ...]]
    lengths: Indices
    learned: Indices
    """Learned tokens of each sample."""
    pictures: Indices
    rejected: dict[str, int]
    """Reason -> samples that were left out."""
    stage: Stage
    seed: int
    _names: pa.Table = field(repr=False)
    """``id`` and ``copy`` of each sample."""

    @property
    def order(self) -> list[tuple[str, int]]:
        """(id, copy) of each sample."""
        return list(zip(*(self._names.column(name).to_pylist() for name in ("id", "copy")), strict=True))

    def steps(self) -> Plan:
        """The packed rows (arrays of sample numbers) of every optimiser step of every epoch."""
        return self._plan

    @cached_property
    def _plan(self) -> Plan:
        sizes, stage = self.lengths, self.stage
        if stage.images_per_row is not None:
            sizes = with_picture_limit(sizes, self.pictures, stage.capacity, stage.images_per_row)
        window = NEARBY if stage.packing == "nearby" else None
        epochs = []
        for epoch in range(stage.epochs):
            numbers = self._epoch_order(epoch)
            order, ends = packed(sizes[numbers], stage.capacity, window)
            epochs.append((numbers[order], ends))
        return Plan(epochs, stage.rows_per_step)

    def _epoch_order(self, epoch: int) -> Indices:
        if epoch == 0:
            return np.arange(len(self.samples))
        return np.argsort(_keys(self._names, self.seed, epoch), kind="stable")

    def share(self, rows: Rows, rank: int, world: int, work: Work = LLAVA) -> Rows:
        """The rows of a step that one rank takes: its part of the work, and of the number of rows."""
        costs = [work.of(self.lengths[row], int(self.pictures[row].sum())) for row in rows]
        return [rows[number] for number in shares(costs, world)[rank]]

    def mass(self, rows: Rows) -> float:
        """What the weighted sum of the losses of these rows, a whole step's, is divided by."""
        return mass(self.learned[np.concatenate(rows)], self.stage.weighting)

    def batch(self, rows: Rows, by_length: bool = False) -> Step:
        """The tokens of one step: row after row, or (``by_length``) as one row with the shortest samples first."""
        numbers = np.concatenate([np.empty(0, np.int64), *rows])
        if by_length:
            numbers = numbers[np.argsort(self.lengths[numbers], kind="stable")]
            rows = [numbers]
        return make_step(
            [self.samples[number] for number in numbers],
            [self.images[number] for number in numbers],
            [len(row) for row in rows],
            self.stage.weighting,
        )


def make_step(
    samples: Sequence[Encoded], images: Sequence[tuple[str, ...]], rows: Sequence[int], weighting: Weighting = "token"
) -> Step:
    """Samples one after another; ``rows`` says how many belong to each packed row."""
    ids = np.concatenate([np.empty(0, np.int64), *(sample.ids for sample in samples)])
    learned = np.concatenate([np.empty(0, np.bool_), *(sample.learned for sample in samples)])
    lengths = np.array([len(sample) for sample in samples], dtype=np.int64)
    ends = _ends(lengths)
    return Step(
        ids=ids,
        labels=np.where(learned, ids, IGNORED),
        positions=np.arange(len(ids)) - np.repeat(ends[:-1], lengths),
        lengths=lengths,
        rows=np.array(rows, dtype=np.int64),
        pictures=np.array([len(found) for found in images], dtype=np.int64),
        images=tuple(image for found in images for image in found),
        weights=token_weights(np.diff(_ends(learned)[ends]), weighting),
    )


def _ends(counts: npt.NDArray[Any]) -> Longs:
    """0 and the running sums."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)


class _Chosen(Sequence[Any]):
    """Some of a sequence, in another order."""

    def __init__(self, of: Sequence[Any], places: Indices) -> None:
        self._of, self._places = of, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._of[int(place)] for place in self._places[index]]
        return self._of[int(self._places[index])]


class _Pictures(Sequence[Any]):
    """sha256 of the pictures of each row of a mix."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, index: Any) -> Any:
        return tuple(image["sha256"] for image in self._column[index].as_py() or ())


def load_corpus(reader: MixReader, stage: Stage, seed: int, cache: TokenCache) -> Corpus:
    """Read, order and tokenise a mix; Refusal when it is not fit to be learned from."""
    rows = reader.rows()
    if not rows.num_rows:
        raise Refusal(f"mix '{reader.info.name}'", "has no samples", "loosen its filters or add a part")
    order = np.argsort(_keys(rows, seed), kind="stable")
    made = cache.tokenised(reader, rows, template(stage.template))
    _refuse_unfit(made, rows, order, reader)
    rejected, fits = _fitting(made, stage)
    _refuse_silent(rejected, rows.num_rows, stage, reader)
    _refuse_too_many(rejected, rows.num_rows, stage, reader)
    order = order[fits[order]]
    images: Sequence[tuple[str, ...]] = _Pictures(rows.column("images"))
    if rows.num_rows <= HELD:
        images = list(images)
    return Corpus(
        samples=_Chosen(made.samples, order),
        images=_Chosen(images, order),
        lengths=made.lengths[order],
        learned=made.learned[order],
        pictures=made.pictures[order],
        rejected=rejected,
        stage=stage,
        seed=seed,
        _names=rows.select(["id", "copy"]).take(order),
    )


def _keys(rows: pa.Table, seed: int, *more: int) -> npt.NDArray[np.uint64]:
    """The order key of each row, from its id and copy."""
    found = np.empty(rows.num_rows, np.uint64)
    for start in range(0, rows.num_rows, HELD):
        part = rows.slice(start, HELD)
        named = zip(part.column("id").to_pylist(), part.column("copy").to_pylist(), strict=True)
        found[start : start + HELD] = [order_key(seed, "order", sample, copy, *more) for sample, copy in named]
    return found


def _refuse_unfit(made: Tokenised, rows: pa.Table, order: Indices, reader: MixReader) -> None:
    """A sample whose pictures and places differ would train on something else silently."""
    import pyarrow.compute as pc

    shown = pc.fill_null(pc.list_value_length(rows.column("images")), 0).to_numpy()
    unlike = (made.pictures != shown)[order]
    if not unlike.any():
        return
    first = int(order[np.flatnonzero(unlike)[0]])
    where = f"mix '{reader.info.name}', sample {rows.column('id')[first].as_py()}"
    what = f"its text has {made.pictures[first]} picture places but it has {shown[first]} pictures"
    raise Refusal(where, what, "filter it out, or use a template that writes every picture")


def _fitting(made: Tokenised, stage: Stage) -> tuple[dict[str, int], npt.NDArray[np.bool_]]:
    """Samples left out by reason, and for each sample whether it fits into a packed row."""
    silent = made.learned == 0
    long = ~silent & (made.lengths > stage.capacity)
    crowded = ~(silent | long) & (made.pictures > (stage.images_per_row or np.inf))
    counts = {TOO_LONG: int(long.sum()), TOO_MANY_PICTURES: int(crowded.sum()), SILENT: int(silent.sum())}
    return {reason: count for reason, count in counts.items() if count}, ~(silent | long | crowded)


def _refuse_silent(rejected: dict[str, int], total: int, stage: Stage, reader: MixReader) -> None:
    silent = rejected.get(SILENT, 0)
    share = silent / total
    if share > stage.unsupervised_limit or silent == total:
        what = f"{silent} of {total} samples ({share:.1%}) have no token to learn, under template '{stage.template}'"
        limit = f"raise 'unsupervised_limit' (now {stage.unsupervised_limit})"
        raise Refusal(f"mix '{reader.info.name}'", what, f"filter empty answers out of its datasets, or {limit}")


def _refuse_too_many(rejected: dict[str, int], total: int, stage: Stage, reader: MixReader) -> None:
    """A run that leaves out much of its mix is a run on another mix."""
    unfit = {reason: count for reason, count in rejected.items() if reason in _WHY}
    left_out = sum(unfit.values())
    share = left_out / total
    if share > stage.too_long_limit or sum(rejected.values()) == total:
        what = f"{left_out} of {total} samples ({share:.1%}) do not fit into a row: "
        what += ", ".join(f"{count} are {_WHY[reason].format(stage)}" for reason, count in unfit.items())
        limit = f"raise 'too_long_limit' (now {stage.too_long_limit})"
        way = f"raise 'capacity' or 'images_per_row' of stage {stage.name}, filter such samples, or {limit}"
        raise Refusal(f"mix '{reader.info.name}'", what, way)


_WHY = {
    TOO_LONG: "longer than its {0.capacity} tokens",
    TOO_MANY_PICTURES: "of more than {0.images_per_row} pictures",
}
