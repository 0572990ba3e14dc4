"""Other deduplicators on the corpus of ``tests.speed.duplicates``, run by an interpreter that has them.

    PYTHON tests/speed/duplicate_peers.py METHOD CORPUS ROWS

Needs nothing of this project. Prints one line of JSON: CPU seconds of the work itself (no import, no reading of the
file) and the rows that it takes for duplicates of another row, or the hashes of pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

WORDS, BANDS, ROWS, THRESHOLD = 5, 25, 10, 0.7
HASHES = BANDS * ROWS

Work = Callable[[], Any]
"""The timed part."""


def shingles(text: str) -> list[str]:
    """Runs of words, as all of them see a text."""
    words = text.lower().split()
    if len(words) < WORDS:
        return [" ".join(words)]
    return [" ".join(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)]


def texts_of(corpus: Path, rows: int) -> list[str]:
    """The first texts of the corpus."""
    import pyarrow.parquet as pq

    found: list[str] = pq.read_table(corpus, columns=["text"]).column("text").slice(0, rows).to_pylist()
    return found


def _seen_before(frame: Any, texts: Any) -> Any:
    return (~frame.select(texts.hash().is_first_distinct()).to_series()).to_numpy()


def polars_hash(corpus: Path, rows: int) -> Work:
    """Hash the texts as they are, say which came before."""
    import polars as pl

    frame = pl.read_parquet(corpus, columns=["text"]).head(rows).rechunk()
    return partial(_seen_before, frame, pl.col("text"))


def polars_normal(corpus: Path, rows: int) -> Work:
    """The same after lower case and all that is no letter or digit made one blank."""
    import polars as pl

    frame = pl.read_parquet(corpus, columns=["text"]).head(rows).rechunk()
    normal = pl.col("text").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    return partial(_seen_before, frame, normal)


def rensa(corpus: Path, rows: int) -> Work:
    """One RMinHash for each text, and its index."""
    library = import_module("rensa")

    texts = texts_of(corpus, rows)

    def work() -> list[bool]:
        hashed = []
        for text in texts:
            one = library.RMinHash(num_perm=HASHES, seed=42)
            one.update(shingles(text))
            hashed.append(one)
        index = library.RMinHashLSH(threshold=THRESHOLD, num_perm=HASHES, num_bands=BANDS)
        index.insert_many(hashed)
        return list(index.query_duplicate_flags(hashed))

    return work


def rensa_matrix(corpus: Path, rows: int) -> Work:
    """The flat matrix interface; the hashes of the shingles are given, so nothing of reading text is in its time."""
    library = import_module("rensa")

    tokens, starts = (np.load(corpus.with_name(name)) for name in ("shingles.npy", "starts.npy"))
    tokens, starts = tokens[: starts[rows]], starts[: rows + 1]

    def work() -> list[bool]:
        matrix = library.RMinHash.digest_matrix_from_flat_token_hashes(tokens, starts, HASHES, 42)
        index = library.RMinHashLSH(threshold=THRESHOLD, num_perm=HASHES, num_bands=BANDS)
        return list(index.insert_matrix_and_query_duplicate_flags(matrix))

    return work


def datasketch(corpus: Path, rows: int) -> Work:
    """MinHash in numpy, and its index."""
    library = import_module("datasketch")

    texts = texts_of(corpus, rows)

    def work() -> list[bool]:
        index = library.MinHashLSH(num_perm=HASHES, params=(BANDS, ROWS))
        hashed = []
        for number, text in enumerate(texts):
            one = library.MinHash(num_perm=HASHES)
            one.update_batch([shingle.encode() for shingle in shingles(text)])
            index.insert(str(number), one)
            hashed.append(one)
        return [len(index.query(one)) > 1 for one in hashed]

    return work


def datatrove(corpus: Path, rows: int) -> Work:
    """Its four stages, in this process; what the last one writes out is what goes."""
    minhash = import_module("datatrove.pipeline.dedup.minhash")
    make, writer_of = (
        import_module("datatrove.data").Document,
        import_module("datatrove.pipeline.writers.jsonl").JsonlWriter,
    )

    texts = texts_of(corpus, rows)
    config = minhash.MinhashConfig(n_grams=WORDS, num_buckets=BANDS, hashes_per_bucket=ROWS)

    def documents() -> Any:
        return (make(text=text, id=str(number)) for number, text in enumerate(texts))

    def work() -> list[bool]:
        with tempfile.TemporaryDirectory() as folder:
            at = {name: f"{folder}/{name}" for name in ("signatures", "buckets", "removed", "gone")}
            minhash.MinhashDedupSignature(at["signatures"], config).run(documents(), 0, 1)
            for bucket in range(BANDS):
                minhash.MinhashDedupBuckets(at["signatures"], at["buckets"], config=config).run(None, bucket, BANDS)
            minhash.MinhashDedupCluster(at["buckets"], at["removed"], config=config).run(None, 0, 1)
            writer = writer_of(at["gone"], compression=None)
            for _ in minhash.MinhashDedupFilter(at["removed"], exclusion_writer=writer).run(documents(), 0, 1):
                pass
            flags = [False] * len(texts)
            for path in Path(at["gone"]).rglob("*.jsonl"):
                for line in path.read_text(encoding="utf-8").splitlines():
                    flags[int(json.loads(line)["id"])] = True
            return flags

    return work


def data_juicer(corpus: Path, rows: int) -> Work:
    """Its operator over its own dataset, with the bands that it chooses for the threshold."""
    operators = import_module("data_juicer.ops.deduplicator.document_minhash_deduplicator")
    texts = texts_of(corpus, rows)
    data = import_module("data_juicer.core.data").NestedDataset.from_list(
        [{"text": text, "number": number} for number, text in enumerate(texts)]
    )
    operator = operators.DocumentMinhashDeduplicator(
        window_size=WORDS, num_permutations=HASHES, jaccard_threshold=THRESHOLD, num_bands=BANDS, num_rows_per_band=ROWS
    )

    def work() -> list[bool]:
        kept = {row["number"] for row in operator.run(data)}
        return [number not in kept for number in range(len(texts))]

    return work


def imagehash(corpus: Path, rows: int) -> Work:
    """``phash`` of the JPEGs in a folder, sorted by name."""
    from PIL import Image

    library = import_module("imagehash")

    files = [path.read_bytes() for path in sorted(corpus.glob("*.jpg"))[:rows]]
    return lambda: [str(library.phash(Image.open(io.BytesIO(data)))) for data in files]


METHODS = {
    "polars": polars_hash,
    "polars-normal": polars_normal,
    "rensa": rensa,
    "rensa-matrix": rensa_matrix,
    "datasketch": datasketch,
    "datatrove": datatrove,
    "data-juicer": data_juicer,
    "imagehash": imagehash,
}


def seconds() -> float:
    """CPU seconds of this process and of those that it started and waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    """Run one method; only the line of JSON goes to stdout."""
    parser = argparse.ArgumentParser(description="another deduplicator, timed")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("rows", type=int)
    asked = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with contextlib.redirect_stdout(sys.stderr):
        work = METHODS[asked.method](asked.corpus, asked.rows)
        begun = seconds()
        found = work()
        spent = seconds() - begun
    texts = bool(len(found)) and isinstance(found[0], str)
    answer = list(found) if texts else np.flatnonzero(np.asarray(found, np.bool_)).tolist()
    print(json.dumps({"seconds": spent, "found": answer}))


if __name__ == "__main__":
    main()
