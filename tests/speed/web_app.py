"""How long pages of ``curator ui`` take over a million samples.

``python -m tests.speed.web_app --home FOLDER [--samples N] [--rounds N]``. The samples (LLaVA-like lengths, 300
characters of text each) are made in the folder first, once. Each page is asked of a server process of its own, as a
browser asks it; printed are the seconds of the first time, the median of all, and what the page says it found. Beside
the search for a rare word stands the same question to DuckDB, over the same files in the same two threads.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from registry.sample import arrow_schema, conversation
from registry.store import Home, Record, is_finished
from tests.curator.ui.server import Server
from tests.curator.ui.test_pages import found

PER_FILE, PER_GROUP = 65_536, 4096
FOLDER = "million@local-000000000000-000000000000"
CATEGORIES = ("captioning", "general_qa", "ocr", "conversation")
WORDS = [
    "street",
    *(f"{first}{second}" for first in ("ta", "mi", "no", "ke", "su") for second in ("blo", "ra", "fen", "p")),
]
RARE = "needle-in-haystack"


def make_samples(home: Home, samples: int) -> None:
    """One samples folder in the layout that normalising writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = home.stage("samples") / FOLDER
    if is_finished(folder):
        return
    parts = [{"name": f"p{n}", "category": category, "rule": None} for n, category in enumerate(CATEGORIES)]
    record = Record(kind="samples", name=FOLDER, digest="0" * 64, rows_in=samples, rows_out=samples)
    record.settings = {"dataset": "million", "parts": parts}
    rows = _rows(samples)
    with home.making(folder, record) as out:
        for number in range(-(-samples // PER_FILE)):
            own = list(itertools.islice(rows, PER_FILE))
            table = pa.Table.from_pylist(own, schema=arrow_schema())
            path = out / f"part-{number:05d}.parquet"
            pq.write_table(table, path, row_group_size=PER_GROUP, compression="zstd")


def _rows(samples: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(0)
    for number in range(samples):
        quarter = number * len(CATEGORIES) // samples
        answer = " ".join(draw.choices(WORDS, k=draw.randint(5, 100)))
        yield {
            "id": hashlib.sha256(str(number).encode()).hexdigest()[:32],
            "dataset": "million",
            "part": f"p{quarter}",
            "source_id": str(number),
            "category": CATEGORIES[quarter],
            "images": [],
            "messages": conversation([("user", f"Describe picture {number}."), ("assistant", answer)]),
            "ratings": [],
        }


def duckdb_search(home: Home) -> list[Any]:
    """The rows with the rare word, as DuckDB finds them."""
    import duckdb

    files = sorted(map(str, (home.stage("samples") / FOLDER).glob("part-*.parquet")))
    said = "list_filter(messages, lambda m: len(list_filter(m.content, lambda p: contains(lower(p.text), ?))) > 0)"
    sql = f"SELECT filename, file_row_number FROM read_parquet(?, filename = true) WHERE len({said}) > 0 LIMIT 25"
    with duckdb.connect(config={"threads": 2}) as connection:
        return connection.execute(sql, [files, RARE]).fetchall()


def timed(rounds: int, act: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of the first round, the median of all, and what the last one gave."""
    seconds, given = [], None
    for _ in range(rounds):
        begun = time.perf_counter()
        given = act()
        seconds.append(time.perf_counter() - begun)
    return seconds[0], statistics.median(seconds), given


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    home = Home(options.home)
    make_samples(home, options.samples)
    here = f"/samples/{FOLDER}"
    pages = {
        "first page": here,
        "in the middle": f"{here}?at={options.samples // 2}",
        "a category": f"{here}?category=ocr",
        "a frequent word": f"{here}?q=street",
        "a rare word": f"{here}?q={RARE}",
        "a word that nobody said": f"{here}?q=nobodysaidthat",
        "an id": f"{here}?id={options.samples * 3 // 4}",
        "one sample": f"{here}/part-00000.parquet/77",
    }
    with Server(home.path) as server:
        for name, path in pages.items():
            first, median, page = timed(options.rounds, functools.partial(server.page, path))
            said = found(page) if 'id="found"' in page else ""
            print(json.dumps({"page": name, "first": round(first, 3), "median": round(median, 3), "found": said}))
    first, median, rows = timed(options.rounds, lambda: duckdb_search(home))
    print(
        json.dumps({"DuckDB": "a rare word", "first": round(first, 3), "median": round(median, 3), "rows": len(rows)})
    )


if __name__ == "__main__":
    main()
