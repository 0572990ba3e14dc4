"""What a draw must give, written once more in plain Python, and small pools of metadata to draw from."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from registry.identity import order_key

Row = dict[str, Any]
FACTOR = 0xC6A4A7935BD1E995
MASK = (1 << 64) - 1
WORDS = [
    "red",
    "blue",
    "old",
    "sports",
    "car",
    "dog",
    "tree",
    "of",
    "the",
    "a",
    "in",
    "photo",
    "über",
    "北京",
    "vintage",
]


def murmur(data: bytes, seed: int) -> int:
    """MurmurHash64A as its author wrote it."""
    key = (seed ^ (len(data) * FACTOR)) & MASK
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        word = int.from_bytes(data[at : at + 8], "little") * FACTOR & MASK
        key = (key ^ ((word ^ (word >> 47)) * FACTOR & MASK)) * FACTOR & MASK
    if whole < len(data):
        key = (key ^ int.from_bytes(data[whole:], "little")) * FACTOR & MASK
    key = (key ^ (key >> 47)) * FACTOR & MASK
    return key ^ (key >> 47)


def key_of(seed: int, row: Row) -> int:
    """The order key of a row."""
    return murmur(row["TEXT"].encode(), murmur(row["URL"].encode(), order_key("extract", seed)))


def drawn(rows: Iterable[Row], seed: int, size: int) -> list[tuple[str, str]]:
    """(url, caption) of a plain draw, in order."""
    pairs = {(row["URL"], row["TEXT"]): key_of(seed, row) for row in rows if row["URL"] and row["TEXT"] is not None}
    return sorted(pairs, key=lambda pair: pairs[pair])[:size]


def rows(count: int, seed: int = 0, twins: float = 0.1) -> list[Row]:
    """Rows in the shape of the joined LAION files; some are there twice, some with another score."""
    source = random.Random(seed)
    made: list[Row] = []
    for i in range(count):
        if made and source.random() < twins:
            again = dict(source.choice(made))
            if source.random() < 0.5:
                again["similarity"] = round(source.uniform(0.2, 0.5), 3)
            made.append(again)
            continue
        made.append(
            {
                "URL": f"https://{source.choice(WORDS[:9])}.example/{i}/{source.randrange(1 << 40)}.jpg",
                "TEXT": " ".join(source.choices(WORDS, k=source.randrange(1, 12))),
                "WIDTH": source.randrange(50, 1200),
                "HEIGHT": source.randrange(50, 1200),
                "LANGUAGE": source.choice(["en", "en", "en", "nl", None]),
                "similarity": round(source.uniform(0.2, 0.5), 3),
                "punsafe": source.choice([None, round(source.random(), 3)]),
                "pwatermark": round(source.random(), 3),
                "hash": source.randrange(1 << 60),
            }
        )
    return made


SCHEMA = pa.schema(
    [
        ("URL", pa.string()),
        ("TEXT", pa.string()),
        ("WIDTH", pa.int32()),
        ("HEIGHT", pa.int32()),
        ("LANGUAGE", pa.string()),
        ("similarity", pa.float64()),
        ("punsafe", pa.float64()),
        ("pwatermark", pa.float64()),
        ("hash", pa.int64()),
    ]
)


def write(folder: Path, made: Sequence[Row], files: int = 3, group: int = 700) -> Path:
    """Write rows as parquet files."""
    folder.mkdir(parents=True)
    for i in range(files):
        table = pa.Table.from_pylist(list(made[i::files]), schema=SCHEMA)
        pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=group)
    return folder
