"""The processes of one training: started on this machine by torch's own launcher, or each by torchrun.

``python -m trainers train REQUEST`` is one of them when a launcher has started it (it sets ``RANK`` and the like), and
starts them all when none has. Over several machines torchrun starts it on each, with the same request file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from registry.errors import Refusal
from trainers.requests import TrainRequest

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def is_launched() -> bool:
    """Whether a launcher has started this process as one of a group."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launch(request: TrainRequest) -> None:
    """Run all processes of a training on this machine to their end; Refusal when one of them fails.

    They speak for themselves: the leader writes its events to this process's standard output, and so does whoever
    refuses.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if request.runtime.nodes > 1:
        way = "write a request by 'curator train --request FILE' and start it by torchrun on every machine"
        raise Refusal("training", f"is for {request.runtime.nodes} machines, this is one", way)
    with tempfile.TemporaryDirectory() as aside, _own_signals():
        path = Path(aside) / "request.json"
        path.write_text(request.model_dump_json(), encoding="utf-8")
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=request.runtime.processes,
            run_id=path.parent.name,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,  # a training that is run again goes on where it was
        )
        try:
            elastic_launch(config, sys.executable)("-m", "trainers", "train", str(path))
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            what = f"process {rank + 1} of {request.runtime.processes} ended with status {failure.exitcode}"
            way = "look at its log above; one that was killed may lack memory: --recompute, fewer --micro-rows"
            raise Refusal(f"training {request.name}", what, way) from None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """The launcher sets handlers of signals and leaves them."""
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
