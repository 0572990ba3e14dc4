"""Seven nested subsets of LAION-like metadata: CPU, wall time and memory side by side, and exactness on the same rows.

    python -m tests.speed.extract [--rows 10000000] [--rounds 3] [--slow] [--check] [--python P ...] [--folder FOLDER]

Rows are made once in FOLDER (about 120 MB a million; 20 files a 10 million rows, row groups of 125,000, snappy). The
filter is that of LAION's own subsets: similarity, short side, aspect, punsafe, pwatermark, language, text length; the
largest subset is 5 % of the rows. Each method runs in a process of its own, in turn; figures are medians:

* limit: duckdb, one scan with the filter, the bound of its own hash known before, one file written;
* curator: ``curator extract``, the whole command, start-up included;
* duckdb: the hash-ordered largest set into a temporary table, then seven COPY, the best of what users write;
* pandas (``--slow``): the whole folder in memory, which takes 5 GB at 10 million rows;
* datasets (``--slow``): ``load_dataset``, filter in batches, sort, select, on 2 million rows, with curator on the same.

``--check`` also draws from the same rows in other files and another order, and with one thread, and compares bytes.
``--python`` does so with other versions of the libraries: the interpreter of an environment that has, say,
``polars==2.0.0 duckdb==1.5.6 pyarrow numpy click rich pydantic pyyaml llvmlite huggingface_hub``. Its rows must be the
same in the same order, and with the same pyarrow (which signs what it writes) so must the bytes.
Exit status 1 when bytes differ or a ratio misses its aim.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

AIMS = {"limit": 1 / 1.25, "duckdb": 1.6, "pandas": 6.0, "datasets": 40.0}
"""Method -> how many times our CPU it must take at least."""
ROWS_PER_FILE = 500_000
ROWS_PER_GROUP = 125_000
SHARES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05)
SMALL = 2_000_000
SQL = (
    "similarity >= 0.3 AND least(WIDTH, HEIGHT) >= 200 AND greatest(WIDTH, HEIGHT) <= 3 * least(WIDTH, HEIGHT) "
    'AND punsafe <= 0.5 AND pwatermark <= 0.8 AND "LANGUAGE" = \'en\' AND length("TEXT") BETWEEN 10 AND 500'
)
BOUNDS = ("similarity=0.3:", "short_side=200:", "aspect=:3", "punsafe=:0.5", "pwatermark=:0.8", "characters=10:500")
DUCKDB = """
import duckdb, sys
folder, out, mode, sizes = sys.argv[1], sys.argv[2], sys.argv[3], [int(size) for size in sys.argv[4].split(",")]
con = duckdb.connect()
con.execute("SET enable_progress_bar = false; SET threads = 2; SET preserve_insertion_order = false")
con.execute(f"SET temp_directory = '{out}/spill'")
rows = f"FROM read_parquet('{folder}/*.parquet') WHERE SQL"
if mode == "bound":
    largest = f"SELECT hash(URL, TEXT) k {rows} ORDER BY k LIMIT {sizes[-1]}"
    print(con.sql(f"SELECT max(k) FROM ({largest})").fetchall()[0][0])
elif mode == "limit":
    inside = f"hash(URL, TEXT) <= {sys.argv[5]}"
    con.execute(f"COPY (SELECT *, hash(URL, TEXT) k {rows} AND {inside}) TO '{out}/one.parquet'")
else:
    con.execute(f"CREATE TEMP TABLE t AS SELECT *, hash(URL, TEXT) k {rows} ORDER BY k LIMIT {sizes[-1]}")
    for size in sizes:
        con.execute(f"COPY (SELECT * FROM t ORDER BY k LIMIT {size}) TO '{out}/{size}.parquet'")
