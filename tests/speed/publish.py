"""How fast a mix is written as parquet, and how much of its next version a store of chunks has already.

``python -m tests.speed.publish [--pictures N]``. A mix of pictures (110 KB each, they do not compress) and of long
conversations is exported, then with a dataset more in its middle, then with one row in 200 gone. Files are cut into
chunks where a rolling hash of 48 bytes says so (64 KB on average, as a store that keeps equal chunks once does it);
printed is the share of bytes in chunks that the first version has, with pages cut by content and without.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from curator import export
from curator.mix import build_mix
from registry.mix import MixReader
from registry.recipe import Recipe, RecipePart
from registry.store import Home
from tests.curator.publish_home import add_pictures, add_sums

BLOCK = 4 << 20
WINDOW = 48
TABLE = np.random.default_rng(0).integers(0, 1 << 63, 256, np.uint64)


def chunks(path: Path) -> dict[bytes, int]:
    """Digest -> length of the chunks of a file."""
    data = np.fromfile(path, np.uint8)
    cuts = [0]
    for start in range(0, len(data), BLOCK):
        low = max(0, start - WINDOW)
        values = TABLE[data[low : start + BLOCK]]
        rolling = np.zeros_like(values)
        for age in range(WINDOW):
            rolling[age:] += values[: len(values) - age] << np.uint64(age)
        here = (rolling[start - low :] >> np.uint64(32)) & np.uint64(0xFFFF)
        cuts += (np.flatnonzero(here == 0) + start + 1).tolist()
    pairs = itertools.pairwise([*cuts, len(data)])
    return {hashlib.sha256(data[a:b].tobytes()).digest(): b - a for a, b in pairs if b > a}


def exported(home: Home, mix: Path, work: Path) -> tuple[dict[bytes, int], int, float]:
    """Chunks, bytes and seconds of writing one mix in shards of 64 MiB."""
    exporter = export.Exporter(home, MixReader(home, mix), 64 << 20)
    known: dict[bytes, int] = {}
    size, seconds = 0, 0.0
    for part in exporter.slices():
        start = time.perf_counter()
        size += exporter.write(work / "shard.parquet", part).size
        seconds += time.perf_counter() - start
        known |= chunks(work / "shard.parquet")
    exporter.close()
    return known, size, seconds


@contextmanager
def without_cutting() -> Iterator[None]:
    """Pages of fixed size."""
    settings: Callable[..., dict[str, Any]] = export._writer_settings
    with patch.object(export, "_writer_settings", lambda **_asked: settings(by_content=False)):
        yield


@contextmanager
def as_it_is() -> Iterator[None]:
    """Nothing changed."""
    yield


def make_home(root: Path, pictures: int) -> Home:
    """Three datasets of pictures and three of text: the second of each is what joins."""
    home = Home(root / "home")
    for index, share in enumerate((0.6, 0.2, 0.4)):
        add_pictures(home, root / "source", f"pictures-{index}", int(pictures * share), side=192)
        add_sums(home, root / "source", int(20 * pictures * share), f"text{'-' * index}{index}", padding=200)
    return home


def versions(home: Home, kind: str) -> dict[str, Path]:
    """The first version of a mix, and two that might come next."""
    names = [one.name.split("@")[0] for one in home.finished("samples") if one.name.startswith(kind)]
    names.sort(key=lambda name: name[-1])
    first = [RecipePart(dataset=names[0]), RecipePart(dataset=names[2])]
    fewer = [RecipePart(dataset=part.dataset, proportion=0.995) for part in first]
    recipes = {"first": first, "a dataset more": [*first, RecipePart(dataset=names[1])], "0.5 % gone": fewer}
    return {name: build_mix(home, Recipe(name=name, seed=1, parts=parts))[0] for name, parts in recipes.items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000, help="pictures of the first version (default: 1000)")
    with tempfile.TemporaryDirectory() as folder:
        home = make_home(Path(folder), parser.parse_args().pictures)
        for kind, way in itertools.product(("pictures", "text"), (as_it_is, without_cutting)):
            known: dict[bytes, int] = {}
            for name, mix in versions(home, kind).items():
                with way():
                    new, size, seconds = exported(home, mix, Path(folder))
                known = known or new
                shared = sum(length for digest, length in new.items() if digest in known) / sum(new.values())
                print(f"{kind}, {way.__name__}, {name}: {shared:.1%} known; {size / 1e6:.1f} MB in {seconds:.1f} s")


if __name__ == "__main__":
    main()
