"""``curator train``: train the fixed model of a scale on a mix."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from curator.options import PathValue, dry_run_option, home_option, json_option, seed_option

if TYPE_CHECKING:
    from pathlib import Path

    from curator.runner import Place
    from curator.train import TrainPlan
    from registry.store import Home


HOW = (
    "device",
    "processes",
    "nodes",
    "parallel",
    "tensor",
    "micro_rows",
    "recompute",
    "compile",
    "every",
    "workers",
    "track",
)

Function = TypeVar("Function", bound=Callable[..., Any])


def _how_options(function: Function) -> Function:
    """How the training is run, as ``how: dict``: fields of ``Runtime``, and ``every`` (see ``runtime_of``)."""
    options = (
        click.option(
            "--device",
            default="auto",
            show_default=True,
            type=click.Choice(["auto", "cpu", "cuda"]),
            help="auto: a GPU where there is one, but the CPU for the demo's model.",
        ),
        click.option("--processes", default=1, show_default=True, type=click.IntRange(1), help="One for each GPU."),
        click.option("--nodes", default=1, show_default=True, type=click.IntRange(1), help="Machines (--request)."),
        click.option(
            "--parallel",
            type=click.Choice(["ddp", "fsdp", "tp", "fsdp+tp"]),
            help="What they share: rows (ddp, the default), rows and weights (fsdp), each layer's work (tp), all.",
        ),
        click.option("--tensor", type=click.IntRange(1), metavar="N", help="Processes that share a layer (fsdp+tp)."),
        click.option("--micro-rows", type=click.IntRange(1), metavar="N", help="Rows a process computes at once."),
        click.option("--recompute", is_flag=True, help="Keep only inputs of layers: less memory, a third more work."),
        click.option("--compile", is_flag=True, help="Compile the decoder's layers."),
        click.option(
            "--checkpoint-every",
            "every",
            metavar="N|Nm",
            help="Steps, or minutes, between two states that a killed training goes on from.  [default: 30m]",
        ),
        click.option(
            "--workers", default=0, show_default=True, type=click.IntRange(0), help="Processes reading ahead."
        ),
        click.option("--track", type=click.Choice(["tensorboard", "trackio", "wandb"]), help="Show figures there too."),
    )

    @functools.wraps(function)
    def with_how(**given: Any) -> Any:
        return function(how={name: given.pop(name) for name in HOW}, **given)

    for option in reversed(options):
        with_how = option(with_how)
    return cast("Function", with_how)


@click.command(name="train")
@click.argument("mix")
@click.option("--scale", "scale_name", default="demo", show_default=True, metavar="NAME", help="Model and settings.")
@click.option("--stage", default="sft", show_default=True, type=click.Choice(["pretrain", "sft"]), help="Which stage.")
@click.option("--init", metavar="TRIAL", help="Start from this trial's checkpoint (the first stage's, for example).")
@click.option("--base", metavar="FOLDER", help="Base checkpoint instead of the scale's.")
@seed_option(0)
@_how_options
@click.option("--on", default="local", show_default=True, metavar="local|ray|slurm", help="Where it runs.")
@click.option("--address", metavar="ADDRESS", help="Which Ray (auto, HOST:PORT); Slurm: 'local' tries it here.")
@click.option(
    "--request",
    type=PathValue(dir_okay=False),
    metavar="FILE",
    help="Write FILE for torchrun, say how it is started on each machine, and stop.",
)
@dry_run_option
@json_option
@home_option
def command(
    mix: str,
    scale_name: str,
    stage: str,
    init: str | None,
    base: str | None,
    seed: int,
    how: dict[str, Any],
    on: str,
    address: str | None,
    request: Path | None,
    home: Path,
    as_json: bool,
    dry_run: bool,
) -> None:
    r"""Train one stage of a scale on MIX (a name or folder name in the data home).

    A trial that is finished is never trained again; a killed one goes on from its last state, and on the CPU ends with
    the same bytes. How it is run (device, processes, …) is no part of what it is: results are equal up to rounding,
    but for what the dropout of low-rank adapters draws with other numbers of processes or rows at once.

    \b
    Example:
      curator train demo-pretrain --stage pretrain
      curator train demo-baseline --init pretrain-demo-pretrain-s0 --seed 0
      curator train my-mix --scale paper-7b --dry-run
      curator train my-mix --base ./llava --processes 8 --parallel fsdp --recompute --micro-rows 4 --dry-run
      curator train my-mix --base ./llava --processes 8 --parallel fsdp --on slurm
      curator train my-mix --base ./llava --nodes 4 --processes 8 --parallel fsdp+tp --request train.json
    """
    from dataclasses import replace

    from curator.assembly import make_base
    from curator.runner import Place
    from curator.train import plan_training, runtime_of
    from registry.scale import load_scale
    from registry.store import Home

    scale = load_scale(scale_name)
    if base is not None:
        scale = scale.model_copy(update={"base": base})
    opened = Home.default(home)
    place = Place(1, on, address, opened.path)
    place.check()
    runtime = runtime_of(scale, how)
    plan = replace(plan_training(opened, mix, scale, stage, init, seed), runtime=runtime)
    if plan.base.folder is None and not dry_run:  # all else is known to be right before anything is fetched
        made = make_base(opened, scale.base)
        plan = replace(plan_training(opened, mix, scale, stage, init, seed, made), runtime=runtime)
    if dry_run or request is not None:
        _tell(opened, plan, None if dry_run else request, as_json)
    else:
        _train(opened, plan, place, as_json)


def _tell(home: Home, plan: TrainPlan, request: Path | None, as_json: bool) -> None:
    """Say what would be trained; with ``request`` write it for torchrun, and say the command."""
    from curator.output import print_fields, print_json
    from curator.train import in_words, memory_plan, write_request

    facts = plan.facts()
    if request is None:
        needs = memory_plan(plan)
        told = None if plan.base.folder else "known once the base is here"
        facts["gib_per_process"] = needs or told or "not computed for low-rank adapters"
    else:
        facts["command"] = " ".join(write_request(home, plan, request))
    freeze = [(module, in_words(entry)) for module, entry in plan.modules.items()]
    print_json(facts | {"modules": plan.modules}) if as_json else print_fields([*facts.items(), *freeze])


def _train(home: Home, plan: TrainPlan, place: Place, as_json: bool) -> None:
    from curator.loss_plot import loss_plot
    from curator.output import note, print_fields, print_json
    from curator.train import in_words, train
    from curator.training_bar import training_bar

    for module, entry in plan.modules.items():
        note(f"{module}: {in_words(entry)}")
    with training_bar(f"training {plan.name}") as listen:
        folder = train(home, plan, listen, place)
    loss_plot(folder)
    facts = plan.facts() | {"trial": folder.name, "path": str(folder)}
    print_json(facts | {"modules": plan.modules}) if as_json else print_fields(list(facts.items()))
