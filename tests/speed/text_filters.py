"""Text filters against the same filters written in Python: CPU seconds side by side, and the same samples kept.

    python -m tests.speed.text_filters [--rows 50000] [--rounds 5] [--datatrove PYTHON] [--data-juicer PYTHON]

The filter: length in characters, share of special characters, share of repeated 10-character windows, of the answer.
Every side gets the text in memory, as its own kind of table; loading, imports and compilation are not counted. The
peers run in processes of their own, in turn with ours; each prints CPU seconds and what it kept. Environments:

    python -m venv peers && peers/bin/pip install "datatrove==0.10.1" "xxhash<4" pyarrow numpy
    python -m venv juicer && juicer/bin/pip install "py-data-juicer==1.6.1" aiohttp scipy

data-juicer defines its three measures otherwise, so what it keeps is counted and not compared; it chooses its number
of processes itself, and is also run in one. CPU seconds are those of a process and its children. Exit status 1 when a
keep set differs, or a ratio is below its aim.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from registry.sample import arrow_schema, make_message

AIMS = {"datasets": 15.0, "datatrove": 15.0, "data-juicer": 80.0}
PYTHON_FILTER = """
import re
SPECIAL = re.compile(r"[^\\w\\s]|_")
def kept(text):
    if not 40 <= len(text) <= 4000:
        return False
    shown = len(text) - sum(map(str.isspace, text))
    if shown and len(SPECIAL.findall(text)) / shown > 0.1:
        return False
    windows = [text[i : i + 10] for i in range(len(text) - 9)]
    return not windows or (len(windows) - len(set(windows))) / len(windows) <= 0.2
"""
TELL = """
import hashlib, json, os
def spent():
    return sum(os.times()[:4])  # children too
def tell(seconds, kept):
    print(json.dumps([seconds, len(kept), hashlib.sha256(",".join(map(str, kept)).encode()).hexdigest()]))
"""
OURS = """
import sys, time
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from curator.batch import Batch
from curator.bounds import keeps
from curator.measure import load_filter
from registry.recipe import Bounds
BOUNDS = {"text_length": {"chars": Bounds(min=40, max=4000)}, "text_noise": {"special_share": Bounds(max=0.1)},
          "repetition": {"repeated_share": Bounds(max=0.2)}}
tables = [pa.Table.from_batches([b]) for b in pq.ParquetFile(sys.argv[1]).iter_batches(8192)]
def kept(table):
    batch, mask = Batch(table), None
    for name, bounds in BOUNDS.items():
        measured = load_filter(name).measure(batch)
        for column, bound in bounds.items():
            inside = np.asarray(keeps(pa.table({column: measured[column]}), column, bound))
            mask = inside if mask is None else mask & inside
    return mask
kept(tables[0])
began = spent()
masks = [kept(table) for table in tables]
tell(spent() - began, np.flatnonzero(np.concatenate(masks)).tolist())
"""
DATASETS = """
import sys, time, tempfile
import datasets
datasets.disable_progress_bars()
with tempfile.TemporaryDirectory() as cache:
    table = datasets.Dataset.from_parquet(sys.argv[1], cache_dir=cache)
    began = spent()
    left = table.filter(kept, input_columns="text")
    seconds = spent() - began
    tell(seconds, left["number"][:])
"""
DATATROVE = """
import sys, time
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import LambdaFilter
rows = pq.read_table(sys.argv[1]).to_pylist()
documents = [Document(text=row["text"], id=str(row["number"])) for row in rows]
step = LambdaFilter(lambda document: kept(document.text))
began = spent()
left = list(step.run(iter(documents)))
tell(spent() - began, [int(document.id) for document in left])
"""
JUICER = """
import sys, time, os, tempfile
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
cache = tempfile.TemporaryDirectory()
os.environ["HF_DATASETS_CACHE"] = cache.name  # or a second run finds what the first has measured
from loguru import logger
logger.remove()
from data_juicer.core.data import NestedDataset
from data_juicer.ops.filter import CharacterRepetitionFilter, SpecialCharactersFilter, TextLengthFilter
import datasets
rows = datasets.Dataset.from_parquet(sys.argv[1])
steps = [TextLengthFilter(min_len=40, max_len=4000), SpecialCharactersFilter(max_ratio=0.3),
         CharacterRepetitionFilter(rep_len=10, max_ratio=0.2)]
