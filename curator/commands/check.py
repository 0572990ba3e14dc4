"""``curator check``: check dataset cards, recipes, scales and records strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="check")
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
@json_option
@home_option
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], as_json: bool, home: Path) -> None:
    r"""Check dataset cards and recipes strictly.

    With the name of a dataset that is in the data home, its first three normalised rows are shown as well.
    Without a name: every card, recipe and scale, the packaged ones and the data home's, and the account of
    rows of everything in the data home. Exit status 1 when something is wrong.

    \b
    Examples:
      curator check
      curator check tabmwp
      curator check my-dataset.yaml my-recipe.yaml
    """
    from curator.arrow import import_arrow
    from curator.check import check_all, check_named
    from curator.look import first_rows, in_words
    from curator.output import note, print_fields, print_json, visible
    from registry.store import Home

    import_arrow()
    opened = Home.default(home)
    findings = check_named(opened, list(names)) if names else check_all(opened)
    rows = [row for name in names for row in first_rows(opened, name)]
    if as_json:
        faults = [{"where": fault.where, "what": fault.what, "way_out": fault.way_out} for fault in findings.faults]
        print_json({"checked": findings.checked, "problems": faults, "rows": rows})
    else:
        for row in rows:
            print_fields(in_words(row))
            click.echo()
        for fault in findings.faults:
            click.echo(visible(str(fault)))
    seen = (
        ", ".join(
            f"{count:,} {kind if count != 1 else kind.removesuffix('s')}" for kind, count in findings.checked.items()
        )
        or "nothing"
    )
    note(f"checked {seen}: {len(findings.faults) or 'no'} problem{'s' if len(findings.faults) != 1 else ''}")
    if findings.faults:
        ctx.exit(1)
