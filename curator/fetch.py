"""Fetch: a table of picture addresses -> pictures in the image store, and a word on what became of each address.

img2dataset downloads the rows in shards, in processes of their own. A finished shard is never downloaded again: a run
that was killed is continued by the next one. The result is ``fetched/<name>-<d>/``: ``realised.parquet`` says of every
row what arrived or why not, ``fetched.json`` counts it. The web changes, so the identity of what was made from the
pictures is the digest of what was realised, not of what was asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from curator.fetching.guard import Limits
from curator.fetching.outcomes import Outcomes
from curator.fetching.shards import Row, Shard, outcome_schema, rows_of, write_outcomes
from curator.fetching.status import ARRIVED
from curator.fetching.workers import Downloaders, refuse_without_library
from registry.errors import Refusal
from registry.identity import canonical, digest, short
from registry.images import ImageStore
from registry.store import DOWNLOADS, Home, Record, alone, dump_json, is_finished, read_record

FETCH_VERSION = 1
REALISED = "realised.parquet"
ACCOUNT = "fetched.json"
HOSTS_TOLD = 10
LEAST_FREE = 2 << 30
"""Bytes that stay free on the disk: a download stops before it fills one."""
SHARDS_AT_ONCE = 2
"""A process: while the last addresses of one shard time out, the next is downloaded."""
_ROWS_WRITTEN = 65_536

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Rules:
    """What decides which pictures are taken: part of the identity of a fetch."""

    allow_private: bool = False
    """Also from private networks and this machine; never from link-local addresses."""
    min_side: int = 1
    """Pixels; smaller pictures are set aside."""


@dataclass(frozen=True)
class Effort:
    """How hard it is tried: never part of an identity."""

    seconds: float = 30.0
    """For one picture; a third of it without a byte."""
    retries: int = 1
    """Further attempts after a failure that may pass."""
    processes: int | None = None
    """None = as many as there are processors, and shards."""
    threads: int = 32
    """Pictures of one shard that are downloaded at once."""
    shard_rows: int = 2000
    """Rows that are downloaded and, after a kill, repeated together."""

    def limits(self, rules: Rules) -> Limits:
        """For the processes that download."""
        return Limits(self.seconds, self.seconds / 3, allow_private=rules.allow_private, retries=self.retries)


@dataclass(frozen=True)
class Asked:
    """A table of addresses (columns ``key``, ``url``, perhaps ``sha256`` and ``md5``), and whose it is."""

    name: str
    table: Path
    inputs: dict[str, str]
    """Folder of the data home that names the addresses -> its digest."""
    command: str
    """What makes this fetch, for people."""

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What of the table is part of the identity."""
        rows, content = _digest_of(rows_of(self.table), ("key", "url", "sha256", "md5"))
        return {"rows": rows, "addresses": content}