if sys.argv[2] == "one process":
    for step in steps:
        step.num_proc = 1
began = spent()
left = NestedDataset(rows)
for step in steps:
    left = left.process(step)
seconds = spent() - began
tell(seconds, left["number"][:])
"""


def answers(rows: int) -> list[str]:
    """Texts of 850 characters on average; one in twenty-five repeats itself, one in twenty is full of symbols."""
    chance = random.Random(0)
    words = ["".join(chance.choices("etaoinshrdlucmfwypvbgkjqxz", k=chance.randint(2, 10))) for _ in range(20_000)]
    texts = []
    for number in range(rows):
        length = max(5, int(chance.lognormvariate(4.6, 0.6)))
        said = chance.choices(words, k=length)
        if number % 25 == 0:
            said = (said[:8] * (length // 8 + 1))[:length]
        text = " ".join(said) + "."
        if number % 20 == 0:
            text = "".join(c if chance.random() > 0.3 else chance.choice("#@*|~%$") for c in text)
        texts.append(text)
    return texts


def write_corpus(folder: Path, rows: int) -> tuple[Path, Path]:
    """The same texts as samples, and as the plain column that the peers read."""
    texts = answers(rows)
    names = {"dataset": "x", "part": "all", "category": "captioning", "images": []}
    samples = [
        {
            "id": hashlib.sha256(text.encode()).hexdigest()[:32],
            "source_id": str(number),
            "messages": [make_message("user", ""), make_message("assistant", text)],
            **names,
        }
        for number, text in enumerate(texts)
    ]
    ours, theirs = folder / "samples.parquet", folder / "texts.parquet"
    pq.write_table(pa.Table.from_pylist(samples, schema=arrow_schema()), ours, row_group_size=4096)
    pq.write_table(pa.table({"number": range(rows), "text": texts}), theirs)
    return ours, theirs


def timed(python: str, code: str, *arguments: object) -> tuple[float, int, str]:
    """``(CPU seconds, rows kept, digest of which)`` that a child prints on its last line."""
    command = [python, "-c", TELL + PYTHON_FILTER + code, *map(str, arguments)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        raise SystemExit(child.stderr[-2000:])
    seconds, rows, digest = json.loads(child.stdout.splitlines()[-1])
    return seconds, rows, digest


def main() -> int:
    """Measure; exit status 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--datatrove", metavar="PYTHON")
    parser.add_argument("--data-juicer", metavar="PYTHON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = write_corpus(Path(folder), arguments.rows)
        sides: dict[str, tuple[str, str, tuple[object, ...]]] = {
            "ours": (sys.executable, OURS, (ours,)),
            "datasets": (sys.executable, DATASETS, (theirs,)),
        }
        if arguments.datatrove:
            sides["datatrove"] = (arguments.datatrove, DATATROVE, (theirs,))
        if arguments.data_juicer:
            sides["data-juicer"] = (arguments.data_juicer, JUICER, (theirs, "as it comes"))
            sides["data-juicer, one process"] = (arguments.data_juicer, JUICER, (theirs, "one process"))
        found: dict[str, list[tuple[float, int, str]]] = {name: [] for name in sides}
        for _ in range(arguments.rounds):
            for name, (python, code, given) in sides.items():
                found[name].append(timed(python, code, *given))
    return judged(found, arguments.rows)


def judged(found: dict[str, list[tuple[float, int, str]]], rows: int) -> int:
    """Print the table; 1 when a ratio misses its aim or a keep set differs from ours."""
    failed = False
    print(f"{'':24} {'rows/CPU-s':>12} {'ours is':>9} {'least':>7} {'aim':>5}  kept of {rows:,}")
    for name, runs in found.items():
        rate = rows / statistics.median(seconds for seconds, _, _ in runs)
        ratios = [theirs[0] / mine[0] for mine, theirs in zip(found["ours"], runs, strict=True)]
        same = name == "ours" or "juicer" in name or {run[2] for run in runs} == {run[2] for run in found["ours"]}
        aim = AIMS.get(name)
        failed |= not same or (aim is not None and statistics.median(ratios) < aim)
        kept = f"{runs[0][1]:,}{'' if same else ' NOT THE SAME'}"
        print(f"{name:24} {rate:12,.0f} {statistics.median(ratios):8.1f}x {min(ratios):6.1f}x {aim or '':>5}  {kept}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
