"""Draw nested subsets from a pool of metadata: an estimate, one scan, an exact cut.

The estimate says how far in the order the largest subset reaches, and a little more; the scan sets down what lies
there; the cut sorts it bin by bin and stops at the last size. Where the estimate was too low (or many rows are
duplicates) a second scan looks at the next range: a miss costs time, never a row.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.extract.cut import Seen, in_order
from curator.extract.estimate import edges_of, looked_over, sampled
from curator.extract.order import LAST, Draw, Preparing, strategy
from curator.extract.scan import Look, Task, scan, stretches
from curator.extract.sources import Pool
from curator.extract.tiers import Tiers, files_of, label
from curator.extract.wanted import Wanted
from curator.runner import HERE, Place, run
from registry.errors import Refusal
from registry.identity import digest, file_digest, short
from registry.store import DOWNLOADS, Home, Record, alone, dump_json, is_finished, read_record

if TYPE_CHECKING:
    import polars as pl

EXTRACT_VERSION = 2
STAGE = "draws"
ACCOUNT = "draw.json"
RESERVE = "reserve"
NOT_DRAWN = "not wanted, or later in the order"
DUPLICATE = "duplicate url and caption"

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Request:
    """What is to be drawn."""

    name: str
    sizes: Mapping[str, int]
    """Label -> rows, rising."""
    wanted: Wanted
    draw: Draw
    reserve: int = 0
    """Rows after the largest subset that are written too, as far as there are any: for pictures that do not come."""
    exchanged: bool | None = None
    """Whether width and height are exchanged in the files; None = told by their columns."""

    @property
    def largest(self) -> int:
        """Rows of the largest subset."""
        return max(self.sizes.values())

    @property
    def tiers(self) -> dict[str, int]:
        """What is written: the subsets and the reserve."""
        return {**self.sizes, **({RESERVE: self.largest + self.reserve} if self.reserve else {})}

    def settings(self, pool: Pool) -> dict[str, Any]:
        """Everything that decides which rows are drawn."""
        return {
            "sizes": list(self.sizes.values()),
            **({"reserve": self.reserve} if self.reserve else {}),
            "wanted": self.wanted.plain(),
            "draw": self.draw.plain(),
            "exchanged": sorted({table.layout.exchanged for table in pool.tables}),
            "pool": pool.digest(),
            "versions": {"extract": EXTRACT_VERSION, "strategy": strategy(self.draw).VERSION},
        }

    def look(self, pool: Pool) -> Look:
        """What is looked for; raises Refusal for filters or a strategy that do not fit the files."""
        strategy(self.draw).check(self.draw, pool.schema)
        self.wanted.check(list(pool.schema), lambda columns: looked_over(pool, columns))
        return Look(pool.schema, self.wanted, self.draw)


@dataclass(frozen=True)
class Extracted:
    """A finished draw."""

    folder: Path
    record: Record
    sizes: dict[str, int]
    already_there: bool = False

    @property
    def account(self) -> dict[str, Any]:
        """Rows and files read, scans, duplicates met, and a digest of each subset's files."""
        account: dict[str, Any] = json.loads((self.folder / ACCOUNT).read_bytes())
        return account

    def files(self) -> dict[str, list[Path]]:
        """Label -> files of the subset."""
        return files_of(self.folder, self.sizes)

    def all_files(self) -> list[Path]:
        """The files of the largest subset and of the reserve, in the order of the draw."""
        return files_of(self.folder, {**self.sizes, RESERVE: 0})[RESERVE]


def folder_of(home: Home, asked: Request, pool: Pool) -> Path:
    """Where a draw lies, finished or not."""
    return home.folder(STAGE, asked.name, digest(asked.settings(pool)))


def extract(
    home: Home, asked: Request, pool: Pool, *, place: Place = HERE, advance: Advance | None = None
) -> Extracted:
    """Draw the subsets, or find them.

    Raises:
        Refusal: fewer rows are wanted than the largest subset has, or filters do not fit the files.
    """
    settings = asked.settings(pool)
    folder = folder_of(home, asked, pool)
    sizes = dict(asked.sizes)
    if is_finished(folder):
        return Extracted(folder, read_record(folder), sizes, already_there=True)
    look = asked.look(pool)
    state = home.path / DOWNLOADS / f"extract-{short(digest(settings))}"
    state.mkdir(parents=True, exist_ok=True)
    with alone(state.with_suffix(".lock")):  # a second process waits, and then finds everything done
        if not is_finished(folder):
            _make(home, asked, pool, _Scans(pool, look, asked, state, place, advance or (lambda _rows: None)))
        shutil.rmtree(state, ignore_errors=True)
        state.with_suffix(".lock").unlink()
    return Extracted(folder, read_record(folder), sizes)


