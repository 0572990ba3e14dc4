"""``curator train``: train the fixed model of a scale on a mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import dry_run_option, home_option, json_option, seed_option

if TYPE_CHECKING:
    from pathlib import Path

    from registry.trial import Tracker


@click.command(name="train")
@click.argument("mix")
@click.option("--scale", "scale_name", default="demo", show_default=True, metavar="NAME", help="Model and settings.")
@click.option("--stage", default="sft", show_default=True, type=click.Choice(["pretrain", "sft"]), help="Which stage.")
@click.option("--init", metavar="TRIAL", help="Start from this trial's checkpoint (the first stage's, for example).")
@click.option("--base", metavar="FOLDER", help="Base checkpoint instead of the scale's.")
@click.option("--workers", default=0, show_default=True, type=click.IntRange(0), help="Processes that read ahead.")
@click.option("--track", type=click.Choice(["tensorboard", "trackio", "wandb"]), help="Show figures there as well.")
@seed_option(0)
@dry_run_option
@json_option
@home_option
def command(
    mix: str,
    scale_name: str,
    stage: str,
    init: str | None,
    base: str | None,
    workers: int,
    track: Tracker | None,
    seed: int,
    home: Path,
    as_json: bool,
    dry_run: bool,
) -> None:
    r"""Train one stage of a scale on MIX (a name or folder name in the data home).

    A trial that is finished is never trained again; a killed one starts over and ends with the same bytes.

    \b
    Example:
      curator train demo-pretrain --stage pretrain
      curator train demo-baseline --init pretrain-demo-pretrain-s0 --seed 0
    """
    from curator.loss_plot import loss_plot
    from curator.output import note, print_fields, print_json
    from curator.train import plan_training, train
    from curator.training_bar import training_bar
    from registry.store import Home
    from registry.trial import MODULES, Runtime, load_scale

    runtime = Runtime(workers=workers, track=track)

    scale = load_scale(scale_name)
    if base is not None:
        scale = scale.model_copy(update={"base": base})
    opened = Home.default(home)
    plan = plan_training(opened, mix, scale, stage, init, seed)
    trains: tuple[str, ...] = tuple(plan.settings.stage.trains)
    frozen = tuple(module for module in MODULES if module not in trains)
    facts = {
        "name": plan.name,
        "digest": plan.settings.digest(),
        "stage": stage,
        "samples": plan.samples,
        "trains": list(trains),
        "frozen": list(frozen),
        "already_there": plan.finished is not None,
    }
    if dry_run:
        print_json(facts) if as_json else print_fields(list(facts.items()))
        return
    note(f"trains {', '.join(trains)}; frozen: {', '.join(frozen) or 'nothing'}")
    with training_bar(f"training {plan.name}") as listen:
        folder = train(opened, plan, listen, runtime)
    loss_plot(folder)
    facts |= {"trial": folder.name, "path": str(folder)}
    print_json(facts) if as_json else print_fields(list(facts.items()))
