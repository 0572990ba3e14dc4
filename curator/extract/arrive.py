"""Pictures of a draw: its order is walked until as many have arrived as the largest subset has rows.

A dead address is replaced by the next row of the order, so the sets of pictures that arrived are nested as the subsets
are. What became of every row that was walked is ``realised.parquet``; the rows that arrived become a dataset whose
parts are the sizes.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.addresses import Fetching
from curator.extract.columns import KEY
from curator.extract.subsets import STAGE, Extracted
from curator.extract.tiers import Tiers
from curator.fetch import ACCOUNT, REALISED, Asked, Fetched, fetch
from curator.fetching.shards import ASKED, DIGESTS, Row, outcome_schema
from curator.fetching.status import ARRIVED
from curator.normalise import Look, Normalised, normalise
from curator.pull import offer_from_folder, pull
from registry.card import Card, card_files, load_card
from registry.errors import Refusal
from registry.identity import digest
from registry.store import Home, Record, dump_json, is_finished, write_aside

if TYPE_CHECKING:
    import polars as pl

ARRIVE_VERSION = 1
MOST_TOGETHER = 1_000_000
"""Addresses of one fetch."""
LEAST_SHARE = 0.05
"""Share of arrivals that is counted on at least, however few came so far."""
SPREAD = 3.0
"""Standard deviations that are asked for beyond the addresses that will likely do: each fetch has to start."""
_ROWS_READ = 65_536

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Arrived:
    """The pictures of a draw, and the dataset that they are in."""

    fetched: Fetched
    samples: Normalised


def arrive(home: Home, found: Extracted, name: str, fetching: Fetching, advance: Advance | None = None) -> Arrived:
    """Fetch until all sizes are full, and make the dataset ``name`` of what arrived.

    Raises:
        Refusal: the reserve is used up before the largest subset is full, or a card of this name has other parts.
    """
    card = _card(home, name, list(found.sizes))
    batches = list(_batches(home, found, name, fetching, advance or (lambda _rows: None)))
    fetched = _realised(home, found, name, fetching, batches)
    with home.workspace("arrived") as work:
        rows = work / "rows"
        rows.mkdir()
        with Tiers(rows, found.sizes, with_place=True) as tiers:
            for frame in _arrived(found, fetched):
                tiers.add(frame)
        raw = pull(home, offer_from_folder(card, rows), link=True).folder
    return Arrived(fetched, normalise(home, card, raw, look=Look(fetched=fetched), allow_rejected=True))


def _batches(home: Home, found: Extracted, name: str, fetching: Fetching, advance: Advance) -> Iterator[Fetched]:
    """Fetches of one stretch of the order after the other, until enough has arrived."""
    wanted = max(found.sizes.values())
    rows = _addresses(found.all_files())
    asked = arrived = 0
    while arrived < wanted:
        likely = (wanted - arrived) / max(LEAST_SHARE, arrived / asked) if asked else wanted
        count = math.ceil(likely + SPREAD * math.sqrt(likely)) if asked else wanted
        with home.workspace("addresses") as work:
            table = work / "addresses.parquet"
            written = _written(table, itertools.islice(rows, min(MOST_TOGETHER, count)))
            if not written:
                what = f"{arrived:,} pictures arrived of {asked:,} addresses, and {wanted:,} are wanted"
                raise Refusal(f"--fetch of {name}", what, "draw with a larger --reserve, or with --retry-failed")
            inputs = {f"{STAGE}/{found.folder.name}": found.record.digest}
            one = Asked(f"{name}.from{asked}", table, inputs, f"curator extract {name} --fetch")
            retry = fetching.retry_failed
            fetched = fetch(home, one, fetching.rules, fetching.effort, retry_failed=retry, advance=advance)
        yield fetched
        asked += written
        arrived += fetched.record.rows_out


def _addresses(files: Iterable[Path]) -> Iterator[Row]:
    """What is asked for, with the digests that the metadata has of the pictures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            texts = {field.name for field in file.schema_arrow if pa.types.is_string(field.type)}
            columns = [KEY, "url", *(name for name in DIGESTS if name in texts)]
            for batch in file.iter_batches(_ROWS_READ, columns=columns):
                for row in batch.to_pylist():
                    key = row.pop(KEY)
                    yield {"key": f"{key:016x}", **row}


