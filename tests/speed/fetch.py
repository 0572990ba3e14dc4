"""How fast pictures are fetched from addresses, and whether the account of them is exact.

``python -m tests.speed.fetch [--pictures N] [--processes P]``. A server in a process of its own serves JPEG files of
about 70 KB; one address in twenty has a fault (404, HTML, damaged, reset, a loop, an opt-out, or a server that says
nothing). Printed are pictures a second with and without the start of the processes, the peak memory of this process,
and what of the account differs from the truth: nothing. A plain loop over ``urllib`` with as many threads, on the same
good addresses, is the yardstick.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import resource
import tempfile
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curator.fetch import Asked, Effort, Rules, fetch
from registry.store import Home
from tests.curator.picture_server import PictureServer

KINDS = 64
"""Different pictures; every address has one of its own path."""
FAULTS = {
    "status/404": "http 404",
    "html": "not an image",
    "damaged": "damaged image",
    "reset": "connection",
    "loop": "redirect loop",
    "opt-out": "opt-out",
    "silent": "timeout",
}


def jpeg(number: int) -> bytes:
    """A noisy picture of about 70 KB."""
    noise = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((640, 480)).save(out, "JPEG", quality=93)
    return out.getvalue()


def serve(pictures: int, pipe: Connection) -> None:
    """Serve until told to stop."""
    kinds = [jpeg(number) for number in range(KINDS)]
    with PictureServer() as server:
        server.files = {f"/good/{i}.jpg": kinds[i % KINDS] + i.to_bytes(4, "big") for i in range(pictures)}
        server.files |= {f"/damaged/{i}": kinds[i % KINDS][:9000] for i in range(pictures)}
        pipe.send(server.url)
        pipe.recv()


def addresses(url: str, pictures: int) -> tuple[list[str], list[str]]:
    """The addresses, and what must become of each."""
    kinds = list(FAULTS)
    urls, truth = [], []
    for i in range(pictures):
        fault = kinds[i // 20 % len(kinds)] if i % 20 == 7 else None
        urls.append(f"{url}/{fault}/{i}" if fault else f"{url}/good/{i}.jpg")
        truth.append(FAULTS[fault] if fault else "arrived")
    return urls, truth


def plain_loop(urls: list[str], threads: int) -> float:
    """Addresses a second of nothing but reading."""

    def read(url: str) -> int:
        with urllib.request.urlopen(url) as answer:  # noqa: S310  our own loopback server
            return len(answer.read())

    begun = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, urls))
    return len(urls) / (time.monotonic() - begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="fetch pictures from a loopback server")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(given.pictures, theirs))
    process.start()
    urls, truth = addresses(ours.recv(), given.pictures)
    marks: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "asked.parquet"
        pq.write_table(pa.table({"key": [str(i) for i in range(len(urls))], "url": urls}), table)
        asked = Asked("speed@here", table, {}, "")
        effort = Effort(seconds=6, retries=1, processes=given.processes, shard_rows=1000)
        begun = time.monotonic()
        home = Home(Path(folder) / "home")
        fetched = fetch(home, asked, Rules(True), effort, advance=lambda rows: marks.append((time.monotonic(), rows)))
        seconds = time.monotonic() - begun
        found = [row["status"] for row in fetched.rows()]
        account = fetched.account
    wrong = sum(a != b for a, b in zip(found, truth, strict=True))
    expected = Counter(truth)
    exact = account["arrived"] == expected.pop("arrived") and account["failed"] == expected
    good = [url for url, status in zip(urls, truth, strict=True) if status == "arrived"][:2000]
    yardstick = plain_loop(good, 32)
    ours.send("stop")
    process.join()
    working = seconds - (marks[0][0] - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{len(urls):,} addresses, {account['bytes']:,} bytes in {seconds:.1f} s: {len(urls) / seconds:,.0f} a second"
    )
    print(f"from the first picture on: {len(urls) / working:,.0f} a second; urllib alone, 32 threads: {yardstick:,.0f}")
    print(
        f"rows that differ from the truth: {wrong}; the account is {'exact' if exact else 'WRONG'}: {account['failed']}"
    )
    print(f"peak memory of this process: {peak:,} MB")


if __name__ == "__main__":
    main()
