"""How fast pictures are fetched from addresses, and whether the account of them is exact.

``python -m tests.speed.fetch [--pictures N] [--processes P]``. A server in a process of its own serves JPEG files of
about 110 KB; one address in twenty has a fault (404, HTML, damaged, reset, a loop, an opt-out, or a server that says
nothing). Printed are addresses a second, the peak memory of this process, and what of the account differs from the
truth: nothing. The yardstick is img2dataset's own command on the same list, which checks no picture, no bound and no
address.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curator.fetch import Asked, Effort, Rules, fetch
from registry.store import Home
from tests.curator.picture_server import PictureServer

SECONDS, SHARD_ROWS = 6.0, 1000
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
    """A noisy picture of about 110 KB."""
    noise = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((640, 480)).save(out, "JPEG", quality=93)
    return out.getvalue()


def numbered(data: bytes, number: int) -> bytes:
    """The picture with its number as a comment: other bytes, and whole."""
    return data[:2] + b"\xff\xfe\x00\x06" + number.to_bytes(4, "big") + data[2:]


def serve(pictures: int, pipe: Connection) -> None:
    """Serve until told to stop."""
    kinds = [jpeg(number) for number in range(KINDS)]
    with PictureServer() as server:
        server.files = {f"/good/{i}.jpg": numbered(kinds[i % KINDS], i) for i in range(pictures)}
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


def own_command(table: Path, folder: Path, processes: int) -> float:
    """Seconds of img2dataset by itself, with as much effort."""
    begun = time.monotonic()
    options = {"url_list": table, "input_format": "parquet", "output_folder": folder, "output_format": "webdataset"}
    options |= {"disable_all_reencoding": True, "processes_count": processes, "thread_count": Effort.threads}
    options |= {"number_sample_per_shard": SHARD_ROWS, "timeout": SECONDS / 3, "retries": 1}
    words = [f"--{name}={value}" for name, value in options.items()]
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    code = "from img2dataset import main\nif __name__ == '__main__': main()\n"
    script = folder.with_suffix(".py")
    script.write_text(code)
    command = [sys.executable, str(script), *words]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


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
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "asked.parquet"
        pq.write_table(pa.table({"key": [str(i) for i in range(len(urls))], "url": urls}), table)
        asked = Asked("speed@here", table, {}, "")
        effort = Effort(SECONDS, 1, given.processes, shard_rows=SHARD_ROWS)
        begun = time.monotonic()
        home = Home(Path(folder) / "home")
        fetched = fetch(home, asked, Rules(True), effort)
        seconds = time.monotonic() - begun
        found = [row["status"] for row in fetched.rows()]
        account = fetched.account
        yardstick = own_command(table, Path(folder) / "own", given.processes)
    wrong = sum(a != b for a, b in zip(found, truth, strict=True))
    expected = Counter(truth)
    exact = account["arrived"] == expected.pop("arrived") and account["failed"] == expected
    ours.send("stop")
    process.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{len(urls):,} addresses, {account['bytes']:,} bytes in {seconds:.1f} s: {len(urls) / seconds:,.0f} a second"
    )
    print(f"img2dataset by itself: {yardstick:.1f} s, {len(urls) / yardstick:,.0f} a second")
    print(
        f"rows that differ from the truth: {wrong}; the account is {'exact' if exact else 'WRONG'}: {account['failed']}"
    )
    print(f"peak memory of this process: {peak:,} MB")


if __name__ == "__main__":
    main()
