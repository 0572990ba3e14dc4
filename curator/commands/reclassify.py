"""``curator reclassify``: apply the rules of a card to samples that are here already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import PathValue, dry_run_option, home_option, json_option, place_options
from curator.output import note, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.runner import Place


@click.command(name="reclassify")
@click.argument("dataset")
@click.option(
    "--audit",
    type=PathValue(dir_okay=False),
    metavar="FILE",
    help="Write an HTML page with examples and their pictures.",
)
@place_options
@home_option
@json_option
@dry_run_option
def command(dataset: str, audit: Path | None, place: Place, home: Path, as_json: bool, dry_run: bool) -> None:
    r"""Relabel the samples of DATASET by the rules of its card, as the card is now.

    Edit the parts of a card, then look here at what moves from where to where, by which rule. The samples stay
    as they are: labels are a measure beside them, mixes read the labels of the card, and the old card gives
    the old labels again.

    \b
    Examples:
      curator reclassify demo-allava --dry-run
      curator reclassify demo-allava --audit moves.html
      curator reclassify demo-allava --workers auto
    """
    from curator.arrow import import_arrow
    from curator.reclassify import audit as audited
    from curator.reclassify import categories_after, labels
    from curator.samples import find_samples
    from registry.store import Home

    import_arrow()
    data_home = Home(home)
    samples = find_samples(data_home, dataset)
    with progress(f"reclassify {dataset}", samples.record.rows_out, "samples") as advance:
        moves = audited(samples, advance)
    folder = labels(data_home, samples, place=place).folder if samples.relabelled and not dry_run else None
    if audit is not None and not dry_run:
        from curator.audit_page import write_audit

        write_audit(data_home, moves, audit)
    if as_json:
        print_json(
            {
                "dataset": dataset,
                "samples": moves.samples,
                "moved": moves.moved,
                "categories": categories_after(moves),
                "labels": str(folder) if folder else None,
                "audit": str(audit) if audit and not dry_run else None,
                "moves": moves.plain(),
            }
        )
        return
    columns = ("from", "to", "rule", "samples")
    print_table(
        columns,
        [("/".join(m.before), "/".join(m.after) if m.moved else "stays", m.rule, m.count) for m in moves.moves],
    )
    note(f"{moves.moved:,} of {moves.samples:,} samples change their label")
