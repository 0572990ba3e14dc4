"""``curator filter``: measure the samples of a dataset, and see what a threshold would drop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import dry_run_option, home_option, json_option, place_options
from curator.output import note, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.runner import Place


@click.command(name="filter")
@click.argument("dataset", required=False)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME",
    help="Filter to run (repeat); default: all that are installed and need no model.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[FILTER=]MODEL[#TEMPLATE]",
    help="What a filter measures with: a folder, a trial's folder, or a repository on the Hub, org/name@revision.",
)
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="FILTER.COLUMN=MIN:MAX",
    help="Say what these bounds would drop (repeat); leave MIN or MAX out; lowest:0.2 keeps a share.",
)
@click.option("--list", "list_all", is_flag=True, help="List filters, their columns and units.")
@place_options
@home_option
@json_option
@dry_run_option
def command(
    dataset: str | None,
    filters: tuple[str, ...],
    models: tuple[str, ...],
    bounds: tuple[str, ...],
    list_all: bool,
    place: Place,
    home: Path,
    as_json: bool,
    dry_run: bool,
) -> None:
    r"""Measure the samples of DATASET once; recipes say what the measures must be.

    Nothing is dropped here: a threshold in a recipe is applied when its mix is built, and changing one
    measures nothing again. A sample to which a measure does not apply (a size without a picture) stays.
    A run that is killed goes on where it was: files of samples that are measured stay measured.

    A filter that needs a model (see --list) runs where one is given for it; the chat template of a model that is
    asked questions is known of a trial, and stands after a # for any other.

    \b
    Examples:
      curator filter --list
      curator filter openmoji --filter image_size
      curator filter openmoji --bound text_length.words=3: --bound image_size.aspect=:2.5
      curator filter openmoji --workers auto
      curator filter openmoji --on ray --address auto --workers 64
      curator filter openmoji --model similarity=openai/clip-vit-base-patch32@main --dry-run
      curator filter openmoji --model answer_loss=~/llava-1.5-7b#vicuna_v1 --bound answer_loss.answer_loss=lowest:0.2
    """
    from curator.arrow import import_arrow
    from curator.filtering import chosen_filters, filter_rows, measure_rows, parse_bounds, parse_models, plan_rows
    from curator.samples import find_samples
    from registry.store import Home

    import_arrow()
    if list_all:
        _print(filter_rows(), as_json)
        return
    if dataset is None:
        raise click.UsageError("Missing argument 'DATASET' (or --list).")
    wanted = parse_bounds(bounds)
    data_home = Home(home)
    samples = find_samples(data_home, dataset)
    given = parse_models(models, [*filters, *wanted])
    names = chosen_filters([*filters, *wanted], given)
    if dry_run:
        _print(plan_rows(data_home, samples, names, given), as_json)
        return
    with progress(f"measure {dataset}", unit="samples") as advance:
        rows = measure_rows(data_home, samples, names, wanted, advance, place, given)
    _print(rows, as_json)
    if not as_json:
        note(f"{samples.record.rows_out:,} samples of {samples.folder.name}")


def _print(rows: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
