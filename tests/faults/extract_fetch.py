"""Fetches a draw's pictures from a loopback server with every fault, kills it with -9, and compares with a quiet run.

    python -m tests.faults.extract_fetch [--pictures 5000] [--kills 3] [--folder FOLDER]

Metadata name pictures of which about four in ten have a fault: 404, 403, a server that says nothing, a body that drips,
a loop of redirects, a damaged picture, HTML, other bytes than the metadata's sha256, an opt-out, a body of ten
gigabytes, one that ends early, and a file that claims ten billion pixels. ``curator extract --fetch`` must find so many
that arrive. It is run undisturbed in one home; in a second it is killed, with the processes that download, at instants
spread over the requests of the first, then left to finish. Checked: the account of the quiet run against the script;
draws, raw files, accounts and samples of the other run against its bytes; nothing is left of the kills. Exit status 1
when something differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.curator.data_home import file_bytes, picture
from tests.curator.extract_reference import SCHEMA, drawn, rows
from tests.curator.picture_server import PictureServer

FAULTS = {
    7: ("status/404", "http 404"),
    11: ("html", "not an image"),
    13: ("corrupt", "damaged image"),
    17: ("opt-out", "opt-out"),
    19: ("loop", "redirect loop"),
    23: ("bomb", "too many pixels"),
    29: ("status/403", "http 403"),
    37: ("short", "connection"),
    41: ("picture", "changed"),
    401: ("silent", "timeout"),
    409: ("drip", "too slow"),
    1009: ("huge", "too large"),
}
"""Every so many-th address -> the first part of its path, and what must become of it; of several the first."""
COMPARED = ("draws", "raw", "fetched", "samples")
SECONDS = 20.0
"""Of one picture; a busy machine must not make a good one late."""
ROOT = Path(__file__).parents[2]


def fault_of(number: int) -> tuple[str, str]:
    """Kind of path, and what becomes of it."""
    return next((fault for step, fault in FAULTS.items() if number % step == step - 1), ("picture", "arrived"))


def write_metadata(folder: Path, server: PictureServer, count: int) -> dict[tuple[str, str], str]:
    """Write the metadata; (address, caption) -> what must become of it, in the order of the draw."""
    made = rows(count, twins=0)
    truth, digests = {}, []
    for i, row in enumerate(made):
        kind, status = fault_of(i)
        row |= {"URL": f"{server.url}/{kind}/{i}", "TEXT": f"caption {i}"}
        truth[row["URL"], row["TEXT"]] = status
        told = picture(i + 1 if status == "changed" else i, server.size)
        digests.append(hashlib.sha256(told).hexdigest() if kind == "picture" and i % 2 else None)
        if status == "changed":
            digests[-1] = hashlib.sha256(told).hexdigest()
    folder.mkdir()
    table = pa.Table.from_pylist(made, schema=SCHEMA).append_column("sha256", pa.array(digests, pa.string()))
    for number in range(4):
        pq.write_table(table.slice(number * count // 4, count // 4), folder / f"{number}.parquet")
    return {pair: truth[pair] for pair in drawn(made, 0, count)}


def start(home: Path, files: Path, pictures: int) -> subprocess.Popen[bytes]:
    """The command under test, in a session of its own."""
    how = ["--fetch", "--allow-private", "--retries", "0", "--fetch-timeout", str(SECONDS), "--reserve", "0.92"]
    sizes = f"{pictures // 10},{pictures}"
    command = [sys.executable, "-m", "curator", "extract", "web", "--source", str(files), "--sizes", sizes, *how]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CURATOR_HOME": str(home)}
    with home.with_suffix(".json").open("wb") as told:
        return subprocess.Popen([*command, "--json"], env=environment, stdout=told, stderr=subprocess.DEVNULL)


def killed_at(home: Path, files: Path, pictures: int, server: PictureServer, hits: int) -> bool:
    """Run until the server was asked so often more, and kill; False when it ended before."""
    process, begun = start(home, files, pictures), server.hits.total()
    while server.hits.total() - begun < hits:
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)  # its downloaders see the end of their input and end too
    process.wait()
    return True


def expected(truth: dict[tuple[str, str], str], pictures: int) -> Counter[str]:
    """What becomes of the addresses up to the last picture that is wanted."""
    became: Counter[str] = Counter()
    for status in truth.values():
        became[status] += 1
        if became["arrived"] == pictures:
            break
    return became


def check(root: Path, server: PictureServer, pictures: int, kills: int) -> list[str]:
    """Do all of it; what differs, in words."""
    truth = write_metadata(root / "files", server, int(pictures * 1.92) // 4 * 4)
    quiet, killed = root / "quiet", root / "killed"
    begun = time.monotonic()
    wrong = [] if start(quiet, root / "files", pictures).wait() == 0 else ["the quiet run failed"]
    asked = server.hits.total()
    print(f"undisturbed: {asked:,} requests in {time.monotonic() - begun:.0f} s", flush=True)
    hits = [killed_at(killed, root / "files", pictures, server, asked // (kills + 1)) for _ in range(kills)]
    wrong += ["a run ended before it was killed"] if not all(hits) else []
    wrong += ["the last run failed"] if start(killed, root / "files", pictures).wait() else []
    print(
        f"killed {sum(hits)} times, every {asked // (kills + 1):,} requests: {server.hits.total() - asked:,} requests"
    )
    account = json.loads(quiet.with_suffix(".json").read_bytes())["fetched"]["account"]
    wrong += told_wrongly(account, expected(truth, pictures))
    wrong += [f"{stage} differ" for stage in COMPARED if file_bytes(quiet / stage) != file_bytes(killed / stage)]
    wrong += ["something is left aside"] if [p.name for p in (killed / "aside").iterdir()] != [".lock"] else []
    wrong += ["something is left of downloads"] if list((killed / "downloads").iterdir()) else []
    return wrong


def told_wrongly(account: dict[str, Any], became: Counter[str]) -> list[str]:
    """Compare an account with what must have become of the addresses, and print it."""
    arrived = became.pop("arrived")
    print(f"{account['planned']:,} addresses walked, {account['arrived']:,} arrived; others: {account['failed']}")
    same = account["failed"] == became and account["arrived"] == arrived
    return [] if same and account["planned"] == arrived + became.total() else [f"the account; expected {dict(became)}"]


def main() -> int:
    """Check and say so."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as root, PictureServer() as server:
        wrong = check(Path(root), server, given.pictures, given.kills)
    print("\n".join(wrong) or "the same bytes, and an exact account")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
