"""Kills ``curator demo`` with -9 at random instants and checks that it ends as if nothing had happened.

    python -m tests.faults.kills [--kills 10] [--seed 0] [--samples 1024]

A reference run goes through undisturbed in one home. A second home is run and killed (the command and its trainer
processes) at instants spread over the reference's duration, then left to finish. Checked: the decision file is the same
byte for byte, so are all mixes, trials and scores; no finished trial was ever made again (its inode and time stay);
nothing is left in ``aside``; no process is left behind.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

COMPARED = ("samples", "measures", "mixes", "trials", "decisions")
EXEMPT = {"cost.json"}
"""Seconds and machine: the one file that may differ between equal runs."""


@dataclass
class Trials:
    """Finished trials that were seen, and those that were made again."""

    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    remade: list[str] = field(default_factory=list)

    def look(self, home: Path) -> None:
        """Note every finished trial; one whose record is another file than before was made again."""
        for record in sorted((home / "trials").glob("*/record.json")):
            status = record.stat()
            mark = (status.st_ino, status.st_mtime_ns)
            known = self.seen.setdefault(record.parent.name, mark)
            if known != mark:
                self.remade.append(record.parent.name)
                self.seen[record.parent.name] = mark


def command(home: Path, options: list[str]) -> list[str]:
    """The command under test."""
    return [sys.executable, "-m", "curator", "demo", "--home", str(home), *options]


def run(home: Path, options: list[str]) -> float:
    """Run to the end; seconds."""
    begun = time.monotonic()
    subprocess.run(command(home, options), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def run_and_kill(home: Path, options: list[str], after: float) -> bool:
    """Start, kill -9 the command after so many seconds; False when it had ended by itself before."""
    process = subprocess.Popen(
        command(home, options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def left_behind(group_home: Path) -> list[int]:
    """Processes that still name this home (trainers learn it by their input, so they are found by open files)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            files = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        if any(name.startswith(str(group_home)) for name in files) and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def digests(home: Path) -> dict[str, str]:
    """Path -> sha256 of everything that must be the same."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for stage in COMPARED
        for path in sorted((home / stage).rglob("*"))
        if path.is_file() and path.name not in EXEMPT
    }


def check(folder: Path, kills: int, options: list[str], seed: int) -> list[str]:
    """Do it all; what went wrong, as sentences."""
    reference, killed = folder / "reference", folder / "killed"
    seconds = run(reference, options)
    print(f"undisturbed: {seconds:.0f} s")
    chance, trials, done = random.Random(seed), Trials(), 0
    for number in range(kills):
        after = chance.uniform(1, seconds * min(0.6, 2 / kills))  # each run gets some way further
        was_killed = run_and_kill(killed, options, after)
        done += was_killed
        trials.look(killed)
        counts = f"{len(trials.seen)} trials finished, {len(trials.remade)} made again"
        print(f"kill {number + 1} after {after:.1f} s: {counts}")
    run(killed, options)
    trials.look(killed)
    time.sleep(2)
    wrong = [f"{name} was trained twice" for name in trials.remade]
    expected, found = digests(reference), digests(killed)
    wrong += [f"{path} differs" for path in sorted({*expected, *found}) if expected.get(path) != found.get(path)]
    wrong += [f"{path.name} is left in aside" for path in (killed / "aside").iterdir() if path.name != ".lock"]
    wrong += [f"process {number} is left" for number in left_behind(killed)]
    print(f"{done} of {kills} kills hit; {len(expected)} files compared, {len(trials.seen)} trials")
    return wrong


def main() -> int:
    """Exit status 0 when nothing went wrong."""
    parser = argparse.ArgumentParser(description="kill the demo at random instants")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("options", nargs="*", help="options for curator demo (after --)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = check(Path(folder), asked.kills, asked.options, asked.seed)
    print("\n".join(wrong) or "nothing went wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
