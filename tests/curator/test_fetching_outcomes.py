"""What became of an address is found on disk as a dictionary in memory would have it."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.fetching.outcomes import Outcomes
from curator.fetching.shards import Row, outcome_schema
from registry.images import ImageRef


def write(path: Path, rows: list[Row], group: int) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=outcome_schema()), path, row_group_size=group)
    return path


def row(url: str | None, number: int, *, arrived: bool) -> Row:
    if not arrived:
        return {"key": str(number), "url": url, "status": f"http {400 + number % 100}"}
    size = {"width": number, "height": 2, "bytes": 3}
    return {"key": str(number), "url": url, "status": "arrived", "sha256": f"{number:064x}", **size}


def as_dictionary(rows: list[Row]) -> dict[str, str | ImageRef]:
    """The rule in plain words: the last arrival of an address, or else its first failure."""
    found: dict[str, str | ImageRef] = {}
    for one in rows:
        if one["status"] == "arrived":
            found[one["url"]] = ImageRef(one["sha256"], one["width"], one["height"])
        else:
            found.setdefault(one["url"], one["status"])
    return found


def test_every_address_is_found_whatever_row_group_it_is_in(tmp_path: Path) -> None:
    source = random.Random(4)
    rows = [row(f"http://x/ü{source.randrange(90)}", n, arrived=source.random() < 0.5) for n in range(200)]
    rows += [row(None, 200, arrived=False), row("", 201, arrived=False)]
    found = Outcomes(write(tmp_path / "t.parquet", rows, group=7))
    expected = as_dictionary([one for one in rows if one["url"] is not None])
    assert len(expected) < 95
    assert {address: found.get(address) for address in expected} == expected
    assert found.get("http://x/never") is None


def test_addresses_that_share_a_number_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(f"http://x/{n}", n, arrived=n % 2 == 0) for n in range(20)]
    path = write(tmp_path / "t.parquet", rows, group=3)
    real = hashlib.blake2b
    monkeypatch.setattr(hashlib, "blake2b", lambda _data, digest_size: real(b"one", digest_size=digest_size))
    found = Outcomes(path)
    assert {one["url"]: found.get(one["url"]) for one in rows} == as_dictionary(rows)


def test_an_address_takes_a_few_bytes_of_memory(tmp_path: Path) -> None:
    count = 100_000
    rows = [row(f"http://a-host.example/{n:060}", n, arrived=n % 3 > 0) for n in range(count)]
    path = write(tmp_path / "t.parquet", rows, group=10_000)
    pq.read_table(path)  # what the library allocates for itself
    tracemalloc.start()
    found = Outcomes(path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.get(rows[77_777]["url"]) == as_dictionary([rows[77_777]])[rows[77_777]["url"]]
    assert held < 20 * count
