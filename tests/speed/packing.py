"""How full packed rows are, and how fast they are packed: ours beside the packers of TRL, ms-swift and LLaMA-Factory.

``python -m tests.speed.packing [--samples 1000000] [--trl P] [--swift P] [--llamafactory P]``, where P is a Python that
has that library. Lengths have the shape of LLaVA-1.5's mix (94 % with 576 picture tokens, log-normal text) and of an
any-resolution mix (up to five tiles of 576). Each peer packs as its trainer calls it: windows of 1,000 samples, and
ms-swift with what is left over carried on; the slow ones get the first samples only. CPU seconds, imports left out.
Exit status 1 when a row of ours is fuller than it may be, or below its aim.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from trainers.packing import Indices, fill, pack

CAPACITY = 4096
AIMS = {"llava": 0.995, "any-resolution": 0.993}
SECONDS = 1.0
"""For a million samples."""

PEERS = {
    "trl": (
        1_000_000,
        """
import numpy as np, pyarrow as pa
from datasets import Dataset
from trl.data_utils import pack_dataset
ends = np.cumsum([0, *sizes]).astype(np.int32)  # tokens of a byte: a million samples fit into memory
tokens = pa.ListArray.from_arrays(ends, pa.array(np.zeros(ends[-1], np.int8)))
rows = Dataset(pa.table({"input_ids": tokens}))
start = time.process_time()
packed = pack_dataset(rows, capacity, "bfd")
report(len(packed))
""",
    ),
    "swift": (
        1_000_000,
        """
from swift.dataset.packing import calculate_matched_group
start, left, rows = time.process_time(), [], 0
for first in range(0, len(sizes), 1000):
    left += list(enumerate(sizes[first : first + 1000], first))
    packed, left = calculate_matched_group(left, capacity, is_finished=first + 1000 >= len(sizes))
    rows += len(packed)
report(rows)
""",
    ),
    "llamafactory": (
        1_000_000,
        """
import types
from transformers import TrainingArguments  # looks for sound first
sys.modules["torchaudio"] = types.ModuleType("torchaudio")  # imported there, and not needed to pack
from llamafactory.data.processor.processor_utils import greedy_knapsack
start = time.process_time()
report(sum(len(greedy_knapsack(sizes[first : first + 1000], capacity)) for first in range(0, len(sizes), 1000)))
""",
    ),
}
"""Library -> samples it is given at most, and what it runs."""
FRAME = """
import sys, time
import numpy as np
sizes, capacity = np.load(sys.argv[1]).tolist(), int(sys.argv[2])
total = sum(sizes)
def report(rows):
    print(total / (rows * capacity), time.process_time() - start)
"""


def shapes(samples: int) -> dict[str, Indices]:
    """Lengths of both kinds of mix."""
    draw = np.random.default_rng(0)
    text = np.exp(draw.normal(5.4, 0.75, samples)).astype(np.int64) + 5
    one = np.where(draw.random(samples) < 0.94, 576, 0)
    tiles = (draw.choice(5, samples, p=(0.38, 0.17, 0.21, 0.07, 0.17)) + 1) * 576
    several = np.where(draw.random(samples) < 0.1, 0, tiles)
    return {"llava": np.minimum(one + text, 2048), "any-resolution": np.minimum(several + text, CAPACITY)}


def peer(name: str, python: str, lengths: Indices, work: Path) -> str:
    """Fill and speed of a peer, as a line of the table."""
    most, code = PEERS[name]
    np.save(work / "lengths.npy", lengths[:most])
    command = [python, "-c", FRAME + code, str(work / "lengths.npy"), str(CAPACITY)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=work, check=True)
    share, seconds = map(float, ran.stdout.splitlines()[-1].split())
    return f"{name:<14}{share:>9.2%}{min(most, len(lengths)) / seconds:>14,.0f} samples per CPU-s"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    for name in PEERS:
        parser.add_argument(f"--{name}", metavar="PYTHON")
    given = vars(parser.parse_args())
    pack([1], 2)  # the compiled loop is loaded
    met = True
    with tempfile.TemporaryDirectory() as work:
        for shape, lengths in shapes(given["samples"]).items():
            start = time.process_time()
            rows = pack(lengths, CAPACITY)
            seconds = time.process_time() - start
            share = fill(lengths, rows, CAPACITY)
            met &= AIMS[shape] <= share <= 1 and seconds <= SECONDS * len(lengths) / 1e6
            print(f"{shape}, {lengths.mean():.0f} tokens on average")
            print(f"{'ours':<14}{share:>9.2%}{len(lengths) / seconds:>14,.0f} samples per CPU-s")
            for name in PEERS:
                if given[name]:
                    print(peer(name, given[name], lengths, Path(work)), flush=True)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
