"""``curator report``: the page, tables and figures of a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import PathValue, dry_run_option, home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="report")
@click.argument("decision", required=False)
@click.option(
    "--out",
    type=PathValue(dir_okay=False),
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="Where the page goes.",
)
@click.option(
    "--assets",
    type=PathValue(file_okay=False),
    metavar="FOLDER",
    help="Also write each table as CSV and each figure as SVG and PNG.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@dry_run_option
@json_option
@home_option
def command(
    home: Path, decision: str | None, out: Path, assets: Path | None, show: bool, dry_run: bool, as_json: bool
) -> None:
    r"""Write the report of DECISION: one self-contained page with its tables, figures and samples.

    DECISION is a name, the name of its folder, the beginning of its digest, or a path; with one decision in the
    data home it may be left out. Writing the report again gives the same bytes.

    \b
    Examples:
      curator report
      curator report demo --out demo.html --assets figures
    """
    from curator.output import note, print_fields, print_json
    from curator.report.page import build_report, find_decision, plan_report
    from registry.store import Home

    opened = Home.default(home)
    is_path = decision is not None and ("/" in decision or decision.endswith(".json"))
    from pathlib import Path

    found = Path(str(decision)) if is_path else find_decision(opened, decision)
    if dry_run:
        plan = plan_report(opened, found, out, assets)
        if as_json:
            print_json(plan)
        else:
            page = f"{out} (replaces the file that is there)" if plan["replaces"] else str(out)
            print_fields([("decision", plan["decision"]), ("page", page), ("assets into", plan["assets"])])
        return
    info = build_report(opened, found, out, assets)
    if as_json:
        print_json(
            {
                "decision": info.decision,
                "headline": info.headline,
                "page": str(info.page),
                "bytes": info.page_bytes,
                "assets": [str(path) for path in info.assets],
            }
        )
    else:
        fields = [("decision", info.decision), ("page", str(info.page)), ("bytes", info.page_bytes)]
        print_fields([*fields, ("assets", [str(path) for path in info.assets])])
        note(info.headline)
    if show:
        click.launch(info.page.resolve().as_uri())
