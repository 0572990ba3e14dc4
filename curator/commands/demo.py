"""``curator demo``: the whole chain on a built-in world, offline, in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import PathValue, dry_run_option, json_option, seed_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="demo")
@seed_option(0)
@click.option(
    "--home",
    type=PathValue(file_okay=False),
    metavar="FOLDER",
    help="Data home of the demo.  [default: curator-demo/seed-<SEED> here]",
)
@click.option("--candidate", "candidates", multiple=True, metavar="NAME", help="Try only this candidate (repeat).")
@click.option(
    "--samples", default=896, show_default=True, type=click.IntRange(min=64), help="Samples of each candidate."
)
@click.option("--seeds", default=2, show_default=True, type=click.IntRange(1), help="Training seeds of each candidate.")
@click.option("--max-seeds", default=4, show_default=True, type=click.IntRange(1), help="At most, where undecided.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Trainer processes.")
@click.option("--base", metavar="FOLDER", help="Base checkpoint to start from instead of the packaged one.")
@click.option("--rebuild-base", is_flag=True, help="Build the base checkpoint from nothing, and stop.")
@click.option("--out", type=PathValue(), metavar="PATH", help="Where the report (or the base) goes.")
@json_option
@dry_run_option
def command(
    seed: int,
    home: Path | None,
    candidates: tuple[str, ...],
    samples: int,
    seeds: int,
    max_seeds: int,
    workers: int,
    base: str | None,
    rebuild_base: bool,
    out: Path | None,
    as_json: bool,
    dry_run: bool,
) -> None:
    r"""Run the whole chain on a built-in world of pictures whose good and bad datasets are known.

    Draws the datasets, pulls, filters and relabels them, trains a tiny LLaVA on every mix, scores it, decides which
    datasets stay in, and writes report.html. Offline, three to four minutes on two cores. Run it again after
    an interruption: it goes on where it was.

    \b
    Examples:
      curator demo
      curator demo --seed 3 --json > decision.json
      curator demo --candidate demo-magnets --candidate demo-wrong
      curator demo --rebuild-base --seed 1 --out base-1
    """
    from pathlib import Path

    from curator.demo.base_checkpoint import rebuild, stage_notes
    from curator.demo.run import DemoRequest, plan_demo, run_demo
    from curator.output import note, print_fields, print_json
    from curator.report.page import build_report
    from curator.show_decision import print_decision
    from registry.store import Home

    chosen = home or Path("curator-demo") / (f"base-{seed}" if rebuild_base else f"seed-{seed}")
    opened = Home(chosen)
    request = DemoRequest(seed, candidates, samples, seeds, max_seeds, workers, base)
    if dry_run:
        what = {"builds": str(out or chosen / "base")} if rebuild_base else plan_demo(opened, request)
        print_json(what) if as_json else print_fields(what.items())
        return
    if rebuild_base:
        folder = rebuild(opened, seed, out or chosen / "base", stage_notes(note))
        note(f"base checkpoint: {folder}")
        return
    decision, folder = run_demo(opened, request, note)
    page = out or opened.path / "report.html"
    build_report(opened, decision, page, None)
    print_decision(decision, folder, as_json)
    note(f"report: {page}")
