"""States of a training that a killed run goes on from: weights that learn, the optimiser's moments, and the log so far.

torch.distributed.checkpoint writes and reads them, every process its own part, so that they may be read back by
another number of processes. Its own format keeps what lies where in a pickle, which this project never reads; its
second one is safetensors with the places in their JSON header, and that is used here. A state is there once its index
is, which is written last; the state before it is removed after that. Frozen weights are not in it, nor the place in the
data or random numbers: those follow from the settings and the number of the step.
"""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from registry.errors import Refusal
from registry.store import dump_json, fsync, write_aside
from registry.trial import Runtime
from trainers.parallel import Team

FOLDER = "states"
INDEX = "index.json"
MOMENTS = ("exp_avg", "exp_avg_sq")
COUNTS = "counts"
"""Updates that each learning parameter has had: a step without pictures leaves tower and adapter alone."""


class States:
    """The states of one training, in a folder that outlives a killed run."""

    def __init__(self, folder: Path, team: Team) -> None:
        self._folder = folder
        self._team = team
        self._last = time.monotonic()

    def is_due(self, step: int, runtime: Runtime) -> bool:
        """Whether a state should be kept after this step."""
        if runtime.checkpoint_steps:
            return step % runtime.checkpoint_steps == 0
        return time.monotonic() - self._last >= runtime.checkpoint_minutes * 60

    def save(self, lines: Sequence[dict[str, Any]], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Keep the state after so many steps as there are lines; the one before it is removed then."""
        folder = self._folder / f"{len(lines):09}"
        if self._team.leads:
            shutil.rmtree(folder, ignore_errors=True)  # half written by a killed run
            folder.mkdir(parents=True)
        self._team.wait()
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        with _quiet():
            save(_tensors(model, optimizer), storage_writer=writer, no_dist=self._team.size == 1)
        if self._team.leads:
            files = {path.name: path.stat().st_size for path in sorted(folder.glob("*.safetensors"))}
            fsync(folder)
            write_aside(folder / INDEX, dump_json({"files": files, "log": list(lines)}))
            fsync(self._folder)
            for other in self._all():
                if other != folder:
                    _remove(other)
        self._last = time.monotonic()

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
        """Put the newest state in place; the log lines of the steps that it has behind it, none where there is none."""
        found = self._team.agree((self._newest() or "") if self._team.leads else None)
        if not found:
            return []
        folder = self._folder / found
        index = json.loads((folder / INDEX).read_bytes())
        for name, size in index["files"].items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise _damaged(path, "is not as it was written")
        _begin(optimizer)
        reader = HuggingFaceStorageReader(str(folder))
        there = reader.read_metadata().state_dict_metadata.keys()
        wanted = _tensors(model, optimizer)
        try:
            with _quiet():
                state = {name: value for name, value in wanted.items() if name in there}
                load(state, storage_reader=reader, no_dist=self._team.size == 1)
        except (CheckpointException, SafetensorError) as error:
            raise _damaged(folder, f"cannot be read ({str(error).splitlines()[0]})") from None
        _put_counts(model, optimizer, wanted[COUNTS])
        lines: list[dict[str, Any]] = index["log"]
        return lines

    def leave(self) -> None:
        """Take the states out of the folder that is made, at once however large they are: all that follows is there.

        They go where that folder is made, and with it.
        """
        if self._folder.is_dir():
            self._folder.rename(self._folder.parent.with_name(FOLDER))

    def _all(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if path.is_dir()) if self._folder.is_dir() else []

    def _newest(self) -> str | None:
        return next((path.name for path in reversed(self._all()) if (path / INDEX).is_file()), None)


def _remove(folder: Path) -> None:
    """The index first: without it the rest is nothing."""
    (folder / INDEX).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _damaged(path: Path, what: str) -> Refusal:
    return Refusal(f"state of a killed training {path}", what, "remove its folder: the training starts over")


def _learning(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Everything that changes, by name; tensors that are in parts stay so."""
    found: dict[str, Any] = {}
    counts = []
    for name, parameter in _learning(model):
        found[f"weight {name}"] = parameter.detach()
        state = optimizer.state.get(parameter, {})
        counts.append(float(state["step"]) if state else 0.0)
        for moment in MOMENTS:
            if moment in state:
                found[f"{moment} {name}"] = state[moment]
    found[COUNTS] = torch.tensor(counts)
    return found


def _begin(optimizer: torch.optim.Optimizer) -> None:
    """Make the optimiser's state, in the parts of the parameters, by a step that changes nothing."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # its rate is 0
    optimizer.zero_grad(set_to_none=True)


def _put_counts(model: nn.Module, optimizer: torch.optim.Optimizer, counts: Tensor) -> None:
    for (_, parameter), count in zip(_learning(model), counts.tolist(), strict=True):
        if count:
            optimizer.state[parameter]["step"].fill_(count)
        else:
            del optimizer.state[parameter]


class _quiet(warnings.catch_warnings):  # noqa: N801  reads as what it does
    """torch warns that one process alone saves; that is meant."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
