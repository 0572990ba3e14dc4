"""``curator lineage``: walk from a decision, score or mix back to the files it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="lineage")
@click.argument("what")
@json_option
@home_option
def command(what: str, as_json: bool, home: Path) -> None:
    r"""Walk from a decision, score or mix back to the files it came from.

    WHAT is a folder of the data home (decisions/…, trials/…, mixes/…, samples/…), its human name, a dataset,
    or the first characters of a digest. Each line is one finished folder with its rows; scores lie in the
    folder of their trial.

    \b
    Examples:
      curator lineage demo-seed0
      curator lineage mixes/demo-baseline-0123456789ab
      curator lineage tabmwp
      curator lineage 0123456789ab --json
    """
    from curator.lineage import Lineage, find_place, tree_lines
    from curator.output import print_json, visible
    from registry.store import Home

    opened = Home.default(home)
    lineage = Lineage(opened, find_place(opened, what))
    if as_json:
        steps = {place: step.plain() for place, step in lineage.steps.items()}
        print_json({"root": lineage.root, "steps": steps})
        return
    for line in tree_lines(lineage):
        click.echo(visible(line))
