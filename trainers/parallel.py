"""Many processes that train one model: who they are, what each one holds, and what they add up.

A step's rows are dealt out to data groups; within a group each layer's work is shared (tensor parallel). All
losses are sums over learned tokens, divided by the tokens of the whole step: N processes learn what one learns.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Placement, Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    RowwiseParallel,
    parallelize_module,
)
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint as recomputed

from registry.errors import Refusal
from registry.trial import Runtime
from trainers.forward import CPU, Network
from trainers.loader import Step

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Team:
    """The processes of one training, and which of them this is."""

    device: torch.device = CPU
    rank: int = 0
    size: int = 1
    mesh: DeviceMesh | None = None
    """["data", "tensor"]"""

    @property
    def leads(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    @property
    def data_size(self) -> int:
        """Groups that each take a share of the rows."""
        return self.mesh["data"].size() if self.mesh is not None else 1

    @property
    def data_rank(self) -> int:
        """The group of this process."""
        return int(self.mesh["data"].get_local_rank()) if self.mesh is not None else 0

    def agree(self, thing: Thing | None) -> Thing:
        """What the leader has, for all."""
        if self.size == 1:
            assert thing is not None
            return thing
        found = [thing]
        dist.broadcast_object_list(found, src=0)
        return found[0]  # type: ignore[return-value]  # None was only this process's own

    def summed(self, loss: Tensor, flag: float) -> tuple[float, float]:
        """The loss of all data groups together (each process of a group has all of the group's), and any flag."""
        found = torch.stack((loss * (self.data_size / self.size), torch.tensor(flag, device=loss.device)))
        if self.size > 1:
            dist.all_reduce(found)
        total, flags = found.tolist()
        return total, flags

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()


ALONE = Team()


def device_of(runtime: Runtime, local_rank: int = 0) -> torch.device:
    """Where this process computes; Refusal when that is not there."""
    there = torch.cuda.is_available()
    if runtime.device == "cpu" or (runtime.device == "auto" and not there):
        return CPU
    if not there:
        raise Refusal("device 'cuda'", "torch sees no GPU here", "say --device cpu, or install a torch build for CUDA")
    if local_rank >= torch.cuda.device_count():
        what = f"torch sees {torch.cuda.device_count()} GPUs, process {local_rank + 1} finds none"
        raise Refusal("device 'cuda'", what, "say fewer --processes")
    return torch.device("cuda", local_rank)


@contextlib.contextmanager
def team(runtime: Runtime) -> Iterator[Team]:
    """This process among those that torch's launcher started, or alone."""
    size = runtime.processes * runtime.nodes
    device = device_of(runtime, int(os.environ.get("LOCAL_RANK", "0")) if size > 1 else 0)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size == 1:
        yield Team(device)
        return
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != size:
        what = f"was started as {started} processes, the request is for {size}"
        raise Refusal("training", what, "give torchrun the --nnodes and --nproc-per-node of the request")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        shape = (size // runtime.tensor_size, runtime.tensor_size)
        mesh = init_device_mesh(device.type, shape, mesh_dim_names=("data", "tensor"))
        yield Team(device, dist.get_rank(), size, mesh)
    finally:
        dist.destroy_process_group()


class Objective(nn.Module):
    """The loss of a network as a module, so that what hangs on modules sees all of it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.model = network.checkpoint.model
        self._share_of_loss = network.share_of_loss

    def forward(self, step: Step, mass: float, pictured: bool) -> Tensor:
        """See ``Network.share_of_loss``."""
        return self._share_of_loss(step, mass, pictured)


def spread(network: Network, runtime: Runtime, team: Team) -> nn.Module:
    """Put the model where it is trained: on its device, in parts, compiled, as ``runtime`` says."""
    model: Any = network.checkpoint.model
    layers = _layers(model)
    if runtime.compile:
        for layer in model.model.language_model.layers:
            layer.forward = torch.compile(layer.forward)
    if runtime.recompute:
        for layer in layers:
            layer.forward = partial(recomputed, layer.forward, use_reentrant=False)
    objective = Objective(network)
    if team.mesh is not None and runtime.tensor_size > 1:
        _share_layers(model.model.language_model, team.mesh["tensor"])
    if team.mesh is not None and runtime.parallel.startswith("fsdp"):
        _shard(objective, layers, network.way.precision, team.mesh["data"])
    model.to(team.device)  # what is in parts is there already: no device ever holds the whole
    if team.mesh is not None and runtime.parallel == "ddp":
        pictures = any(parameter.requires_grad for parameter in model.model.vision_tower.parameters())
        pictures |= any(parameter.requires_grad for parameter in model.model.multi_modal_projector.parameters())
        group = team.mesh["data"].get_group()
        # A step without any picture leaves tower and adapter without gradients.
        return DistributedDataParallel(objective, process_group=group, find_unused_parameters=pictures)
    return objective


def _layers(model: Any) -> list[nn.Module]:
    """The layers of the decoder, and of a tower that learns; a frozen tower is whole in every process.

    So it needs nobody, and may remember what it made of a picture while others compute theirs.
    """
    found = list(model.model.language_model.layers)
    tower = model.model.vision_tower
    if any(parameter.requires_grad for parameter in tower.parameters()):
        found += [layer for part in tower.modules() if isinstance(part, nn.ModuleList) for layer in part]
    return found


def _share_layers(decoder: Any, mesh: DeviceMesh) -> None:
    """Each process computes some heads of the attention and some columns of the MLP."""
    config = decoder.config
    shared = (config.num_attention_heads, config.num_key_value_heads, config.intermediate_size)
    if any(number % mesh.size() for number in shared):
        what = f"has {shared[0]} heads, {shared[1]} key heads and MLP width {shared[2]}"
        way = f"choose a number of processes that divides all three, not {mesh.size()}"
        raise Refusal("tensor parallel", what, way)
    whole = (Replicate(),)
    into_attention: dict[str, Placement] = {"hidden_states": Replicate()}
    plan = {
        "self_attn": PrepareModuleInput(input_kwarg_layouts=into_attention, desired_input_kwarg_layouts=into_attention),
        "mlp": PrepareModuleInput(input_layouts=whole, desired_input_layouts=whole),
        **{f"self_attn.{name}_proj": ColwiseParallel() for name in "qkv"},
        "self_attn.o_proj": RowwiseParallel(),
        "mlp.gate_proj": ColwiseParallel(),
        "mlp.up_proj": ColwiseParallel(),
        "mlp.down_proj": RowwiseParallel(),
    }
    for layer in decoder.layers:
        parallelize_module(layer, mesh, plan)


def _shard(objective: Objective, layers: list[nn.Module], precision: str, mesh: DeviceMesh) -> None:
    """FSDP2: weights, gradients and optimiser states in parts; 32-bit parts, gathered and computed in bf16 if asked."""
    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    model: Any = objective.model
    for layer in layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    tower = set(model.model.vision_tower.parameters())
    whole = tower if not any(parameter.requires_grad for parameter in tower) else set()
    fully_shard(objective, mesh=mesh, mp_policy=policy, ignored_params=whole)


@contextlib.contextmanager
def held_back(objective: nn.Module, last: bool) -> Iterator[None]:
    """Let gradients of all but a step's last part wait, where every process holds all of them."""
    if isinstance(objective, DistributedDataParallel) and not last:
        with objective.no_sync():
            yield
    else:
        yield


def clip(parameters: Sequence[nn.Parameter], limit: float) -> None:
    """Scale all gradients together to a norm of at most ``limit``, wherever their parts lie."""
    learned = [parameter for parameter in parameters if parameter.grad is not None]
    groups = list(by_mesh(learned).values())
    norms = [torch.nn.utils.get_total_norm([p.grad for p in group if p.grad is not None]) for group in groups]
    whole = [norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms]
    total = whole[0] if len(whole) == 1 else torch.linalg.vector_norm(torch.stack(whole))
    for group in groups:
        torch.nn.utils.clip_grads_with_norm_(group, limit, total)


def by_mesh(parameters: Sequence[nn.Parameter]) -> dict[DeviceMesh | None, list[nn.Parameter]]:
    """Parameters that lie in parts over the same processes; None = whole ones. One kernel takes one kind."""
    found: dict[DeviceMesh | None, list[nn.Parameter]] = {}
    for parameter in parameters:
        mesh = parameter.device_mesh if isinstance(parameter, DTensor) else None
        found.setdefault(mesh, []).append(parameter)
    return found


def whole_state(model: nn.Module, team: Team) -> dict[str, Tensor]:
    """The whole weights in the leader's main memory; the others take part and get nothing."""
    found = {}
    for name, value in model.state_dict().items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if team.leads:
            found[name] = whole.cpu()
    return found
