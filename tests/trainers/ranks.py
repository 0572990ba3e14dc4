"""Runs trainings in groups of processes: libraries are loaded once, and every process of a group is a fork.

    python -m tests.trainers.ranks GROUPS.json

``[{"size": 2, "requests": [TrainRequest, …], "die_at": 0}, …]``: one group after another, all of a group's requests in
the same processes. ``die_at`` ends the leader by ``kill -9`` when it has told of this step, ``die_touching`` when it
has made, opened, renamed or removed so many files of the unfinished trial.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from trainers.parallel import team
from trainers.requests import TrainRequest
from trainers.train import train
from trainers.workshop import Workshop

SECONDS = 200
TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


def main(groups: list[dict[str, Any]]) -> int:
    torch.set_num_threads(1)
    for number, group in enumerate(groups):
        group["ports"] = [_free_port() for _ in group["requests"]]
        ranks = [_fork(rank, group) for rank in range(int(group["size"]))]
        _, status = os.wait()
        if status:
            for rank in ranks:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rank, signal.SIGKILL)  # as the launcher does when one of its processes has died
        with contextlib.suppress(ChildProcessError):
            while True:
                status |= os.wait()[1]
        if bool(status) != dies(group):
            sys.stderr.write(f"group {number}: {status}\n")
            return 1
    return 0


def dies(group: dict[str, Any]) -> bool:
    return bool(group.get("die_at") or group.get("die_touching"))


def _die_touching(limit: int) -> None:
    touched = 0

    def look(event: str, given: tuple[Any, ...]) -> None:
        nonlocal touched
        if event in TOUCHES and given and "/aside/" in str(given[0]):
            touched += 1
            if touched == limit:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _fork(rank: int, group: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    signal.alarm(SECONDS)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ["WORLD_SIZE"] = str(group["size"])
    if group.get("die_touching"):
        _die_touching(int(group["die_touching"]))
    try:
        _run(group)
        status = 0
    except BaseException:  # noqa: BLE001  a fork must not go on as its parent would
        if not dies(group):
            traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)


def _run(group: dict[str, Any]) -> None:
    def tell(event: dict[str, Any]) -> None:
        if event.get("step") == group.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    requests = [TrainRequest.model_validate(request) for request in group["requests"]]
    workshop = Workshop()
    for request, port in zip(requests, group["ports"], strict=True):
        os.environ["MASTER_PORT"] = str(port)
        with team(request.runtime) as mine:
            train(workshop, request, tell, mine)


if __name__ == "__main__":
    raise SystemExit(main(json.loads(Path(sys.argv[1]).read_bytes())))
