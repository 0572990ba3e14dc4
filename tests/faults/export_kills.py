"""A process that exports again and again, each time in a child that kills itself a little later than the one before.

    python -m tests.faults.export_kills HOME MIX FORM FOLDER

A child counts what it asks the file system for by Python's own audit events, and sends itself SIGKILL at the one it was
told. After each death the place of the export is looked at; every child goes on with what the one before it left. The
last one is not killed. Prints a JSON object: the deaths, and what was seen after one that may not be seen.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from curator.exporting.run import Plan, export, plan_export
from registry.store import Home

EVENTS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree"}


def work(plan: Plan, last_event: int) -> None:
    """Export in this process, up to this event."""
    events = 0

    def count(event: str, _arguments: object) -> None:
        nonlocal events
        if event in EVENTS:
            events += 1
            if events == last_event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    export(plan)
    os._exit(0)


def main() -> None:
    """Kill at every event that is reached, in steps that grow: the first ones one by one."""
    home, mix, form, to = sys.argv[1:]
    plan = plan_export(Home(Path(home)), Path(mix), form, Path(to), 20_000)
    deaths, wrong, last_event = 0, [], 1
    while True:
        child = os.fork()
        if child == 0:
            work(plan, last_event)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        deaths += os.WIFSIGNALED(status)
        if Path(to).exists() and not (Path(to) / "record.json").is_file():
            wrong.append(last_event)
        last_event += 1 + last_event // 20
    print(json.dumps({"deaths": deaths, "wrong": wrong}))


if __name__ == "__main__":
    main()