class Fetched:
    """A finished fetch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = read_record(folder)

    @property
    def account(self) -> dict[str, Any]:
        """Planned, arrived, failed by status, hosts that failed most."""
        account: dict[str, Any] = json.loads((self.folder / ACCOUNT).read_bytes())
        return account

    @property
    def attempt(self) -> int:
        """How often failures were tried again before."""
        return int(self.record.settings["attempt"])

    def rows(self) -> Iterator[Row]:
        """What became of every address, in the order they were asked for."""
        yield from _outcomes(self.folder / REALISED)

    def by_address(self) -> Outcomes:
        """Address -> its picture, or the word for why there is none."""
        return Outcomes(self.folder / REALISED)


def latest(home: Home, asked: Asked, rules: Rules) -> Fetched | None:
    """The newest finished fetch of these addresses by these rules."""
    found = None
    for attempt in itertools.count():
        folder = home.folder("fetched", asked.name, digest(_settings(asked, rules, attempt)))
        if not is_finished(folder):
            break
        found = Fetched(folder)
    return found


def fetch(
    home: Home,
    asked: Asked,
    rules: Rules,
    effort: Effort,
    *,
    retry_failed: bool = False,
    advance: Advance | None = None,
) -> Fetched:
    """Download what is not here yet. A finished fetch is left as it is, unless its failures are to be tried again.

    Raises:
        Refusal: img2dataset is not installed or ended, the disk is full, or pictures of a finished fetch are gone.
    """
    before = latest(home, asked, rules)
    if before is not None:
        _refuse_gone(home, before)
        if not retry_failed or before.record.rows_out == before.record.rows_in:
            return before
    refuse_without_library()
    settings = _settings(asked, rules, 0 if before is None else before.attempt + 1)
    folder = home.folder("fetched", asked.name, digest(settings))
    state = home.path / DOWNLOADS / f"fetch-{short(digest([settings, effort.shard_rows]))}"
    state.mkdir(parents=True, exist_ok=True)
    lock = state.with_suffix(".lock")
    with alone(lock):  # a second process waits, and then finds everything done
        if not is_finished(folder):
            wanted = rows_of(asked.table) if before is None else _failed(before, asked)
            parts = _Run(home, rules, effort, state, advance or (lambda _rows: None)).download(wanted)
            _finish(home, folder, asked, settings, before, parts)
        shutil.rmtree(state, ignore_errors=True)
        lock.unlink()
    return Fetched(folder)


def _settings(asked: Asked, rules: Rules, attempt: int) -> dict[str, Any]:
    return {
        **asked.settings,
        "allow_private": rules.allow_private,
        "min_side": rules.min_side,
        "attempt": attempt,
        "version": FETCH_VERSION,
    }


def _refuse_gone(home: Home, fetched: Fetched) -> None:
    store = ImageStore(home)
    gone = sum(row["status"] == ARRIVED and row["sha256"] not in store for row in fetched.rows())
    if gone:
        what = f"{gone:,} pictures that were fetched are no longer in the image store"
        raise Refusal(str(fetched.folder), what, "remove this folder and fetch again: the web may have changed")


def _failed(before: Fetched, asked: Asked) -> Iterator[Row]:
    """The rows of the table that did not arrive, with the digests that they announce."""
    for row, outcome in zip(rows_of(asked.table), before.rows(), strict=True):
        if outcome["status"] != ARRIVED:
            yield row


class _Run:
    """Downloads what an earlier run of the same fetch has not, shard by shard, in order and with bounded disk."""

    def __init__(self, home: Home, rules: Rules, effort: Effort, state: Path, advance: Advance) -> None:
        self._home, self._rules, self._effort, self._advance = home, rules, effort, advance
        self._parts = state / "parts"
        self._work = state / "work"

    def download(self, rows: Iterable[Row]) -> list[Path]:
        """The outcomes of all rows, a file a shard."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        self._parts.mkdir(exist_ok=True)
        shards = self._shards(rows)
        first = list(itertools.islice(shards, self._effort.processes or os.cpu_count() or 1))
        count = max(1, len(first))
        limits = self._effort.limits(self._rules)
        store = ImageStore(self._home)
        waiting: deque[tuple[Shard, Future[None]]] = deque()
        with Downloaders(limits, count, self._effort.threads, self._advance) as downloaders:
            for shard in itertools.chain(first, shards):
                self._refuse_full_disk()
                waiting.append((shard, self._started(downloaders, shard)))
                if len(waiting) > SHARDS_AT_ONCE * count:
                    self._take_in(*waiting.popleft(), store)
            while waiting:
                self._take_in(*waiting.popleft(), store)
        return sorted(self._parts.glob("*.parquet"))

    def _shards(self, rows: Iterable[Row]) -> Iterator[Shard]:
        """The shards that are still to be done; what is done counts as progress."""
        rows = iter(rows)
        for number in itertools.count():
            here = list(itertools.islice(rows, self._effort.shard_rows))
            if not here:
                return
            if self._part(number).is_file():
                self._advance(len(here))
            else:
                yield Shard(number, here)

    def _part(self, number: int) -> Path:
        return self._parts / f"{number:08d}.parquet"

    def _folder(self, shard: Shard) -> Path:
        return self._work / f"{shard.number:08d}"

    def _started(self, downloaders: Downloaders, shard: Shard) -> Future[None]:
        """Have one shard downloaded."""
        folder = self._folder(shard)
        folder.mkdir()
        shard.write(folder / "addresses.arrow")
        if not shard.addresses:
            nothing: Future[None] = Future()
            nothing.set_result(None)
            return nothing
        return downloaders.submit(shard.number, folder / "addresses.arrow", folder, shard.addresses)

    def _take_in(self, shard: Shard, downloaded: Future[None], store: ImageStore) -> None:
        """Pictures into the store, then the account of the shard, then its files away: a kill repeats it at most."""
        downloaded.result()
        self._advance(len(shard.rows) - shard.addresses)
        folder = self._folder(shard)
        with store.writer() as writer:
            outcomes = shard.take_in(folder, writer, self._rules.min_side)
        write_outcomes(self._part(shard.number), outcomes)
        shutil.rmtree(folder)

    def _refuse_full_disk(self) -> None:
        free = shutil.disk_usage(self._work).free
        if free < LEAST_FREE:
            what = f"only {free:,} bytes are free"
            raise Refusal(str(self._home.path), what, "free some space and run the command again: it goes on")


