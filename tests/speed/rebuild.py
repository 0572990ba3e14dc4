"""Is the packaged base checkpoint what its recipe makes? Builds it again and compares the bytes.

    python -m tests.speed.rebuild [--seed 0]

About ten CPU minutes on one core. Equal bytes are promised for one kind of processor and the pinned versions.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from registry.checkpoint import DEMO_FOLDER, base_digest


def main() -> int:
    """Exit status 0 when the rebuilt checkpoint is the packaged one, byte for byte."""
    parser = argparse.ArgumentParser(description="rebuild the demo's base checkpoint and compare")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--against", type=Path, default=DEMO_FOLDER, help="checkpoint to compare with")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "base"
        options = ["--rebuild-base", "--seed", str(asked.seed), "--home", f"{folder}/home", "--out", str(out)]
        subprocess.run([sys.executable, "-m", "curator", "demo", *options], check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        same = base_digest(out) == base_digest(asked.against)
    print(f"{used.ru_utime + used.ru_stime:.0f} CPU seconds; {'the same bytes' if same else 'DIFFERENT bytes'}")
    return not same


if __name__ == "__main__":
    sys.exit(main())
