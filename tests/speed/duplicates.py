"""Deduplication against other deduplicators: CPU seconds side by side, recall, precision, and memory over rows.

    python -m tests.speed.duplicates --peers PYTHON --data-juicer PYTHON [--rows 200000] [--rounds 3]
        [--only exact near recall whole pictures planted memory]

Peers live in environments of their own, because they pin libraries that do not go together:

    pip install polars pyarrow datasketch rensa "datatrove<=0.10.1" "xxhash<4" tokenizers spacy orjson imagehash
    pip install py-data-juicer==1.6.1 aiohttp scipy                                                  # in another one

All texts lie in memory when the clock starts, imports and compilation are done before, everything on one thread; peers
and ours take turns, medians. Slow peers get the first rows only and are compared by rows per CPU second. What is
compared: "exact" is digest and grouping of texts, of identical ones against polars hashing them as they are, of their
normal form against polars on texts that are normalised first: the same question each time. "near" is words,
signatures, bands, candidates and their true similarity, on the banding of data-juicer (25 x 10), where every candidate
is accepted as the others do; "pictures" is from file bytes to 64 bits; "planted" is a table of recall and precision.
Exit status 1 when an aim is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
from curator.duplicates.looks import look_at, look_inside
from curator.duplicates.near_text import Banded, Rule, Texts, near_rows
from curator.duplicates.same_text import identical_digests, normal_digests
from curator.duplicates.scope import Scope
from curator.duplicates.shingles import bands_of, shingles_of
from curator.duplicates.spill import distinct
from curator.duplicates.words import STEP, Worded, words_of
from curator.measure import BATCH_ROWS
from registry.recipe import Banding, Dedup
from registry.store import Home
from tests.speed.duplicate_corpus import Corpus, changed, corpus, photograph, write_photographs, write_samples
from tests.speed.planted_copies import dressed, planted_pictures

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
class Bench:
    """Other deduplicators, and what all of them get."""

    root: Path
    python: dict[str, str]
    """Method -> its interpreter."""
    rows: int
    rounds: int
    _corpora: dict[int, Corpus] = field(default_factory=dict)

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

    def corpus(self, rows: int) -> Corpus:
        """A corpus of so many rows, made once."""
        if rows not in self._corpora:
            self._corpora[rows] = corpus(rows)
        return self._corpora[rows]

    def reads(self, method: str) -> tuple[Path, int]:
        """The file that a method reads, with its shingles beside it, and its rows."""
        rows = min(self.rows, SLOW.get(method, self.rows))
        path = self.root / f"corpus-{rows}" / "corpus.parquet"
        if not path.is_file():
            path.parent.mkdir()
            texts = self.corpus(rows).texts
            found = [(begin + owners, some) for begin, w in worded(texts) for owners, some in [shingles_of(w, 5)]]
            owners, shingles = (np.concatenate(column) for column in zip(*found, strict=True))
            np.save(path.with_name("shingles.npy"), shingles.astype(np.uint64))
            np.save(path.with_name("starts.npy"), np.append(0, np.cumsum(np.bincount(owners, minlength=rows))))
            pq.write_table(pa.table({"text": texts}), path)
        return path, rows


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and what it gives."""
    begun = time.process_time()
    found = run()
    return time.process_time() - begun, found


def parts(texts: pa.Array, size: int) -> Iterator[tuple[int, Flat]]:
    """``(first row, texts)`` of so many at once: every text is a sample of one message."""
    for begin in range(0, len(texts), size):
        some = texts.slice(begin, size)
        rows = np.arange(len(some))
        yield begin, Flat(some, rows, np.zeros(len(some), np.bool_), rows)


def worded(texts: pa.Array) -> Iterator[tuple[int, Worded]]:
    """``(first row, words)``, in the steps of the command."""
    for begin, some in parts(texts, STEP):
        yield begin, words_of(some, len(some.sample))


