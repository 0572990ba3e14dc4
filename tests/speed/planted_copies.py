"""Copies in other clothes for ``tests.speed.duplicates``: texts, and pictures that were changed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curator.duplicates.looks import look_inside
from curator.duplicates.near_looks import Seen, near_looks, same_looks
from curator.duplicates.same_picture import look_closely, same_picture
from registry.recipe import Dedup
from tests.speed.duplicate_corpus import changed, jpeg, photograph


def dressed(texts: pa.Array, rows: set[int]) -> pa.Array:
    """The texts, those of some rows in upper case with punctuation and more white space."""
    plain = texts.to_pylist()
    return pa.array([text.upper().replace(" ", ",  ") + "!" if i in rows else text for i, text in enumerate(plain)])


def planted_pictures(root: Path, count: int) -> list[str]:
    """What is found of photographs after each change, all changed copies and all photographs searched together."""
    files, names = [jpeg(photograph(seed)) for seed in range(count)], [""] * count
    for seed in range(count):
        changes = changed(photograph(seed))
        name = sorted(changes)[seed % len(changes)]
        files.append(changes[name])
        names.append(name)
    keys = 2 * np.arange(1, len(files) + 1, dtype=np.uint64)
    hashes, flat = look_inside(files)
    assert not flat.any()

    @lru_cache(512)
    def looked(key: int) -> Any:
        return look_closely(files[key // 2 - 1])

    pairs = near_looks([Seen(keys, hashes)], len(files), Dedup().distance, root)
    labels = same_looks(pairs, lambda a, b: same_picture(looked(a), looked(b))).label(keys)
    apart = [(seed, int(label)) for seed, label in enumerate(labels[:count].tolist()) if label != keys[seed]]
    joined = labels[count:] == labels[:count]
    precision = joined.sum() / max(1, int((labels[count:] != keys[count:]).sum()) + len(apart))
    for name in sorted(set(names) - {""}):
        share = [bool(joined[i]) for i in range(count) if names[count + i] == name]
        print(f"  picture, {name:27} n {len(share):7,}  recall {np.mean(share):.4f}")
    print(f"  all pictures {'':23} n {count:7,}  recall {joined.mean():.4f}  precision {precision:.4f}", flush=True)
    return [] if joined.mean() >= 0.95 and precision == 1 else ["pictures"]
