"""``curator publish``: a mix becomes a dataset repository of a Hub, a trial's checkpoint a model repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import dry_run_option, home_option, json_option
from curator.output import note, print_fields, print_json, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.publication import Plan


@click.command(name="publish")
@click.argument("what")
@click.argument("repository", metavar="ORG/NAME")
@click.option("--checkpoint", is_flag=True, help="WHAT is a trial, whatever mixes are called: publish its checkpoint.")
@click.option("--recipe-only", is_flag=True, help="Publish no picture and no text, only what builds the mix again.")
@click.option("--public", is_flag=True, help="Make a new repository public, or publish into one that is.")
@click.option("--tag", metavar="NAME", help="Name of this version; default: its kind and content digest.")
@click.option("--accept-licences", is_flag=True, help="Publish data whose licence nobody has established.")
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    metavar="MIB",
    help="Size of the parquet files of a mix, about.",
)
@click.option(
    "--endpoint", envvar="HF_ENDPOINT", show_envvar=True, metavar="URL", help="A Hub-compatible server to publish to."
)
@home_option
@json_option
@dry_run_option
def command(what: str, repository: str, home: Path, as_json: bool, dry_run: bool, **asked: Any) -> None:
    r"""Publish WHAT, a mix or a trial, as the Hub repository ORG/NAME. New repositories are private.

    A mix becomes a dataset: parquet with pictures, a page with a chart, licences and evidence, the recipe, a lock file,
    a Croissant description, a tag. With --recipe-only it has the ordered ids instead of the rows: for data that must
    not be passed on, which others pull from its sources. A trial becomes a model: its checkpoint in transformers'
    format and a card with the digest of its mix and its scores.

    Everything becomes visible at once, in one commit. What is there already is not sent again, and a run that was
    stopped is continued by the same command. The token is the one of 'hf auth login', or HF_TOKEN; --dry-run works
    without one, and says what it could not look at.

    \b
    Examples:
      curator publish openmoji-tabmwp my-org/openmoji-tabmwp --dry-run
      curator publish openmoji-tabmwp my-org/openmoji-tabmwp --public --tag v1
      curator publish sharegpt4v-mix my-org/sharegpt4v-mix --recipe-only
      curator publish openmoji-tabmwp-s0 my-org/openmoji-tabmwp-model
    """
    from datetime import UTC, datetime

    from curator.destination import Destination
    from curator.publication import meant, publish
    from registry.store import Home

    data_home = Home(home)
    stage, folder = meant(data_home, what, checkpoint=asked["checkpoint"])
    to = Destination(
        repository,
        asked["endpoint"],
        say=note,
        attempts=1 if dry_run else 6,
        repo_type="dataset" if stage == "mixes" else "model",
    )
    with progress(f"look at {folder.name} and the repository"):
        plan = _planned(data_home, stage, folder, to, dry_run, str(datetime.now(UTC).date()), asked)
    for warning in plan.warnings:
        note(f"warning: {warning}")
    if dry_run:
        for unchecked in plan.look.unchecked:
            note(f"not checked: {unchecked}")
        print_json(plan.plain()) if as_json else print_fields(plan.plain().items())
        return
    with progress(f"publish {folder.name}", plan.goods.rows, "rows") as advance:
        done = publish(data_home, plan, to, advance)
    if not done.uploaded:
        note(f"{repository}: nothing to do, this is there")
    print_json(vars(done)) if as_json else print_fields(vars(done).items())


def _planned(home: Any, stage: str, folder: Path, to: Any, dry_run: bool, date: str, asked: dict[str, Any]) -> Plan:
    """The plan for a mix or for a trial."""
    shared = {"public": asked["public"], "tag": asked["tag"], "accept_licences": asked["accept_licences"], "date": date}
    if stage == "mixes":
        from curator.publish import MixWish, plan_mix

        wish = MixWish(to.repo_id, **shared, shard_bytes=asked["shard_size"] << 20, recipe_only=asked["recipe_only"])
        return plan_mix(home, folder, wish, to, only_plan=dry_run)
    if asked["recipe_only"]:
        raise click.UsageError("--recipe-only goes with a mix, not with a trial.")
    from curator.publish_checkpoint import CheckpointWish, plan_checkpoint

    return plan_checkpoint(home, folder, CheckpointWish(to.repo_id, **shared), to, only_plan=dry_run)
