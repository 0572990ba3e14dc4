"""Normalising embedded pictures against merely reading the parquet and writing it again; and memory over rows.

    python -m tests.speed.normalise [--rows 1000] [--rounds 5]

Both sides run in turn in this process, on one thread, after one round of each that is not counted; CPU seconds,
medians. Pictures are JPEGs of 640 x 480 (about 108 kB, COCO's are larger). Then the peak memory of a process that
normalises so many rows, and four times as many. Exit status 1 when the ratio is below 0.8 or memory grows by a tenth.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curator.normalise import normalise
from curator.pull import offer_from_folder, pull
from registry.card import load_card
from registry.store import Home
from tests.curator.data_home import write_card

AIM, GROWTH = 0.8, 1.1
MEMORY = """
import resource, sys
from pathlib import Path
from curator.normalise import normalise
from registry.card import load_card
from registry.store import Home
home, raw = Home(Path(sys.argv[1])), Path(sys.argv[2])
normalise(home, load_card("pictures", home), raw)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def jpeg(chance: random.Random, quality: int = 92) -> bytes:
    """A picture of soft blobs, 640 x 480."""
    small = Image.frombytes("RGB", (80, 60), chance.randbytes(80 * 60 * 3))
    out = io.BytesIO()
    small.resize((640, 480), Image.Resampling.BICUBIC).save(out, "JPEG", quality=quality)
    return out.getvalue()


def publish(folder: Path, rows: int, distinct: int = 1000) -> Path:
    """Rows of pictures with captions in one parquet file; no two pictures are equal."""
    chance = random.Random(0)
    kept = [jpeg(chance) for _ in range(min(rows, distinct))]
    folder.mkdir(parents=True)
    path = folder / "train.parquet"
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("caption", pa.string())]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 200):
            batch = [_row(kept[number % len(kept)], number) for number in range(start, min(start + 200, rows))]
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    return path


def _row(data: bytes, number: int) -> dict[str, object]:
    comment = b"\xff\xfe\x00\x06%04x" % (number & 0xFFFF)  # a comment segment makes every file a picture of its own
    return {"image": {"bytes": data[:2] + comment + data[2:], "path": f"{number}.jpg"}, "caption": f"blobs {number}"}


def copy(source: Path, target: Path) -> None:
    """Read the parquet and write it again, in the way that is fastest: without reading ahead into fresh memory."""
    with pq.ParquetFile(source, pre_buffer=False) as file, pq.ParquetWriter(target, file.schema_arrow) as writer:
        for batch in file.iter_batches(256):
            writer.write_batch(batch)


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def pulled(home: Home, source: Path) -> Path:
    """The raw folder of the pictures in a home of their own."""
    card = write_card(home, "pictures", format="caption_pairs")
    return pull(home, offer_from_folder(card, source), link=True).folder


def ratio(root: Path, rows: int, rounds: int) -> float:
    """Copying divided by normalising."""
    published = publish(root / "published", rows)
    copies, ours = [], []
    for number in range(rounds + 1):
        home = Home(root / f"home-{number}")
        raw = pulled(home, published.parent)
        copies.append(seconds(partial(copy, published, root / f"{number}.parquet")))
        ours.append(seconds(partial(normalise, home, load_card("pictures", home), raw)))
        print(f"round {number}: copy {rows / copies[-1]:,.0f}, normalise {rows / ours[-1]:,.0f} rows/CPU-s")
    return statistics.median(copies[1:]) / statistics.median(ours[1:])


def peak(root: Path, rows: int) -> int:
    """MiB that a process which normalises so many rows holds at most."""
    published = publish(root / f"published-{rows}", rows)
    home = Home(root / f"memory-{rows}")
    command = [sys.executable, "-c", MEMORY, str(home.path), str(pulled(home, published.parent))]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> int:
    """Exit status 0 when both aims are met."""
    parser = argparse.ArgumentParser(description="normalise against a copy by pyarrow")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = ratio(Path(folder), asked.rows, asked.rounds)
        small, large = peak(Path(folder), asked.rows * 4), peak(Path(folder), asked.rows * 16)
    print(f"speed of normalising / speed of copying: {found:.2f} (aim {AIM})")
    print(f"peak memory: {small} MiB for {asked.rows * 4:,} rows, {large} MiB for {asked.rows * 16:,}")
    return not (found >= AIM and large <= small * GROWTH)


if __name__ == "__main__":
    sys.exit(main())
