"""Deduplication against other deduplicators: CPU seconds side by side, recall, precision, and memory over rows.

    python -m tests.speed.duplicates --peers PYTHON --data-juicer PYTHON [--rows 200000] [--rounds 3]
        [--only exact near recall whole pictures memory]

Peers live in environments of their own, because they pin libraries that do not go together:

    pip install polars pyarrow datasketch rensa "datatrove<=0.10.1" "xxhash<4" tokenizers spacy orjson imagehash
    pip install py-data-juicer==1.6.1 aiohttp scipy                                                  # in another one

All texts lie in memory when the clock starts, imports and compilation are done before, everything on one thread; peers
and ours take turns, medians. Slow peers get the first rows only and are compared by rows per CPU second. What is
compared: "exact" is words, digest and grouping of texts against polars hashing them as they are (it finds copies that
are equal byte for byte; ours also those in other clothes) and against polars on texts that are normalised first; "near"
is words, signatures, bands, candidates and their true similarity, on the banding of data-juicer (25 x 10), where every
candidate is accepted as the others do; "pictures" is from file bytes to 64 bits. Exit status 1 when an aim is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curator.batch import Texts as Flat
from curator.duplicates.clusters import clusters
from curator.duplicates.components import both
from curator.duplicates.groups import Keyed, group
from curator.duplicates.looks import look_at
from curator.duplicates.near_text import Banded, Rule, Texts, near_rows
from curator.duplicates.scope import Scope
from curator.duplicates.shingles import bands_of, shingles_of
from curator.duplicates.spill import distinct
from curator.duplicates.words import Worded, digests_of, words_of
from registry.recipe import Banding, Dedup
from registry.store import Home
from tests.speed.duplicate_corpus import Corpus, changed, corpus, photograph, write_photographs, write_samples

BATCH = 8192
PEERS_BANDING = Banding(5, 25, 10)
AIMS = {
    "polars": 0.8,
    "rensa": 4,
    "rensa-matrix": 4,
    "datasketch": 25,
    "datatrove": 25,
    "data-juicer": 50,
    "imagehash": 2.5,
}
"""How many times a peer's speed ours must be."""
SLOW = {"rensa": 50_000, "datasketch": 20_000, "datatrove": 20_000, "data-juicer": 20_000}
"""Rows that a slow peer gets at most."""
RECALL_POINTS = 0.5
WHOLE = """
import resource, sys
from pathlib import Path
from curator.duplicates.clusters import clusters
from curator.duplicates.scope import Scope
from curator.samples import Samples
from registry.card import load_card
from registry.recipe import Dedup
from registry.store import Home, read_record
home = Home(Path(sys.argv[1]))
folder = home.finished("samples")[0]
samples = Samples(folder, read_record(folder), load_card("speed", home))
clusters(home, Scope.of([samples], Dedup(by=["near-text"])))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@dataclass
class Peers:
    """How other deduplicators are run."""

    python: dict[str, str]
    """Method -> its interpreter."""

    def run(self, method: str, path: Path, rows: int) -> tuple[float, list[Any]]:
        """``(CPU seconds, what it found)``."""
        script = str(Path(__file__).with_name("duplicate_peers.py"))
        command = [self.python[method], script, method, str(path), str(rows)]
        environment = {**os.environ, "POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if child.returncode:
            sys.exit(f"{method}: {child.stderr[-2000:]}")
        told = json.loads(child.stdout.splitlines()[-1])
        return float(told["seconds"]), list(told["found"])


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and what it gives."""
    begun = time.process_time()
    found = run()
    return time.process_time() - begun, found


def worded(texts: pa.Array) -> Iterator[tuple[int, Worded]]:
    """``(first row, words)`` of each batch: every text is a sample of one message."""
    for begin in range(0, len(texts), BATCH):
        some = texts.slice(begin, BATCH)
        rows = np.arange(len(some))
        yield begin, words_of(Flat(some, rows, np.zeros(len(some), np.bool_), rows), len(some))


def keyed(texts: pa.Array) -> Iterator[Keyed]:
    """Digests of texts."""
    for begin, words in worded(texts):
        keys = digests_of(words).reshape(-1, 2)
        yield Keyed(np.arange(begin, begin + len(keys), dtype=np.uint64), keys)


def exact(texts: pa.Array, work: Path) -> int:
    """Copies of another text."""
    return len(group(keyed(texts), len(texts), work).pairs)


def near(texts: pa.Array, banding: Banding, threshold: float, work: Path) -> set[int]:
    """Rows that are near another one, out of texts in memory."""

    def banded() -> Iterator[Banded]:
        for begin, words in worded(texts):
            bands = bands_of(words, banding)
            yield Banded(np.arange(begin, begin + len(bands), dtype=np.uint64), bands, np.zeros(len(bands), np.uint64))

    def of(wanted: Any) -> Iterator[Texts]:
        for begin in range(0, len(wanted), BATCH):
            rows = wanted[begin : begin + BATCH]
            for _, words in worded(texts.take(pa.array(rows))):
                yield Texts(rows, rows, words)

    pairs = near_rows(banded(), len(texts), of, Rule(banding.words, threshold), work)
    return set(distinct(np.concatenate(both(pairs))).tolist())


