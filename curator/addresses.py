"""The addresses by which published rows name pictures, as the table that a fetch reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from curator.fetch import Advance, Asked, Effort, Rules, fetch
from curator.fetching.workers import refuse_without_library
from curator.normalise import Look, plan, suffix
from curator.options import fetch_options_in
from curator.raw_sample import RawSample, plain
from curator.reading import RawFiles
from curator.selection import Form, recognise
from registry.card import Card
from registry.errors import Refusal
from registry.store import Home, read_record

_PROTOCOLS = ("http://", "https://")
_ROWS_WRITTEN = 65_536


@dataclass(frozen=True)
class Address:
    """An address, and the first row that names it."""

    key: str
    url: str


@dataclass(frozen=True)
class Fetching:
    """How the pictures of a dataset are fetched."""

    rules: Rules = field(default_factory=Rules)
    effort: Effort = field(default_factory=Effort)
    retry_failed: bool = False


def fetching_of(given: Mapping[str, Any]) -> Fetching | None:
    """How to fetch by a command's options, or None; Refusal for options that nothing would heed."""
    if not given["fetch"]:
        idle = fetch_options_in(given)
        if idle:
            raise Refusal(idle[0], "says how to fetch, and --fetch is not given", "pass --fetch, or leave it out")
        return None
    refuse_without_library()
    rules = Rules(given["allow_private"], given["min_side"] or Rules.min_side)
    retries = Effort.retries if given["retries"] is None else given["retries"]
    return Fetching(rules, Effort(given["fetch_timeout"] or Effort.seconds, retries), given["retry_failed"])


Bar = Callable[[int], AbstractContextManager[Advance]]
"""Shows the progress of so many addresses."""


def addresses_of(form: Form, source: RawFiles) -> Iterator[Address]:
    """Every address once, in the order of the rows."""
    seen: set[str] = set()
    for row in form.module.rows(source):
        for picture in row.images if isinstance(row, RawSample) else ():
            if isinstance(picture, str) and picture.lower().startswith(_PROTOCOLS) and picture not in seen:
                seen.add(picture)
                yield Address(row.source_id, picture)


def count_in_folder(card: Card, folder: Path, files: list[str], limit: int | None) -> int:
    """How many addresses the rows of some files name, before the files are pulled."""
    form, source = recognise(card, folder, available=files)
    return sum(1 for _ in addresses_of(form, replace(source, limit=limit)))


def with_fetched(home: Home, card: Card, raw: Path, look: Look, fetching: Fetching, bar: Bar) -> Look:
    """The look with the pictures that the raw folder's rows name by address; unchanged when they name none."""
    with home.workspace("addresses") as work:
        asked = ask(card, raw, look, work / "addresses.parquet")
        if not asked.settings["rows"]:
            return look
        with bar(asked.settings["rows"]) as advance:
            retry = fetching.retry_failed
            fetched = fetch(home, asked, fetching.rules, fetching.effort, retry_failed=retry, advance=advance)
    return replace(look, fetched=fetched)


def ask(card: Card, raw: Path, look: Look, table: Path) -> Asked:
    """Write the table of a raw folder's addresses."""
    planned = plan(card, raw, look)
    _write(table, addresses_of(planned.form, planned.source))
    inputs = {f"raw/{raw.name}": read_record(raw).digest}
    return Asked(raw.name + suffix(look.settings()), table, inputs, f"curator pull {card.name} --fetch")


def _write(table: Path, addresses: Iterator[Address]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("key", pa.string()), ("url", pa.string())])
    with pq.ParquetWriter(table, schema, compression="zstd") as out:
        rows: list[dict[str, str]] = []
        for address in addresses:
            rows.append({"key": address.key, "url": plain(address.url)})
            if len(rows) == _ROWS_WRITTEN:
                out.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows = []
        out.write_table(pa.Table.from_pylist(rows, schema=schema))
