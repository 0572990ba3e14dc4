"""How many samples a CPU second the data path handles: normalise, picture store, filters, mixes.

``python -m tests.speed.data_path [--texts N] [--pictures N]``. Everything runs in this process, on one thread,
on data made here; import time is outside the clock. Exit status 1 when a figure is below its aim.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from curator.measure import filter_names, load_filter, measure
from curator.mix import build_mix
from curator.normalise import normalise
from curator.pull import offer_from_folder, pull
from curator.samples import Samples, find_samples
from registry.recipe import Recipe
from registry.store import Home
from tests.curator.data_home import captions, chats, write_card, write_json, write_parquet

AIMS = {"normalise texts": 8_000, "normalise pictures": 3_000}
"""Samples a CPU second."""
MIX_SECONDS = 0.5
"""For a mix of 10,000 rows."""


class Table:
    """Prints a line a measurement and keeps whether every aim was met."""

    def __init__(self) -> None:
        self.met = True

    def time(self, label: str, units: int, run: Callable[[], Any], limit_s: float | None = None) -> None:
        """Run once; ``limit_s`` or the aim of that label decides."""
        start = time.process_time()
        run()
        seconds = max(time.process_time() - start, 1e-9)
        rate = units / seconds
        met = rate >= AIMS.get(label, 0) and (limit_s is None or seconds <= limit_s)
        self.met &= met
        print(f"{label:<28}{rate:>12,.0f} /CPU-s {seconds:>8.2f} s  {'' if met else 'below its aim'}")


def normalised(home: Home, folder: Path, name: str, form: str, table: Table, n: int) -> Samples:
    """Normalise one dataset under the clock."""
    card = write_card(home, name, format=form)
    raw = pull(home, offer_from_folder(card, folder / name))
    table.time(f"normalise {name}", n, lambda: normalise(home, card, raw.folder))
    return find_samples(home, name)


def mix(name: str, *parts: dict[str, Any]) -> Recipe:
    """A recipe of these parts."""
    return Recipe.model_validate({"name": name, "parts": list(parts)})


def main() -> int:
    """Measure and print; 1 when an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=40_000)
    parser.add_argument("--pictures", type=int, default=6_000)
    given = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory() as where:
        folder, home = Path(where), Home(Path(where) / "home")
        write_json(folder / "texts" / "train.json", chats(given.texts))
        write_parquet(folder / "pictures" / "train.parquet", captions(given.pictures))
        texts = normalised(home, folder, "texts", "llava_chat", table, given.texts)
        pictures = normalised(home, folder, "pictures", "caption_pairs", table, given.pictures)
        for name in filter_names():
            samples = pictures if load_filter(name).NEEDS_PICTURES else texts
            table.time(f"filter {name}", samples.record.rows_out, partial(measure, home, samples, name))
        build_mix(home, mix("warm", {"dataset": "texts", "choose": 10}))
        half = given.texts // 2
        ten = [{"dataset": "texts", "choose": min(8000, half)}, {"dataset": "pictures", "choose": 2000}]
        table.time("mix of 10,000", 10_000, lambda: build_mix(home, mix("ten", *ten)), MIX_SECONDS)
        every = mix("all", {"dataset": "texts"}, {"dataset": "pictures"})
        table.time("mix of everything", given.texts + given.pictures, lambda: build_mix(home, every))
    return 0 if table.met else 1


if __name__ == "__main__":
    sys.exit(main())