def exact(texts: pa.Array, digests: Callable[[Flat, int], Any], work: Path) -> Any:
    """Pairs of copies of one text, by these digests."""

    def keyed() -> Iterator[Keyed]:
        for begin, some in parts(texts, BATCH_ROWS):
            rows = len(some.sample)
            yield Keyed(np.arange(begin, begin + rows, dtype=np.uint64), digests(some, rows))

    return group(keyed(), len(texts), work).pairs


def near(texts: pa.Array, banding: Banding, threshold: float, work: Path) -> set[int]:
    """Rows that are near another one, out of texts in memory."""

    def banded() -> Iterator[Banded]:
        for begin, words in worded(texts):
            bands = bands_of(words, banding)
            yield Banded(np.arange(begin, begin + len(bands), dtype=np.uint64), bands, np.zeros(len(bands), np.uint64))

    def of(wanted: Any) -> Iterator[Texts]:
        for begin in range(0, len(wanted), STEP):
            rows = wanted[begin : begin + STEP]
            for _, words in worded(texts.take(pa.array(rows))):
                yield Texts(rows, rows, words)

    pairs = near_rows(banded(), len(texts), of, Rule(banding.words, threshold), work)
    return set(distinct(np.concatenate(both(pairs))).tolist())


Table = dict[str, dict[str, Any]]
Reads = Callable[[str], tuple[Path, int]]