def versus(
    names: list[str], ours: Callable[[int], Any], peers: Peers, path: Path, rows: int, rounds: int
) -> dict[str, dict[str, Any]]:
    """Peer -> rows per CPU second of both, their ratio, and what the peer found; rounds take turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for name in names:
            count = min(rows, SLOW.get(name, rows))
            own, mine = seconds(partial(ours, count))
            spent, theirs = peers.run(name, path, count)
            times[name].append((count / own, count / spent))
            found[name] = (count, mine, theirs)
    table = {}
    for name, pairs in times.items():
        ratio = statistics.median(mine / theirs for mine, theirs in pairs)
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        table[name] = {"ours": mine, "theirs": theirs, "ratio": ratio, "aim": AIMS.get(name), "found": found[name]}
        aim = f"   aim {AIMS[name]}" if name in AIMS else ""
        print(f"  {name:14} {theirs:12,.0f}/s   ours {mine:12,.0f}/s   {ratio:8.2f} times{aim}", flush=True)
    return table


def missed(table: dict[str, dict[str, Any]]) -> list[str]:
    """The peers against which an aim is missed."""
    return [f"{name} {row['ratio']:.2f}" for name, row in table.items() if row["aim"] and row["ratio"] < row["aim"]]


def measure_exact(planted: Corpus, path: Path, peers: Peers, rounds: int, work: Path) -> list[str]:
    """Exact copies against polars."""
    print("exact, texts per CPU second:")
    table = versus(
        ["polars", "polars-normal"],
        lambda n: exact(planted.texts.slice(0, n), work),
        peers,
        path,
        len(planted.base),
        rounds,
    )
    found, theirs = table["polars"]["found"][1], len(table["polars"]["found"][2])
    print(f"  copies: ours {found:,}, polars {theirs:,}")
    return missed(table)


def measure_near(planted: Corpus, path: Path, peers: Peers, rounds: int, work: Path) -> list[str]:
    """Near copies against all others at the same banding, and how many of the planted ones each finds."""
    print("near (25 x 10, every candidate accepted), texts per CPU second:")
    names = [name for name in AIMS if name in peers.python and name not in ("polars", "imagehash")]
    table = versus(
        names,
        lambda n: near(planted.texts.slice(0, n), PEERS_BANDING, 1e-9, work),
        peers,
        path,
        len(planted.base),
        rounds,
    )
    faults = missed(table)
    for name, row in table.items():
        count, mine, theirs = row["found"]
        copies = {int(i) for i in planted.near() if i < count and planted.base[i] < count}
        shares = [100 * len(copies & set(found)) / len(copies) for found in (mine, theirs)]
        strangers = [len(set(found) - planted.concerned()) for found in (mine, theirs)]
        if name in {"datatrove", "data-juicer"}:  # they say which rows go: of a pair that may be the base
            gone = set(theirs)
            pairs = {int(i): int(planted.base[i]) for i in copies}
            shares[1] = 100 * sum(i in gone or base in gone for i, base in pairs.items()) / len(copies)
        print(f"  {name:14} finds {shares[1]:6.2f} % of near copies, ours {shares[0]:6.2f} %; strangers {strangers}")
        if shares[0] < shares[1] - RECALL_POINTS:
            faults.append(f"recall below {name}")
    return faults


def measure_recall(planted: Corpus, work: Path) -> list[str]:
    """Recall of the default banding by true similarity, and precision at the threshold."""
    banding, threshold = Dedup().banding(), 0.8
    spent, found = seconds(lambda: near(planted.texts, banding, threshold, work))
    print(
        f"near with the defaults ({banding.bands} x {banding.rows}, 0.8): {len(planted.base) / spent:,.0f} texts/CPU-s"
    )
    rows = planted.near()
    edges = [0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1]
    for low, high in itertools.pairwise(edges):
        some = [int(i) for i in rows if low <= planted.similarity[i] < high]
        hit = sum(i in found for i in some)
        print(
            f"  similarity {low:4} to {high:4}: {hit:6,} of {len(some):6,} found"
            + (f" ({hit / len(some):.4f})" if some else "")
        )
    above = [int(i) for i in rows if planted.similarity[i] >= threshold]
    recall = sum(i in found for i in above) / len(above)
    strangers = len(found - planted.concerned())
    expected = banding.recall(threshold)
    print(f"  recall at 0.8 and above {recall:.4f} (formula {expected:.4f} at 0.8); strangers {strangers}")
    return [] if recall >= 0.95 and not strangers else [f"recall {recall:.4f}, {strangers} strangers"]


def measure_pictures(folder: Path, peers: Peers, rounds: int, count: int) -> list[str]:
    """Perceptual hashes against ImageHash, and what they survive."""
    files = write_photographs(folder, count)
    print(f"pictures of {sum(map(len, files)) / len(files) / 1000:.0f} kB, 640 x 480, per CPU second:")
    table = versus(["imagehash"], lambda n: look_at(files[:n])[0].tolist(), peers, folder, count, rounds)
    _, ours, theirs = table["imagehash"]["found"]
    bits = [(mine ^ int(other, 16)).bit_count() for mine, other in zip(ours, theirs, strict=True)]
    print(f"  bits that differ from ImageHash: mean {np.mean(bits):.3f}, most {max(bits)}")
    apart: dict[str, list[int]] = {}
    for seed in range(min(count, 200)):
        for name, data in changed(photograph(seed)).items():
            after = int(look_at([data])[0][0])
            apart.setdefault(name, []).append((after ^ ours[seed]).bit_count())
    faults = missed(table) + ([] if np.mean(bits) <= 0.5 else ["bits differ"])
    for name, found in apart.items():
        near_six, near_ten = (np.mean(np.array(found) <= distance) for distance in (6, 10))
        print(f"  {name:24} found at distance 6: {near_six:.3f}, at 10: {near_ten:.3f}")
    between = [(a ^ b).bit_count() for i, a in enumerate(ours) for b in ours[:i]]
    false = sum(bits <= 6 for bits in between)
    print(f"  {len(between):,} pairs of other pictures: {false} within 6, least {min(between)}")
    return faults


def measure_whole(planted: Corpus, root: Path) -> list[str]:
    """The command's own work, from samples files to clusters on disk."""
    home = Home(root / "whole")
    samples = write_samples(
        home, "speed", (planted.texts.slice(i, 65_536) for i in range(0, len(planted.base), 65_536))
    )
    for name in ("exact-text", "near-text"):
        spent, _ = seconds(partial(clusters, home, Scope.of([samples], Dedup(by=[name]))))
        print(f"whole search by {name}, samples files to clusters: {len(planted.base) / spent:,.0f} samples/CPU-s")
    return []


