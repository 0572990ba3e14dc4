"""``curator select``: decide by experiment which candidates join a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import dry_run_option, home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="select")
@click.argument("candidates", nargs=-1)
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
@click.option(
    "--held-out",
    multiple=True,
    metavar="NAME",
    help="Benchmark that guides nothing; its scores stand beside (repeat).",
)
@click.option(
    "--edit",
    "edits",
    multiple=True,
    metavar="NAME=EDIT",
    help="A candidate that is an edit: half=demo-flags,proportion=0.5; long=demo-flags,text_length.words=12:; "
    "less=baseline,general_qa.at_most=500 (repeat). Of several amounts of the same, at most one joins.",
)
@click.option(
    "--strategy",
    default="individual",
    show_default=True,
    metavar="NAME",
    help="individual, halving, regress, greedy, leave_one_out, random, all.",
)
@click.option(
    "--rule",
    default="statistics",
    show_default=True,
    type=click.Choice(["statistics", "paper"]),
    help="What decides: intervals, or the measured averages alone as in the paper.",
)
@click.option("--seeds", default=2, show_default=True, type=click.IntRange(min=1), help="Seeds of every candidate.")
@click.option(
    "--max-seeds", default=4, show_default=True, type=click.IntRange(min=1), help="Seeds at most, where undecided."
)
@click.option("--margin", type=float, help="Points that 'comparable' may cost at worst. [default: 3; paper's rule: 1]")
@click.option(
    "--extra-trials",
    type=click.IntRange(min=0),
    metavar="N",
    help="Trials in all that may go to further seeds of the undecided. [default: no limit]",
)
@click.option(
    "--errors-over",
    default="candidate",
    show_default=True,
    type=click.Choice(["candidate", "category", "study"]),
    help="Harm and comparable are sure for each candidate, or for all of its category or the study together.",
)
@click.option("--question-noise", is_flag=True, help="Intervals hold the benchmarks' questions being a sample, too.")
@click.option("--category", "categories", multiple=True, metavar="SLUG", help="Decide this category first (repeat).")
@click.option("--rules", default="2024-05", show_default=True, metavar="SET", help="Rule set of the scorers.")
@click.option("--base", metavar="FOLDER", help="Base checkpoint instead of the scale's.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1), help="Trainer processes.")
@click.option("--replay", is_flag=True, help="Decide from stored scores alone; refuse what would have to be trained.")
@click.option("--name", default="select", show_default=True, metavar="NAME", help="Name of the decision.")
@dry_run_option
@json_option
@home_option
def command(home: Path, candidates: tuple[str, ...], as_json: bool, dry_run: bool, **asked: object) -> None:
    r"""Decide by experiment which CANDIDATES (datasets, or dataset/part) join a baseline.

    Every trial that is finished in the data home is used again; a killed study goes on where it was. So another rule,
    or another margin, on the same trials costs nothing (--replay makes sure). A dry run says how many trials, waves
    and hours a strategy will probably take.

    \b
    Examples:
      curator select demo-magnets demo-wrong --baseline demo-baseline --pretrain demo-pretrain --dry-run
      curator select demo-flags demo-sums --baseline demo-baseline --strategy halving --held-out tabmwp_test
      curator select demo-magnets demo-wrong --baseline demo-baseline --pretrain demo-pretrain --rule paper --replay
    """
    from curator.live import StudyTable
    from curator.select import run_study, save_decision
    from curator.show_decision import print_decision, print_plan
    from curator.study_plan import plan_study
    from curator.study_request import StudyRequest, open_laboratory
    from curator.trials import Workers
    from registry.store import Home

    request = StudyRequest(candidates=candidates, **asked)  # type: ignore[arg-type]  # the options are its fields
    opened = Home.default(home)
    with Workers(request.workers) as workers:
        laboratory = open_laboratory(opened, request, workers)
        plan = plan_study(laboratory, request.strategy)
        if dry_run:
            print_plan(plan, as_json)
            return
        with StudyTable(laboratory.study, expected=round(plan["trials"]["mean"])) as table:
            laboratory.listen = table.listen
            decision = run_study(laboratory, request.strategy, table.on_wave)
        folder = save_decision(opened, decision)
    print_decision(decision, folder, as_json)
