"""``curator check``: check dataset cards, recipes, scales and records strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="check")
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
@click.option(
    "--contents", is_flag=True, help="Read published files, samples and pictures to the last byte as well; slow."
)
@json_option
@home_option
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], contents: bool, as_json: bool, home: Path) -> None:
    r"""Check dataset cards and recipes strictly.

    With the name of a dataset that is in the data home, its first three normalised rows are shown as well,
    unless --contents is given.
    Without a name: every card, recipe and scale, the packaged ones and the data home's, and the account of
    rows of everything in the data home. Exit status 1 when something is wrong.

    With --contents everything that lies there is read and compared with its digests: of the datasets that are
    named, or all of it.

    \b
    Examples:
      curator check
      curator check tabmwp
      curator check openmoji --contents
      curator check my-dataset.yaml my-recipe.yaml
    """
    from curator.arrow import import_arrow
    from curator.check import check_all, check_named, first_rows_of
    from curator.contents import Contents
    from curator.look import in_words
    from curator.output import note, note_absent, print_fields, print_json, progress, visible
    from registry.store import Home

    import_arrow()
    opened = Home.default(home)
    note_absent(home)
    findings = check_named(opened, list(names)) if names else check_all(opened)
    if contents:
        reading = Contents(opened, names)
        with progress("read", reading.size(), "bytes") as reading.advance:
            reading.check(findings)
        if names and not reading.folders():
            note(f"nothing of {', '.join(names)} is in the data home: --contents had nothing to read")
    rows = [] if contents else first_rows_of(opened, list(names), findings)
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
