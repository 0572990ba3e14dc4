"""The cut: what a scan set down, in the order of the draw, each (url, caption) once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curator.extract.columns import KEY, NEEDED, ORDER
from curator.extract.order import Numbers

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


def in_order(files: Sequence[Path], bins: int, seen: Seen, *, by_key: bool) -> Iterator[pl.DataFrame]:
    """The rows of all files bin by bin, sorted, without duplicates; one bin is in memory at a time.

    Args:
        files: what the tasks of a scan wrote.
        bins: how many there are in each.
        seen: what earlier bins had, to be added to.
        by_key: whether places are keys, so that one of them is enough to sort by.
    """
    import polars as pl

    with contextlib.ExitStack() as stack:
        readers = [_reader(stack, path) for path in files]
        columns = [ORDER] if by_key else [ORDER, KEY]
        for number in range(bins):
            batches = [batch for batch in (reader.get_batch(number) for reader in readers) if batch.num_rows]
            if batches:
                yield seen.fresh(pl.concat([_frame(batch) for batch in batches]).sort(columns))


class Seen:
    """Keys that were taken, for draws in which rows of one (url, caption) can lie apart.

    Eight bytes a row, in sorted runs of which each is at least twice as long as the next.
    """

    def __init__(self, *, apart: bool) -> None:
        self._apart = apart
        self._runs: list[Numbers] = []
        self.dropped = 0
        """Duplicates that were left out so far."""

    def fresh(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of a sorted frame, each (url, caption) once and none that was here before."""
        import polars as pl

        before = len(frame)
        frame = _without_twins(frame)
        if self._apart:
            frame = frame.unique(KEY, keep="first", maintain_order=True)
            keys = frame[KEY].to_numpy()
            known = np.zeros(len(keys), bool)
            for run in self._runs:
                at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
                known |= run[at] == keys
            frame = frame.filter(pl.Series(~known))
            self._remember(np.sort(keys[~known]))
        self.dropped += before - len(frame)
        return frame

    def _remember(self, keys: Numbers) -> None:
        while self._runs and len(self._runs[-1]) < 2 * len(keys):
            keys = np.sort(np.concatenate([self._runs.pop(), keys]))
        if len(keys):
            self._runs.append(keys)


def _reader(stack: contextlib.ExitStack, path: Path) -> Any:
    import pyarrow as pa

    return pa.ipc.open_file(stack.enter_context(pa.OSFile(str(path))))


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    import polars as pl

    found = pl.from_arrow(batch)
    assert isinstance(found, pl.DataFrame)
    return found


def _without_twins(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of equal place and key: in the order of their whole content, and of each (url, caption) the first."""
    import polars as pl

    places, keys = frame[ORDER].to_numpy(), frame[KEY].to_numpy()
    same = (places[1:] == places[:-1]) & (keys[1:] == keys[:-1])
    if not same.any():
        return frame
    twin = np.append(same, False) | np.append(False, same)
    at = np.flatnonzero(twin)
    content = frame.select(*NEEDED, *(name for name in frame.columns if name not in NEEDED)).filter(twin).rows()
    begins = np.flatnonzero(twin & ~np.append(False, same))
    groups = np.searchsorted(begins, at, side="right")
    chosen = np.flatnonzero(~twin).tolist()
    slots = list(chosen)
    taken: set[tuple[int, str, str]] = set()
    ranked = sorted(range(len(at)), key=lambda i: (groups[i], repr(content[i])))
    for slot, i in zip(at.tolist(), ranked, strict=True):
        identity = (int(groups[i]), *content[i][:2])
        if identity not in taken:
            taken.add(identity)
            chosen.append(int(at[i]))
            slots.append(slot)
    return frame.select(pl.all().gather(np.array(chosen)[np.argsort(slots)]))
