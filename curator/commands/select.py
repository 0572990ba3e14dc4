"""``curator select``: decide by experiment which candidates join a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import dry_run_option, home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="select")
@click.argument("candidates", nargs=-1, required=True)
@click.option("--baseline", required=True, metavar="RECIPE", help="Recipe of the baseline mix (name or file).")
@click.option("--pretrain", metavar="RECIPE", help="Recipe of the first stage's mix; none = no first stage.")
@click.option("--scale", default="demo", show_default=True, metavar="NAME", help="Everything about a trial but data.")
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    metavar="NAME",
    help="Guide benchmark (repeat); default: the paper's four.",
)
@click.option("--strategy", default="individual", show_default=True, metavar="NAME", help="Selection strategy.")
@click.option("--seeds", default=2, show_default=True, type=click.IntRange(min=1), help="Seeds of every candidate.")
@click.option(
    "--max-seeds", default=4, show_default=True, type=click.IntRange(min=1), help="Seeds at most, where undecided."
)
@click.option("--margin", default=3.0, show_default=True, help="Points that 'comparable' may cost at worst.")
@click.option("--category", "categories", multiple=True, metavar="SLUG", help="Decide this category first (repeat).")
@click.option("--rules", default="2024-05", show_default=True, metavar="SET", help="Rule set of the scorers.")
@click.option("--base", metavar="FOLDER", help="Base checkpoint instead of the scale's.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1), help="Trainer processes.")
@click.option("--name", default="select", show_default=True, metavar="NAME", help="Name of the decision.")
@dry_run_option
@json_option
@home_option
def command(home: Path, candidates: tuple[str, ...], as_json: bool, dry_run: bool, **asked: object) -> None:
    r"""Decide by experiment which CANDIDATES (datasets, or dataset/part) join a baseline.

    Every trial that is finished in the data home is used again; a killed study goes on where it was.

    \b
    Example:
      curator select demo-magnets demo-wrong --baseline demo-baseline --pretrain demo-pretrain --dry-run
    """
    from curator.live import StudyTable
    from curator.select import run_study, save_decision
    from curator.show_decision import print_decision, print_plan
    from curator.study_request import StudyRequest, open_laboratory
    from curator.trials import Workers
    from registry.store import Home

    request = StudyRequest(candidates=candidates, **asked)  # type: ignore[arg-type]  # the options are its fields
    opened = Home.default(home)
    with Workers(request.workers) as workers:
        laboratory = open_laboratory(opened, request, workers)
        if dry_run:
            print_plan(laboratory, as_json)
            return
        with StudyTable(laboratory.study) as table:
            laboratory.listen = table.listen
            decision = run_study(laboratory, request.strategy, table.on_wave)
        folder = save_decision(opened, decision)
    print_decision(decision, folder, as_json)