""".replace("SQL", SQL.replace('"', '\\"'))
PANDAS = """
import sys
import pandas as pd
folder, out, sizes = sys.argv[1], sys.argv[2], [int(size) for size in sys.argv[4].split(",")]
d = pd.read_parquet(folder)
short, long = d[["WIDTH", "HEIGHT"]].min(axis=1), d[["WIDTH", "HEIGHT"]].max(axis=1)
d = d[(d.similarity >= 0.3) & (short >= 200) & (long <= 3 * short) & (d.punsafe <= 0.5) & (d.pwatermark <= 0.8)
      & (d.LANGUAGE == "en") & d.TEXT.str.len().between(10, 500)]
d["k"] = pd.util.hash_pandas_object(d[["URL", "TEXT"]], index=False)
d = d.sort_values("k")
for size in sizes:
    d.head(size).to_parquet(f"{out}/{size}.parquet", index=False)
"""
DATASETS = """
import sys, hashlib
import datasets
datasets.disable_progress_bars()
folder, out, sizes = sys.argv[1], sys.argv[2], [int(size) for size in sys.argv[4].split(",")]
def keep(b):
    return [s >= 0.3 and min(w, h) >= 200 and max(w, h) <= 3 * min(w, h) and u is not None and u <= 0.5
            and p is not None and p <= 0.8 and l == "en" and 10 <= len(t) <= 500
            for s, w, h, u, p, l, t in zip(b["similarity"], b["WIDTH"], b["HEIGHT"], b["punsafe"], b["pwatermark"],
                                           b["LANGUAGE"], b["TEXT"])]
def key(b):
    texts = (u + t for u, t in zip(b["URL"], b["TEXT"]))
    return {"k": [int.from_bytes(hashlib.md5(text.encode()).digest()[:7], "big") for text in texts]}
d = datasets.load_dataset("parquet", data_files=f"{folder}/*.parquet", split="train", cache_dir=f"{out}/cache")
d = d.filter(keep, batched=True, num_proc=2).map(key, batched=True, num_proc=2).sort("k")
for size in sizes:
    d.select(range(size)).to_parquet(f"{out}/{size}.parquet")