def versus(
    names: list[str], ours: Callable[[int], Any], theirs: Callable[[str], tuple[Path, int]], bench: Bench
) -> Table:
    """Peer -> rows per CPU second of both, their ratio, and what both found; rounds take turns.

    ``theirs`` says what a peer reads and how many rows it gets; ours gets as many.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    found: dict[str, Any] = {}
    for _ in range(bench.rounds):
        for name in names:
            path, count = theirs(name)
            own, mine = seconds(partial(ours, count))
            spent, other = bench.run(name, path, count)
            times[name].append((count / own, count / spent))
            found[name] = (count, mine, other)
    table = {}
    for name, pairs in times.items():
        ratio = statistics.median(mine / other for mine, other in pairs)
        fast, slow = (statistics.median(column) for column in zip(*pairs, strict=True))
        table[name] = {"ratio": ratio, "aim": AIMS.get(name), "found": found[name]}
        aim = f"   aim {AIMS[name]}" if name in AIMS else ""
        print(f"  {name:14} {slow:12,.0f}/s   ours {fast:12,.0f}/s   {ratio:8.2f} times{aim}", flush=True)
    return table


def missed(table: Table) -> list[str]:
    """The peers against which an aim is missed."""
    return [f"{name} {row['ratio']:.2f}" for name, row in table.items() if row["aim"] and row["ratio"] < row["aim"]]


def measure_exact(bench: Bench) -> list[str]:
    """Exact copies against polars."""
    print("exact, texts per CPU second:")
    tables = []
    for name, digests in (("polars", identical_digests), ("polars-normal", normal_digests)):

        def ours(rows: int, digests: Callable[[Flat, int], Any] = digests) -> int:
            return len(exact(bench.corpus(rows).texts, digests, bench.root))

        tables.append(versus([name], ours, bench.reads, bench))
        _, mine, theirs = tables[-1][name]["found"]
        print(f"  copies: ours {mine:,}, {name} {len(theirs):,}")
    return [fault for table in tables for fault in missed(table)]


def measure_near(bench: Bench) -> list[str]:
    """Near copies against all others at the same banding, and how many of the planted ones each finds."""
    print("near (25 x 10, every candidate accepted), texts per CPU second:")
    names = [name for name in AIMS if name in bench.python and name not in ("polars", "imagehash")]
    table = versus(names, lambda n: near(bench.corpus(n).texts, PEERS_BANDING, 1e-9, bench.root), bench.reads, bench)
    faults = missed(table)
    for name, row in table.items():
        count, mine, theirs = row["found"]
        planted = bench.corpus(count)
        copies = planted.near()
        formula = 100 * np.mean([PEERS_BANDING.recall(planted.similarity[i]) for i in copies])
        # some say which rows go, and of a pair that may be the one that was copied
        gone = [set(mine), set(theirs)]
        shares = [100 * np.mean([i in rows or planted.base[i] in rows for i in copies]) for rows in gone]
        strangers = [len(rows - planted.concerned()) for rows in gone]
        noise = 200 * math.sqrt(shares[1] / 100 * (1 - shares[1] / 100) / len(copies))
        print(
            f"  {name:14} finds {shares[1]:.2f} % of {len(copies):,} near copies, ours {shares[0]:.2f} %, "
            f"the formula {formula:.2f} % (noise {noise:.2f}); strangers of both {strangers[::-1]}"
        )
        if shares[0] < shares[1] - RECALL_POINTS - noise:
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


def measure_pictures(bench: Bench, count: int) -> list[str]:
    """Perceptual hashes against ImageHash, and what they survive."""
    folder = bench.root / "pictures"
    files = write_photographs(folder, count)
    print(f"pictures of {sum(map(len, files)) / len(files) / 1000:.0f} kB, 640 x 480, per CPU second:")
    table = versus(["imagehash"], lambda n: look_inside(files[:n])[0][:, 0].tolist(), lambda _: (folder, count), bench)
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


def measure_planted(bench: Bench, pictures: int) -> list[str]:
    """Recall and precision of every way, among so many rows with planted copies and so many photographs."""
    planted = bench.corpus(bench.rows)
    copies = np.flatnonzero(planted.similarity == 1)
    near_enough = np.flatnonzero((planted.similarity >= Dedup().threshold) & (planted.similarity < 1))
    clothed = dressed(planted.texts, set(copies.tolist()))
    table = []
    for name, texts, digests in (
        ("identical text", planted.texts, identical_digests),
        ("exact text, other clothes", clothed, normal_digests),
    ):
        pairs = exact(texts, digests, bench.root)
        table.append((name, copies, set(np.concatenate(both(pairs)).tolist()), planted))
    found = near(planted.texts, Dedup().banding(), Dedup().threshold, bench.root)
    table.append(("near text, similarity 0.8 and more", near_enough, found, planted))
    print(f"planted among {bench.rows:,} texts and {pictures:,} photographs:")
    faults = []
    for name, wanted, rows, corpus_of in table:
        recall = np.mean([row in rows for row in wanted.tolist()])
        precision = len(rows & corpus_of.concerned()) / len(rows)
        print(f"  {name:36} n {len(wanted):7,}  recall {recall:.4f}  precision {precision:.4f}", flush=True)
        faults += [name] if recall < 0.95 or precision < 1 else []
    return faults + planted_pictures(bench.root, pictures)


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


def main() -> int:
    """Exit status 0 when all aims are met."""
    parser = argparse.ArgumentParser(description="deduplication, measured")
    parser.add_argument("--peers", required=True)
    parser.add_argument("--data-juicer")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--memory", type=int, nargs="+", default=[200_000, 1_000_000, 5_000_000])
    names = ("exact", "near", "recall", "whole", "pictures", "planted", "memory")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    asked = parser.parse_args()
    python = dict.fromkeys((*AIMS, "polars-normal"), asked.peers) | {"data-juicer": asked.data_juicer}
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bench = Bench(root, {name: one for name, one in python.items() if one}, asked.rows, asked.rounds)
        steps: dict[str, Callable[[], list[str]]] = {
            "exact": lambda: measure_exact(bench),
            "near": lambda: measure_near(bench),
            "recall": lambda: measure_recall(bench.corpus(asked.rows), root),
            "whole": lambda: measure_whole(bench.corpus(asked.rows), root),
            "pictures": lambda: measure_pictures(bench, asked.pictures),
            "planted": lambda: measure_planted(bench, asked.pictures),
            "memory": lambda: measure_memory(root, asked.memory),
        }
        faults = [fault for name in asked.only for fault in steps[name]()]
    print("aims missed: " + (", ".join(faults) or "none"))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
