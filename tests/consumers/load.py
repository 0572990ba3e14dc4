"""Read exports back by the programs they are for.

    python -m tests.consumers.load --python trl=/venv/bin/python --python llamafactory=/other/bin/python

Each ``read_NAME.py`` is run by the interpreter given for it, which needs that program and nothing of ours. It is given
the folder of an export and the rows that were exported, as JSON, compares, and prints a JSON object (``program``,
``version``, ``rows`` and what else there is to say). Exit status 1 when one of them finds another row than was written.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curator.exporting.run import export, plan_export
from tests.curator.export_home import Wanted, make_awkward, wanted

READERS = Path(__file__).parent
FORMS = {
    "datasets": "parquet",
    "trl": "messages",
    "llamafactory": "marked",
    "swift": "marked",
    "webdataset": "webdataset",
    "energon": "energon",
}
"""Program -> form it is tried with."""


def read_by(python: str, program: str, folder: Path, rows: Sequence[Wanted]) -> dict[str, Any]:
    """Have a program read an export; what it found. Raises CalledProcessError when a row is not as it should be."""
    plain = [
        {
            "position": row.position,
            "origin": row.origin,
            "messages": row.messages,
            "pictures": [base64.b64encode(data).decode() for data in row.pictures],
        }
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as work:
        given = Path(work) / "rows.json"
        given.write_text(json.dumps(plain), encoding="utf-8")
        reader = READERS / f"read_{program}.py"
        places = {"ROOT_IMAGE_DIR": str(folder), "MODELSCOPE_CACHE": work, "HF_HOME": work}
        done = subprocess.run(
            [python, "-P", reader, folder, given],
            cwd=work,
            env={**os.environ, **places},
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Export once a form and have every program read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], metavar="PROGRAM=PYTHON")
    parser.add_argument("--chats", type=int, default=20, help="times that each kind of conversation is there")
    asked = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        home, mix = make_awkward(Path(folder), asked.chats)
        rows = wanted(home, mix)
        for program, _, python in (given.partition("=") for given in asked.python):
            to = Path(folder) / program
            done = export(plan_export(home, mix, FORMS[program], to, 100_000))
            lost = to / "left_out.jsonl"
            gone = {json.loads(line)["position"] for line in lost.read_text().splitlines()} if lost.is_file() else set()
            there = [row for row in rows if row.position not in gone]
            assert len(there) == done.rows
            try:
                print(program, json.dumps(read_by(python, program, to, there)))
            except subprocess.CalledProcessError:
                failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
