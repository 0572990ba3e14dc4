"""``curator lineage``: what something came from, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

BACK, ON = "back", "on"


@click.command(name="lineage")
@click.argument("what")
@click.option(
    "--way",
    type=click.Choice([BACK, ON, "both"]),
    default="both",
    show_default=True,
    help="Back to the published files, on to what was made, or both.",
)
@json_option
@home_option
def command(what: str, way: str, as_json: bool, home: Path) -> None:
    r"""Walk from WHAT back to the files it came from, and on to everything that was made from it.

    WHAT is a folder of the data home (decisions/…, trials/…, mixes/…, samples/…, raw/…, publications/…), its human
    name, a dataset, a published repository, or the first characters of a digest. Each line is one finished folder
    with its rows; scores lie in the folder of their trial.

    \b
    Examples:
      curator lineage demo-seed0
      curator lineage mixes/demo-baseline-0123456789ab
      curator lineage tabmwp --way on
      curator lineage my-org/openmoji-tabmwp
      curator lineage 0123456789ab --json
    """
    from curator.descent import Descent, descent_lines
    from curator.lineage import Lineage, find_place, tree_lines
    from curator.output import print_json, visible
    from registry.store import Home

    opened = Home.default(home)
    place = find_place(opened, what)
    lineage = None if way == ON else Lineage(opened, place)
    descent = None if way == BACK else Descent(opened, place)
    if as_json:
        back = {"steps": {name: step.plain() for name, step in lineage.steps.items()}} if lineage else {}
        print_json({"root": place, **back, **({"made": descent.plain()} if descent else {})})
        return
    for line in tree_lines(lineage) if lineage else [place]:
        click.echo(visible(line))
    if descent:
        made = descent_lines(descent)
        click.echo("\nmade from it:" if made else "\nnothing was made from it")
        for line in made:
            click.echo(visible(line))
