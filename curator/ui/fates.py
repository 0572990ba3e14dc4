"""What became of every sample that a mix was drawn from: in the mix, and where; left out, and by which bound.

A mix has the rows that stayed; its recipe pins the measures and bounds. From both, each row of the samples gets a code
of two bytes and a place of four, so a mix of a million rows is known in some megabytes, and what is asked of it by
category, part or reason is an array and no scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curator.bounds import keeps
from curator.filter_examples import bound_in_words
from curator.ui.shelves import Shelf, sample_file
from registry.damage import damage_refused, table_of
from registry.identity import short
from registry.mix import MixInfo, MixReader
from registry.recipe import Bounds
from registry.store import Home, is_finished

if TYPE_CHECKING:
    import pyarrow as pa

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Leaf = Mapping[str, Any]
"""A part of a resolved recipe that names a dataset, as ``mix.json`` has it."""

ELSEWHERE, INSIDE, LEFT = range(3)
FATES = ("not asked for by the recipe", "in the mix", "left out: a duplicate, part of a benchmark, or not drawn")
"""Fates of every mix; those of its bounds follow: ``blank_image.grey_deviation``."""
KEPT = 4
"""Mixes whose fates are kept."""
BATCH = 1 << 17


@dataclass(frozen=True, eq=False)
class Drawn:
    """A mix and the samples that it was drawn from."""

    info: MixInfo
    shelf: Shelf
    """All samples of its folders that are here."""
    order: Shelf
    """The rows of the mix, in its order."""
    bounds: Mapping[str, str]
    """Fate of a bound -> the bound in words."""


@dataclass(frozen=True, eq=False)
class Fates:
    """The fate of every sample that a mix was drawn from."""

    codes: npt.NDArray[np.int16]
    """Fate of each row of the shelf: its place in ``names``."""
    positions: npt.NDArray[np.int32]
    """Place of each row of the shelf in the mix (of its first copy); -1 for one that is not there."""
    labels: Mapping[str, tuple[list[str], npt.NDArray[np.int16]]]
    """``part`` and ``category`` as the mix has them: names, and which of them a row has (-1: not in the mix)."""
    names: tuple[str, ...]

    def among(self, fate: str, part: str, category: str) -> Flags:
        """Rows of the shelf with this fate; of those in the mix, with the part and category that they have there."""
        code = self.names.index(fate) if fate in self.names else INSIDE
        flags: Flags = self.codes == code
        for name, value in (("part", part), ("category", category)):
            if value and code == INSIDE:
                known, which = self.labels[name]
                flags &= which == (known.index(value) if value in known else -2)
        return flags


def drawn(home: Home, folder: Path) -> Drawn:
    """A finished mix and its samples, as far as footers tell."""
    info = MixReader(home, folder).info
    there = [home.stage("samples") / part.samples_folder for part in info.parts]
    shelf = Shelf.of([one for one in there if is_finished(one)])
    order = Shelf(tuple(map(sample_file, sorted(folder.glob("rows-*.parquet")))))
    bounds = {
        f"{one['filter']}.{column}": bound_in_words(Bounds.model_validate(bound))
        for leaf in leaves(info.recipe)
        for one in leaf.get("filters", ())
        for column, bound in one["bounds"].items()
    }
    return Drawn(info, shelf, order, bounds)


@lru_cache(maxsize=KEPT)
def fates(home: Path, folder: Path) -> Fates:
    """The fates of a finished mix, which never change."""
    opened = Home(home)
    mix = drawn(opened, folder)
    shelf, names = mix.shelf, (*FATES, *mix.bounds)
    codes = np.zeros(shelf.rows, np.int16)
    for leaf in leaves(mix.info.recipe):
        for name, rows in _dropped(opened, shelf, leaf, codes):
            codes[rows] = names.index(name)
    numbers, places, labels = _members(shelf, [file.path for file in mix.order.files])
    codes[numbers] = INSIDE
    positions = np.full(shelf.rows, -1, np.int32)
    positions[numbers[::-1]] = places[::-1]  # of copies the first one stays
    return Fates(codes, positions, labels, names)


def leaves(recipe: Mapping[str, Any]) -> Iterator[Leaf]:
    """The datasets that a resolved recipe names, in its order."""
    for member in recipe.get("parts", ()):
        if "samples" in member:
            yield member
        else:
            yield from leaves(member)


def _dropped(home: Home, shelf: Shelf, leaf: Leaf, codes: npt.NDArray[np.int16]) -> Iterator[tuple[str, Places]]:
    """Mark what a leaf asks for as left out; then the name of each bound with the rows it was the first to drop."""
    import pyarrow as pa

    at = [n for n, file in enumerate(shelf.files) if file.folder == leaf["samples"]]
    if not at:
        return
    asked = shelf.starts[at[0]] + np.flatnonzero(_asked_for(home, shelf, leaf, at))
    codes[asked[codes[asked] == ELSEWHERE]] = LEFT
    left = np.ones(len(asked), np.bool_)
    for one in leaf.get("filters", ()):
        folder = home.stage("measures") / leaf["samples"] / f"{one['filter']}-{short(one['measure_digest'])}"
        if not is_finished(folder):
            continue
        tables = [table_of(folder / shelf.files[n].path.name, ["id", *one["bounds"]]) for n in at]
        values = pa.concat_tables(tables).take(pa.array(asked - shelf.starts[at[0]]))
        for column, bound in one["bounds"].items():
            kept = left & np.asarray(keeps(values, column, Bounds.model_validate(bound)))
            yield f"{one['filter']}.{column}", asked[left & ~kept]
            left = kept


def _asked_for(home: Home, shelf: Shelf, leaf: Leaf, at: list[int]) -> Flags:
    """Rows of the samples folder that have the part that a leaf names, as the card labelled them then."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = sum(shelf.files[n].rows for n in at)
    if leaf.get("part") is None:
        return np.ones(rows, np.bool_)
    labels = home.stage("measures") / leaf["samples"] / f"labels-{short(leaf.get('labels_digest') or '-')}"
    paths = [shelf.files[n].path for n in at]
    if is_finished(labels):
        paths = [labels / path.name for path in paths]
    parts = pa.concat_tables([table_of(path, ["part"]) for path in paths]).column("part")
    return np.asarray(pc.equal(parts, leaf["part"]).fill_null(False)).astype(np.bool_)


