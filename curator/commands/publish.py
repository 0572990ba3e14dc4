"""``curator publish``: a mix becomes a dataset repository of a Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import dry_run_option, home_option, json_option
from curator.output import note, print_fields, print_json, progress

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="publish")
@click.argument("mix")
@click.argument("repository", metavar="ORG/NAME")
@click.option("--private", is_flag=True, help="Make a new repository private; refuse one that is public.")
@click.option("--tag", metavar="NAME", help="Name of this version; default: mix- and its content digest.")
@click.option("--accept-licences", is_flag=True, help="Publish data whose licence nobody has established.")
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    metavar="MIB",
    help="Size of the parquet files, about.",
)
@click.option(
    "--endpoint", envvar="HF_ENDPOINT", show_envvar=True, metavar="URL", help="A Hub-compatible server to publish to."
)
@home_option
@json_option
@dry_run_option
def command(mix: str, repository: str, home: Path, as_json: bool, dry_run: bool, shard_size: int, **asked: Any) -> None:
    r"""Publish MIX as the Hub dataset ORG/NAME: parquet with pictures, a page, the recipe, a tag.

    Everything becomes visible at once, in one commit. What is there already is not sent again, and a run that was
    stopped is continued by the same command. The token is the one of 'hf auth login', or HF_TOKEN.

    \b
    Examples:
      curator publish openmoji-tabmwp my-org/openmoji-tabmwp --dry-run
      curator publish openmoji-tabmwp my-org/openmoji-tabmwp --private --tag v1
    """
    from curator.destination import Destination
    from curator.publish import Wish, plan_publication, publish
    from registry.store import Home, find_folder

    data_home = Home(home)
    wish = Wish(repository, shard_bytes=shard_size << 20, **asked)
    folder = find_folder(data_home, "mixes", mix)
    to = Destination(wish.repo_id, wish.endpoint, say=note)
    with progress("look at the mix and the repository"):
        plan = plan_publication(data_home, folder, wish, to)
    for warning in plan.warnings:
        note(f"warning: {warning}")
    if dry_run:
        print_json(plan.plain()) if as_json else print_fields(plan.plain().items())
        return
    with progress(f"publish {folder.name}", plan.info.samples, "rows") as advance:
        done = publish(data_home, plan, to, advance)
    if not done.uploaded:
        note(f"{wish.repo_id}: nothing to do, this mix is there")
    print_json(vars(done)) if as_json else print_fields(vars(done).items())
