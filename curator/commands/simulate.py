"""``curator simulate``: how often a strategy and its rule err, on studies whose truth is known."""

from __future__ import annotations

import click

from curator.options import json_option, seed_option


@click.command(name="simulate")
@click.option("--studies", default=1000, show_default=True, type=click.IntRange(min=1), help="Simulated studies a row.")
@click.option("--strategy", "strategies", multiple=True, metavar="NAME", help="Only this strategy (repeat).")
@click.option(
    "--world",
    default="measured",
    show_default=True,
    metavar="NAME",
    help="measured: effects like those of a prototype; null: none at all; boundary: all cost exactly the margin.",
)
@click.option("--scale", default="demo", show_default=True, metavar="NAME", help="Scale whose calibrated noise it is.")
@click.option("--seeds", default=2, show_default=True, type=click.IntRange(min=1), help="Seeds of every candidate.")
@click.option("--max-seeds", default=4, show_default=True, type=click.IntRange(min=1), help="Seeds where undecided.")
@click.option(
    "--margin", default=3.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Of 'comparable'."
)
@click.option(
    "--errors-over",
    default="candidate",
    show_default=True,
    type=click.Choice(["candidate", "category", "study"]),
    help="What the errors of harm and comparable are declared for.",
)
@click.option(
    "--paper-margin",
    "paper_margins",
    multiple=True,
    type=click.FloatRange(min=0),
    help="Also the paper's rule, with one seed and this margin (repeat). [default: 0, 1, 3]",
)
@click.option(
    "--noise-factor",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="True noise against what the rule is told of it.",
)
@click.option("--uncalibrated", is_flag=True, help="Tell the rule nothing about noise.")
@click.option(
    "--overlap",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of its effect that a good candidate loses beside another good one of its category.",
)
@seed_option()
@json_option
def command(as_json: bool, studies: int, world: str, **asked: object) -> None:
    r"""Simulate studies of 37 candidates in 12 categories with known truth, for every strategy and two rules.

    Strategies and rules are the real ones, only the scores are drawn. Each row says how many of the good, neutral and
    bad candidates it kept; the declared errors: candidates kept that cost the margin or more, studies with any false
    gain, harmless candidates dropped; the chance of being wrong as stated and as it happened; how far its selection
    agrees with that of the first row; its true gain in points; trials, cost in trainings of the baseline, and waves.

    \b
    Examples:
      curator simulate --studies 200
      curator simulate --world boundary --strategy individual --errors-over category --json
    """
    from curator.error_rates import COLUMNS, row_of, tally
    from curator.output import print_json, print_table, progress
    from curator.simulation_request import SimulationRequest

    request = SimulationRequest(world=world, **asked)  # type: ignore[arg-type]  # the options are its fields
    setting, arms = request.setting(), request.arms()
    with progress("simulating", studies, "studies") as advance:
        found = tally(setting, arms, studies, advance)
    if as_json:
        print_json({"world": world, "studies": studies, "rows": [one.plain() for one in found]})
        return
    print_table(COLUMNS, [row_of(one) for one in found])