def _members(
    shelf: Shelf, paths: list[Path]
) -> tuple[Places, Places, dict[str, tuple[list[str], npt.NDArray[np.int16]]]]:
    """Rows of a mix that are here: number on the shelf, place in the mix; part and category of each of the shelf."""
    import pyarrow.parquet as pq

    starts = {(file.folder, file.path.name): start for start, file in zip(shelf.starts, shelf.files, strict=False)}
    names: dict[str, list[str]] = {"part": [], "category": []}
    which = {name: np.full(shelf.rows, -1, np.int16) for name in names}
    numbers, places, passed = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    columns = ["folder", "file", "row", *names]
    for path in paths:
        with damage_refused(path), pq.ParquetFile(path, read_dictionary=["folder", "file", *names]) as file:
            for batch in file.iter_batches(BATCH, columns=columns):
                found, here = _numbers(batch, starts)
                numbers.append(found)
                places.append(passed + np.flatnonzero(here))
                passed += batch.num_rows
                for name, known in names.items():
                    codes = _codes(batch.column(name), known)
                    which[name][found] = codes[here]
    return np.concatenate(numbers), np.concatenate(places), {name: (names[name], which[name]) for name in names}


def _numbers(batch: pa.RecordBatch, starts: Mapping[tuple[str, str], int]) -> tuple[npt.NDArray[np.int64], Flags]:
    """Numbers on the shelf of the rows of a batch whose samples are here, and which rows those are."""
    folders, files = batch.column("folder"), batch.column("file")
    known_files = files.dictionary.to_pylist()
    begins = np.array(
        [starts.get((folder, file), -1) for folder in folders.dictionary.to_pylist() for file in known_files], np.int64
    )
    pairs = np.asarray(folders.indices).astype(np.int64) * len(known_files) + np.asarray(files.indices)
    begin = begins[pairs]
    here = begin >= 0
    return (begin + np.asarray(batch.column("row")))[here], here


def _codes(column: pa.DictionaryArray, known: list[str]) -> npt.NDArray[np.int16]:
    """The values of a column as places in ``known``, which grows by what is new."""
    values = [value or "" for value in column.dictionary.to_pylist()]
    known += [value for value in values if value not in known]
    places = np.array([known.index(value) for value in values], np.int16)
    which: npt.NDArray[np.int16] = places[np.asarray(column.indices)]
    return which