def measure_memory(root: Path, sizes: list[int]) -> list[str]:
    """Peak memory of a process that searches so many rows (of 30 words on average)."""
    peaks = []
    for size in sizes:
        home = Home(root / f"memory-{size}")
        step = 50_000
        write_samples(home, "speed", (corpus(min(step, size - i), 30, seed=i).texts for i in range(0, size, step)))
        child = subprocess.run(
            [sys.executable, "-c", WHOLE, str(home.path)], check=True, stdout=subprocess.PIPE, text=True
        )
        peaks.append(int(child.stdout))
        print(f"peak memory of {size:,} rows: {peaks[-1]} MiB", flush=True)
    return [] if peaks[-1] <= 1.5 * peaks[0] else [f"memory grows from {peaks[0]} to {peaks[-1]} MiB"]


def prepared(root: Path, rows: int) -> tuple[Corpus, Path]:
    """The corpus, and the file that peers read, with its shingles beside it."""
    planted = corpus(rows)
    path = root / "corpus.parquet"
    pq.write_table(pa.table({"text": planted.texts}), path)
    owners, shingles = zip(
        *((begin + o, s) for begin, w in worded(planted.texts) for o, s in [shingles_of(w, 5)]), strict=True
    )
    np.save(root / "shingles.npy", np.concatenate(shingles).astype(np.uint64))
    np.save(root / "starts.npy", np.append(0, np.cumsum(np.bincount(np.concatenate(owners), minlength=rows))))
    return planted, path


def main() -> int:
    """Exit status 0 when all aims are met."""
    parser = argparse.ArgumentParser(description="deduplication, measured")
    parser.add_argument("--peers", required=True)
    parser.add_argument("--data-juicer")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--memory", type=int, nargs="+", default=[200_000, 1_000_000, 5_000_000])
    parts = ("exact", "near", "recall", "whole", "pictures", "memory")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    asked = parser.parse_args()
    peers = Peers(dict.fromkeys((*AIMS, "polars-normal"), asked.peers))
    if asked.data_juicer:
        peers.python["data-juicer"] = asked.data_juicer
    else:
        del peers.python["data-juicer"]
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        planted, path = prepared(root, asked.rows)
        steps: dict[str, Callable[[], list[str]]] = {
            "exact": lambda: measure_exact(planted, path, peers, asked.rounds, root),
            "near": lambda: measure_near(planted, path, peers, asked.rounds, root),
            "recall": lambda: measure_recall(planted, root),
            "whole": lambda: measure_whole(planted, root),
            "pictures": lambda: measure_pictures(root / "pictures", peers, asked.rounds, asked.pictures),
            "memory": lambda: measure_memory(root, asked.memory),
        }
        faults = [fault for name in asked.only for fault in steps[name]()]
    print("aims missed: " + (", ".join(faults) or "none"))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