def _written(table: Path, rows: Iterator[Row]) -> int:
    """Write a table of addresses; how many they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, written = pa.schema([(name, pa.string()) for name in ASKED]), 0
    with pq.ParquetWriter(table, schema) as file:
        for group in _together(rows):
            file.write_table(pa.Table.from_pylist(group, schema))
            written += len(group)
    return written


def _realised(home: Home, found: Extracted, name: str, fetching: Fetching, batches: list[Fetched]) -> Fetched:
    """One account of all fetches, up to the last picture that is needed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    settings = {
        "draw": found.record.digest,
        "sizes": list(found.sizes.values()),
        "fetched": [one.record.digest for one in batches],
        "rules": [fetching.rules.allow_private, fetching.rules.min_side],
        "attempt": max((one.attempt for one in batches), default=0),
        "version": ARRIVE_VERSION,
    }
    folder = home.folder("fetched", name, digest(settings))
    if is_finished(folder):
        return Fetched(folder)
    inputs = {f"{STAGE}/{found.folder.name}": found.record.digest}
    inputs |= {f"fetched/{one.folder.name}": one.record.digest for one in batches}
    record = Record(kind="fetched", name=folder.name, digest=digest(settings), inputs=inputs, settings=settings)
    record.command = f"curator extract {name} --fetch"
    with home.making(folder, record) as out:
        ledger = _Ledger(found.sizes)
        with pq.ParquetWriter(out / REALISED, outcome_schema(), compression="zstd") as file:
            for rows in _together(ledger.counted(row for one in batches for row in one.rows())):
                file.write_table(pa.Table.from_pylist(rows, schema=outcome_schema()))
        record.rows_in, record.rows_out, record.rejected = ledger.asked, ledger.arrived, ledger.failed()
        record.check_rows()
        (out / ACCOUNT).write_bytes(dump_json({**ledger.account(), "realised": record.digest}))
    return Fetched(folder)


class _Ledger:
    """Planned against realised, for each size."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._left = list(sizes.items())
        self._largest = max(sizes.values())
        self._failed: Counter[str] = Counter()
        self._sizes: dict[str, Any] = {}
        self.asked = self.arrived = self._bytes = 0

    def counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows up to the last arrival that is needed."""
        for row in rows:
            self.asked += 1
            if row["status"] == ARRIVED:
                self.arrived += 1
                self._bytes += row["bytes"]
            else:
                self._failed[row["status"]] += 1
            while self._left and self._left[0][1] == self.arrived:
                name, planned = self._left.pop(0)
                self._sizes[name] = {"planned": planned, "walked": self.asked, "failed": self.failed()}
            yield row
            if self.arrived == self._largest:
                return

    def failed(self) -> dict[str, int]:
        """Status -> rows so far."""
        return dict(sorted(self._failed.items()))

    def account(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        told = {"planned": self.asked, "arrived": self.arrived, "failed": self.failed(), "bytes": self._bytes}
        return {**told, "sizes": self._sizes}


def _together(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while group := list(itertools.islice(rows, _ROWS_READ)):
        yield group


def _arrived(found: Extracted, fetched: Fetched) -> Iterator[pl.DataFrame]:
    """The rows of the draw whose pictures arrived, in order, with the digests of these."""
    import polars as pl
    import pyarrow.parquet as pq

    outcomes = fetched.rows()
    for path in found.all_files():
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_READ):
                became = list(itertools.islice(outcomes, batch.num_rows))
                frame = pl.DataFrame(pl.from_arrow(batch)).head(len(became))
                came = pl.Series([row["status"] == ARRIVED for row in became], dtype=pl.Boolean)
                shas = pl.Series("sha256", [row["sha256"] for row in became], dtype=pl.String)
                yield frame.with_columns(shas).filter(came)


def _card(home: Home, name: str, labels: list[str]) -> Card:
    """The card of the dataset, written when there is none: a part for each size."""
    if name not in card_files(home):
        lines = [f"name: {name}", f"title: Pictures of the draw {name}", "stage: pretrain", "format: caption_pairs"]
        lines += ["columns:", f"  id: {KEY}", "  image: url", "source:", "  files:", "  - '*/part-*.parquet'", "parts:"]
        for label in labels:
            lines += [f"- name: {label}", "  category: captioning", "  rule:", f"    file: '{label}/*'"]
        lines += ["pictures:", "  regime: url"]
        write_aside(home.cards / f"{name}.yaml", "\n".join([*lines, ""]).encode())
    card = load_card(name, home)
    missing = sorted(set(labels) - {part.name for part in card.parts})
    if missing:
        what = f"its card has no part {', '.join(missing)}"
        raise Refusal(
            f"dataset '{name}'",
            what,
            "choose another name, or these sizes: " + ", ".join(part.name for part in card.parts),
        )
    return card