"""


def vocabulary(source: np.random.Generator, count: int) -> list[str]:
    """Words of letters as frequent as in English."""
    letters, share = np.array(list("etaoinshrdlucmfwypvbgkjqxz")), 1 / np.arange(1, 27)
    lengths = source.integers(2, 10, count)
    return ["".join(source.choice(letters, size=n, p=share / share.sum())) for n in lengths]


def phrases(source: np.random.Generator, words: pa.Array, counts: Any, separator: str) -> pa.Array:
    """Texts of so many words each; some words are much more frequent than others."""
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    chosen = np.minimum((source.pareto(0.9, ends[-1]) * 8).astype(np.int64), len(words) - 1)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), pc.take(words, pa.array(chosen))), separator)


def metadata(number: int, rows: int, words: pa.Array, hosts: pa.Array) -> pa.Table:
    """Rows in the columns of the joined LAION files."""
    source = np.random.default_rng(number)
    host = pc.take(hosts, pa.array(np.minimum((source.pareto(0.8, rows) * 10).astype(np.int64), len(hosts) - 1)))
    tail = pa.array(source.integers(0, 1 << 62, rows)).cast(pa.string())
    path = phrases(source, words, source.integers(3, 7, rows), "/")
    width = np.clip(source.lognormal(6.1, 0.6, rows), 50, 6000)
    height = np.clip(width / np.exp(source.normal(0.2, 0.4, rows)), 50, 6000)
    unknown = source.random(rows) < 0.02

    def floats(values: Any, mask: Any = None) -> pa.Array:
        return pa.array(values.astype(np.float32), mask=mask)

    def one_of(values: list[str], shares: list[float]) -> pa.Array:
        return pc.take(pa.array(values), pa.array(source.choice(len(values), rows, p=shares)))

    return pa.table(
        {
            "SAMPLE_ID": pa.array(source.integers(0, 1 << 62, rows)),
            "URL": pc.binary_join_element_wise(host, path, pc.binary_join_element_wise("-", tail, ".jpg", ""), ""),
            "TEXT": phrases(source, words, source.integers(3, 24, rows), " "),
            "HEIGHT": pa.array(height.astype(np.int32)),
            "WIDTH": pa.array(width.astype(np.int32)),
            "LICENSE": pa.array(["?"] * rows),
            "LANGUAGE": one_of(["en", "nl", "de"], [0.9, 0.06, 0.04]),
            "NSFW": one_of(["UNLIKELY", "UNSURE", "NSFW"], [0.95, 0.04, 0.01]),
            "similarity": floats(np.clip(source.normal(0.32, 0.03, rows), 0.28, 0.6)),
            "punsafe": floats(source.beta(0.4, 3, rows), unknown),
            "pwatermark": floats(source.beta(0.8, 1.4, rows), unknown),
            "hash": pa.array(source.integers(-1 << 62, 1 << 62, rows)),
            "AESTHETIC_SCORE": floats(source.normal(4.8, 1, rows)),
        }
    )


def make(folder: Path, rows: int) -> Path:
    """The files of so many rows; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    source = np.random.default_rng(7)
    words = pa.array(vocabulary(source, 20_000))
    hosts = pa.array([f"https://{word}.{end}/" for word in vocabulary(source, 3000) for end in ("com", "net")])
    for number in range(-(-rows // ROWS_PER_FILE)):
        path = folder / f"part-{number:05d}.parquet"
        if not path.is_file():
            aside = path.with_suffix(".aside")
            groups = [metadata(number * 4 + i, ROWS_PER_GROUP, words, hosts) for i in range(4)]
            pq.write_table(pa.concat_tables(groups), aside, row_group_size=ROWS_PER_GROUP, compression="snappy")
            aside.replace(path)
    return folder


def shuffled(folder: Path, out: Path) -> Path:
    """The same rows in other files, groups and order."""
    out.mkdir(parents=True)
    files = sorted(folder.glob("*.parquet"))
    random.Random(3).shuffle(files)
    for number, pair in enumerate(zip(files[::2], files[1::2], strict=False)):
        table = pa.concat_tables(pq.read_table(path) for path in pair)
        order = np.random.default_rng(number).permutation(len(table))
        pq.write_table(table.take(pa.array(order)), out / f"{number}.parquet", row_group_size=77_777)
    if len(files) % 2:
        shutil.copyfile(files[-1], out / "last.parquet")
    return out


def measured(arguments: Sequence[str], threads: int = 2) -> tuple[float, float, float, str]:
    """CPU seconds of a process and its children, seconds, and peak MiB of it; and what it printed."""
    environment = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(arguments, stdout=printed, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, arguments[:6]
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        printed.seek(0)
        text = printed.read().decode()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, seconds, used.ru_maxrss / 1024, text


def arguments_of(
    method: str, folder: Path, out: Path, sizes: list[int], bound: str, python: str = sys.executable
) -> list[str]:
    """The command line of a method."""
    if method == "curator":
        given = [part for text in BOUNDS for part in ("--bound", text)]
        source = ["--source", str(folder), "--sizes", ",".join(map(str, sizes)), "--language", "en"]
        return [python, "-m", "curator", "extract", "x", *source, *given, "--json", "--home", str(out)]
    code = {"limit": DUCKDB, "duckdb": DUCKDB, "bound": DUCKDB, "pandas": PANDAS, "datasets": DATASETS}[method]
    return [sys.executable, "-c", code, str(folder), str(out), method, ",".join(map(str, sizes)), bound]


def compared(folder: Path, rows: int, methods: list[str], rounds: int, root: Path) -> dict[str, list[float]]:
    """Medians of CPU, seconds and MiB by method."""
    sizes = [int(rows * share) for share in SHARES]
    bound = measured(arguments_of("bound", folder, root, sizes, "0"))[3].strip() if "limit" in methods else "0"
    found: dict[str, list[tuple[float, float, float]]] = {method: [] for method in methods}
    for _ in range(rounds):
        for method in methods:
            with tempfile.TemporaryDirectory(dir=root) as out:
                found[method].append(measured(arguments_of(method, folder, Path(out), sizes, bound))[:3])
    medians = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in found.items()}
    print(f"{rows:,} rows, largest subset {sizes[-1]:,}, medians of {rounds}")
    print(f"{'method':<10}{'CPU s':>8}{'wall s':>8}{'MiB':>8}{'CPU of ours':>12}")
    for name, (cpu, seconds, size) in medians.items():
        print(f"{name:<10}{cpu:>8.2f}{seconds:>8.2f}{size:>8,.0f}{cpu / medians['curator'][0]:>12.2f}", flush=True)
    return medians


def drawn(folder: Path, rows: int, root: Path, threads: int, python: str = sys.executable) -> tuple[str, str]:
    """Digests of the rows of the largest subset in their order, and of the bytes of all files."""
    sizes = [int(rows * share) for share in SHARES]
    with tempfile.TemporaryDirectory(dir=root) as out:
        told = json.loads(measured(arguments_of("curator", folder, Path(out), sizes, "", python), threads)[3])
        found = hashlib.sha256()
        for path in told["subsets"][-1]["files"]:
            for row in pq.read_table(path, columns=["order_key", "url", "caption"]).to_pylist():
                found.update(json.dumps(row).encode())
    return found.hexdigest(), json.dumps(told["content"])


def checked_with(pythons: list[str], folder: Path, rows: int, root: Path) -> bool:
    """Whether other versions of the libraries draw the same rows; also says whether the bytes are the same."""
    versions = "import importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in ('polars','duckdb','pyarrow')))"
    rows_here, bytes_here = drawn(folder, rows, root, 2)
    same = True
    for python in pythons:
        named = subprocess.run([python, "-c", versions], check=True, capture_output=True, text=True).stdout.strip()
        rows_there, bytes_there = drawn(folder, rows, root, 2, python)
        same &= rows_there == rows_here
        told = f"{'the same' if rows_there == rows_here else 'OTHER'} rows"
        print(f"{named}: {told}, {'the same' if bytes_there == bytes_here else 'other'} bytes", flush=True)
    return same


def checked(folder: Path, rows: int, root: Path) -> bool:
    """Whether other files, another order and one thread give the same bytes."""
    with tempfile.TemporaryDirectory(dir=root) as other:
        as_they_lie = drawn(folder, rows, root, 2)
        again = drawn(shuffled(folder, Path(other) / "files"), rows, root, 2)
    one_thread = drawn(folder, rows, root, 1)
    same = as_they_lie == again == one_thread
    print(f"{rows:,} rows: {'the same bytes' if same else 'OTHER BYTES'} shuffled, and with one thread", flush=True)
    return same


def main() -> int:
    """Measure, print, and say whether the aims are met."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "extract-speed")
    given = parser.parse_args()
    root: Path = given.folder
    folder = make(root / f"rows-{given.rows}", given.rows)
    medians = compared(folder, given.rows, ["limit", "curator", "duckdb"], given.rounds, root)
    ratios = {name: medians[name][0] / medians["curator"][0] for name in ("limit", "duckdb")}
    if given.slow:
        slow = compared(folder, given.rows, ["curator", "pandas"], 1, root)
        small = compared(make(root / f"rows-{SMALL}", SMALL), SMALL, ["curator", "datasets"], 1, root)
        ratios["pandas"] = slow["pandas"][0] / slow["curator"][0]
        ratios["datasets"] = small["datasets"][0] / small["curator"][0]
    missed = [f"{name}: {ratio:.2f} (aim {AIMS[name]:.2f})" for name, ratio in ratios.items() if ratio < AIMS[name]]
    print("; ".join(missed) or "all aims are met")
    same = checked(folder, given.rows, root) if given.check else True
    same &= checked_with(given.python, folder, given.rows, root) if given.python else True
    return int(bool(missed) or not same)


if __name__ == "__main__":
    sys.exit(main())
