"""What `mlcroissant` makes of our `croissant.json`: ``python -m tests.consumers.croissant --python VENV/bin/python``.

A mix is published to a loopback Hub, whole and as its recipe; the repository is copied to a folder, and mlcroissant
(in an environment of its own: ``pip install mlcroissant pyarrow pillow``) validates the description and reads every
record by it, pictures included. Exit 1 when it has an error or a warning, or reads other rows than the mix has.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from curator.destination import Destination
from curator.publication import publish
from curator.publish import MixWish, plan_mix
from registry.mix import MixReader
from tests.curator.publish_home import make_home
from tests.hub.server import WRITE_TOKEN, Hub

READER = """
import importlib.metadata, json, sys
import mlcroissant

dataset = mlcroissant.Dataset(sys.argv[1], mapping={"repository": sys.argv[2]})
issues = dataset.metadata.ctx.issues
records = list(dataset.records("rows"))
rows = sorted((int(row["rows/position"]), row["rows/id"].decode()) for row in records)
pictures = [picture for row in records for picture in row["rows/images"] or []]
sizes = [getattr(picture, "size", None) for picture in pictures]
told = {"errors": sorted(issues.errors), "warnings": sorted(issues.warnings)}
told["version"] = importlib.metadata.version("mlcroissant")
told |= {"rows": rows, "pictures": len(pictures), "decoded": sum(size is not None for size in sizes)}
print(json.dumps(told))
"""


def copied(hub: Hub, repo: str, into: Path) -> Path:
    """A repository's files in a folder, as a clone has them."""
    for path in hub.tree(repo):
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (into / path).write_bytes(hub.read(repo, path))
    return into


def check(python: str, folder: Path, mix: MixReader, *, whole: bool) -> bool:
    """Print what the reader says of one repository; whether all of it is right."""
    command = [python, "-c", READER, str(folder / "croissant.json"), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    name = "whole" if whole else "recipe only"
    if ran.returncode:
        print(f"{name}: refused\n{ran.stderr[-2000:]}")
        return False
    told = json.loads(ran.stdout.splitlines()[-1])
    expected = [[position, identity] for position, identity in enumerate(mix.rows().column("id").to_pylist())]
    shown = sum(map(len, mix.rows().column("images").to_pylist()))
    same = told["rows"] == expected and told["pictures"] == shown and told["decoded"] == (shown if whole else 0)
    print(
        f"{name}: mlcroissant {told['version']}, {len(told['errors'])} errors, {len(told['warnings'])} warnings, "
        f"{len(told['rows'])} rows, {told['decoded']} pictures decoded, rows {'equal' if same else 'DIFFER'}"
    )
    for text in (*told["errors"], *told["warnings"]):
        print(f"  {text}")
    return same and not told["errors"] and not told["warnings"]


def main() -> int:
    """Publish, copy, check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="interpreter of an environment that has mlcroissant")
    python = parser.parse_args().python
    os.environ.update(HF_TOKEN=WRITE_TOKEN, HF_HUB_DISABLE_XET="1")
    right = []
    with tempfile.TemporaryDirectory() as root, Hub(Path(root) / "hub") as hub:
        home, folder = make_home(Path(root))
        for whole in (True, False):
            repo = f"acme/{'whole' if whole else 'recipe'}"
            to = Destination(repo, hub.url)
            wish = MixWish(repo, date="2026-11-23", shard_bytes=100_000, recipe_only=not whole)
            publish(home, plan_mix(home, folder, wish, to), to)
            into = copied(hub, repo, Path(root) / repo.replace("/", "-"))
            right.append(check(python, into, MixReader(home, folder), whole=whole))
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