def _finish(
    home: Home, folder: Path, asked: Asked, settings: dict[str, Any], before: Fetched | None, parts: list[Path]
) -> None:
    """Put the outcomes together, count them, and make the folder visible."""
    record = Record(
        kind="fetched",
        name=folder.name,
        digest="",
        inputs=dict(asked.inputs),
        settings=settings,
        command=asked.command,
    )
    if before is not None:
        record.inputs[f"fetched/{before.folder.name}"] = before.record.digest
    with home.making(folder, record) as out:
        fresh = itertools.chain.from_iterable(_outcomes(part) for part in parts)
        statuses: Counter[str] = Counter()
        hosts: Counter[str] = Counter()
        size = 0
        with _Writer(out / REALISED) as realised:
            for row in fresh if before is None else _merged(before, fresh):
                realised.add(row)
                statuses[row["status"]] += 1
                size += row["bytes"] or 0
                if row["status"] != ARRIVED:
                    hosts[_host(row["url"])] += 1
        record.rows_out = statuses.pop(ARRIVED, 0)
        record.rejected = dict(sorted(statuses.items()))
        record.rows_in, record.digest = _digest_of(_outcomes(out / REALISED), ("key", "url", "status", "sha256"))
        record.check_rows()
        assert record.rows_in == settings["rows"]
        account = {
            "planned": record.rows_in,
            "arrived": record.rows_out,
            "failed": record.rejected,
            "bytes": size,
            "hosts": dict(sorted(hosts.items(), key=lambda item: (-item[1], item[0]))[:HOSTS_TOLD]),
            "realised": record.digest,
        }
        (out / ACCOUNT).write_bytes(dump_json(account))


def _merged(before: Fetched, fresh: Iterator[Row]) -> Iterator[Row]:
    """Earlier outcomes, with those that had failed replaced by what the new attempt gave."""
    for row in before.rows():
        yield row if row["status"] == ARRIVED else next(fresh)


def _outcomes(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()


class _Writer:
    """Writes outcomes with bounded memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetWriter(path, outcome_schema(), compression="zstd")
        self._rows: list[Row] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def add(self, row: Row) -> None:
        """Take one row."""
        self._rows.append(row)
        if len(self._rows) == _ROWS_WRITTEN:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=outcome_schema()))
        self._rows = []


def _digest_of(rows: Iterable[Row], columns: tuple[str, ...]) -> tuple[int, str]:
    """The number of rows, and the digest of some columns of them in their order."""
    found, count = hashlib.sha256(), 0
    for row in rows:
        found.update(canonical([row.get(name) for name in columns]) + b"\n")
        count += 1
    return count, found.hexdigest()


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").hostname or ""
    except ValueError:
        return ""
