"""Figures of a run in TensorBoard, trackio or W&B, besides its own log. Nothing of a trial depends on them.

A run that is gone on with begins at the step it goes on from: what it does again has the same figures, so no step
shows up twice.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.errors import Refusal

if TYPE_CHECKING:
    from registry.trial import Tracker

Track = Callable[[int, Mapping[str, float]], None]
"""Takes a step, from 1, and its figures."""

PROJECT = "vlm-curator"
FOLDER = "tracking"
"""Folder of the data home with a folder for each run: what is in it is for people, and no part of a trial."""


@dataclass(frozen=True)
class Run:
    """What is tracked."""

    name: str
    """For people, and unique: the folder name of the trial."""
    folder: Path
    """For files of the run."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    done: int = 0
    """Steps that were done before."""


@contextlib.contextmanager
def tracked(tracker: Tracker | None, run: Run | None) -> Iterator[Track]:
    """What to call with the figures of each step; Refusal when the library is not there or refuses to begin."""
    if tracker is None or run is None:
        yield lambda _step, _figures: None
        return
    if find_spec(tracker) is None:
        way = f"pip install 'vlm-curator[{tracker}]', or leave --track out"
        raise Refusal(f"--track {tracker}", "is not installed", way)
    run.folder.mkdir(parents=True, exist_ok=True)
    begin = {"tensorboard": _tensorboard, "trackio": _trackio, "wandb": _wandb}[tracker]
    track, close = _begun(tracker, begin, run)
    try:
        yield track
    finally:
        close()


Begun = tuple[Track, Callable[[], Any]]


def _begun(tracker: str, begin: Callable[[Run], Begun], run: Run) -> Begun:
    """What a library says of a failure is not repeated: it may hold a key or an address with one."""
    try:
        return begin(run)
    except Exception as error:  # noqa: BLE001 - each library has kinds of its own
        way = f"see that '{tracker}' works alone (log in, network), or leave --track out"
        raise Refusal(f"--track {tracker}", f"cannot begin ({type(error).__name__})", way) from None


def _tensorboard(run: Run) -> Begun:
    from torch.utils.tensorboard import SummaryWriter

    # what an earlier run wrote from this step on is not shown
    writer = SummaryWriter(str(run.folder), purge_step=run.done + 1)

    def track(step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    return track, writer.close


def _trackio(run: Run) -> Begun:
    trackio: Any = importlib.import_module("trackio")  # in no environment of ours: it wants an older Pillow
    begun = trackio.init(PROJECT, run.name, config=dict(run.settings), resume="allow", embed=False, auto_log_gpu=False)
    # what the store has of the run already; trackio has no public name for it
    return _from(int(getattr(begun, "_next_step", 0)), begun.log), begun.finish


def _wandb(run: Run) -> Begun:
    wandb: Any = importlib.import_module("wandb")
    begun = wandb.init(
        project=PROJECT,
        name=run.name,
        id=run.name[-64:],
        dir=str(run.folder),
        config=dict(run.settings),
        resume="allow",
        settings=wandb.Settings(silent=True, save_code=False, disable_git=True, console="off"),
    )
    return _from(int(begun.starting_step), begun.log), begun.finish


def _from(first: int, log: Callable[..., Any]) -> Track:
    """Log from a step on: what came before is there."""

    def track(step: int, figures: Mapping[str, float]) -> None:
        if step >= first:
            log(dict(figures), step=step)

    return track