def _make(home: Home, asked: Request, pool: Pool, scans: _Scans) -> None:
    settings = asked.settings(pool)
    record = Record(
        kind="draw",
        name=folder_of(home, asked, pool).name,
        digest=digest(settings),
        rows_in=pool.rows,
        settings=settings,
        versions={name: str(value) for name, value in settings["versions"].items()},
        command=f"curator extract {asked.name}",
    )
    with home.making(folder_of(home, asked, pool), record) as out:
        with Tiers(out, asked.tiers, with_place=not asked.draw.by_key) as tiers:
            for frame in scans.rows():
                tiers.add(frame)
                if tiers.full:
                    break
            found = tiers.rows
        if found < asked.largest:
            most = label(found) if found else "none"
            what = f"{found:,} rows are wanted and can be drawn, and {asked.largest:,} were asked for"
            raise Refusal("--sizes", what, f"ask for at most {found:,} ({most}), or loosen the filters")
        record.rows_out = found
        record.rejected = {NOT_DRAWN: pool.rows - found}
        record.check_rows()
        account = {"rows": pool.rows, "files": len(pool.tables), "scans": scans.done, **scans.account()}
        content = {name: _content(files) for name, files in files_of(out, asked.sizes).items()}
        (out / ACCOUNT).write_bytes(dump_json({**account, "sizes": dict(asked.sizes), "content": content}))


def _content(files: list[Path]) -> str:
    """Digest of a subset: of the bytes of its files, in order."""
    return hashlib.sha256("".join(map(file_digest, files)).encode()).hexdigest()


class _Scans:
    """The scans of one draw: as many as it takes, each of the next range of the order."""

    def __init__(self, pool: Pool, look: Look, asked: Request, state: Path, place: Place, advance: Advance) -> None:
        self._pool, self._look, self._asked, self._state = pool, look, asked, state
        self._place, self._advance = place, advance
        self._seen = Seen(apart=asked.draw.strategy == "top")
        self._found = 0
        self.done = 0

    def rows(self) -> Iterator[pl.DataFrame]:
        """All wanted rows in the order of the draw, as far as somebody asks for them."""
        asked = Preparing(self._pool, max(self._asked.tiers.values()), self._state, self._place, self._advance)
        prepared = strategy(self._asked.draw).prepare(asked, self._look)
        if prepared is not None:
            look = replace(self._look, looked_up=prepared.table)
            yield from self._range(look, -1, edges_of(prepared.places, len(prepared.places)))
            self.done = 2
            return
        sample = sampled(self._pool, self._look)
        above, factor, most = -1, 1.0, max(self._asked.tiers.values())
        for self.done in itertools.count(1):
            last = sample.last(round(most * factor))
            yield from self._range(self._look, above, sample.edges(above, last))
            if last == LAST:
                return
            above, factor = last, factor * max(1.05, 1.02 * most / max(1, self._found))

    def _range(self, look: Look, above: int, edges: tuple[int, ...]) -> Iterator[pl.DataFrame]:
        files = self._scanned(look, above, edges)
        for frame in in_order(files, len(edges), self._seen, by_key=look.draw.by_key):
            self._found += len(frame)
            yield frame

    def account(self) -> dict[str, Any]:
        """What the cut met on its way; rows beyond the largest subset are in it as far as their bin was read."""
        return {DUPLICATE: self._seen.dropped}

    def _scanned(self, look: Look, above: int, edges: tuple[int, ...]) -> list[Path]:
        folder = self._state / f"{short(digest([above, *edges]))}"
        folder.mkdir(parents=True, exist_ok=True)
        tasks = [
            Task(stretch, look, above, edges, folder / f"{number:06d}.arrow")
            for number, stretch in enumerate(stretches(self._pool))
        ]
        for rows in run(scan, tasks, self._place):
            self._advance(rows)
        return [task.target for task in tasks]
