"""``curator train``: train the fixed model of a scale on a mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import dry_run_option, home_option, json_option, seed_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="train")
@click.argument("mix")
@click.option("--scale", "scale_name", default="demo", show_default=True, metavar="NAME", help="Model and settings.")
@click.option("--stage", default="sft", show_default=True, type=click.Choice(["pretrain", "sft"]), help="Which stage.")
@click.option("--init", metavar="TRIAL", help="Start from this trial's checkpoint (the first stage's, for example).")
@click.option("--base", metavar="FOLDER", help="Base checkpoint instead of the scale's.")
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
    from curator.assembly import make_base
    from curator.output import note, print_fields, print_json, progress
    from curator.train import in_words, plan_training, train
    from registry.store import Home
    from registry.trial import load_scale

    scale = load_scale(scale_name)
    if base is not None:
        scale = scale.model_copy(update={"base": base})
    opened = Home.default(home)
    plan = plan_training(opened, mix, scale, stage, init, seed)
    if plan.base.folder is None and not dry_run:  # all else is known to be right before anything is fetched
        plan = plan_training(opened, mix, scale, stage, init, seed, make_base(opened, scale.base))
    freeze = {module: in_words(entry) for module, entry in plan.modules.items()}
    facts = {**plan.facts(), "modules": plan.modules}
    if dry_run:
        print_json(facts) if as_json else print_fields([*plan.facts().items(), *freeze.items()])
        return
    for module, words in freeze.items():
        note(f"{module}: {words}")
    with progress(f"training {plan.name}", 1000) as advance:
        done = 0

        def listen(event: dict[str, object]) -> None:
            nonlocal done
            if event["event"] == "progress" and event.get("steps"):
                now = 1000 * int(str(event["step"])) // int(str(event["steps"]))
                advance(now - done)
                done = now

        folder = train(opened, plan, listen)
    done_facts = {"trial": folder.name, "path": str(folder)}
    print_json({**facts, **done_facts}) if as_json else print_fields([*plan.facts().items(), *done_facts.items()])
