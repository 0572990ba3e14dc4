"""``curator filter``: measure the samples of a dataset, and see what a threshold would drop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import PathValue, dry_run_option, home_option, json_option, place_options
from curator.output import note, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.filter_examples import Section
    from curator.filtering import Measures, Wanted
    from curator.runner import Place
    from curator.samples import Samples
    from registry.store import Home

MAX_CHARACTERS = 80
"""Characters of a sample's request, and of its answer, that are printed."""


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
    help="Say what these bounds would drop (repeat); leave MIN or MAX out; lowest:0.2 keeps a share; =NAME for names.",
)
@click.option(
    "--sample-html",
    type=PathValue(dir_okay=False),
    metavar="FILE",
    help="Write an HTML page of samples: what each --bound drops and keeps, or without one how columns are spread.",
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
    sample_html: Path | None,
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

    With --bound, samples next to the bound and some drawn at random show what it drops. A dry run shows that too and
    writes nothing: what is not measured yet is measured in memory, and again when it is asked for. Without --bound, or
    for a filter that needs a model, it says what has to be measured.

    \b
    Examples:
      curator filter --list
      curator filter openmoji --filter image_size
      curator filter openmoji --bound text_length.words=3: --bound image_size.aspect=:2.5
      curator filter tabmwp --bound text_length.words=12: --sample-html short.html
      curator filter openmoji --on ray --address auto --workers 64
      curator filter openmoji --model similarity=openai/clip-vit-base-patch32@main --dry-run
      curator filter openmoji --model answer_loss=~/llava-1.5-7b#vicuna_v1 --bound answer_loss.answer_loss=lowest:0.2
    """
    from curator.arrow import import_arrow
    from curator.filtering import chosen_filters, filter_rows, parse_bounds, parse_models, plan_rows
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
    named = [*filters, *wanted]
    given = parse_models(models, named)
    names = chosen_filters(named, given)
    planned = plan_rows(data_home, samples, names, given) if dry_run else []
    if dry_run and (not wanted or any(row["samples"] for row in planned if row["filter"] in given)):
        _print(planned, as_json)
        return
    measures = _measured(data_home, samples, names, given, None if dry_run else place)
    _show(data_home, samples, measures, wanted, None if dry_run else sample_html, as_json)


def _measured(home: Home, samples: Samples, names: list[str], models: dict[str, str], place: Place | None) -> Measures:
    """Measure what is not measured yet; without a place, in memory."""
    from curator.filtering import look, measure_all

    with progress(f"measure {samples.card.name}", unit="samples") as advance:
        if place is None:
            return look(home, samples, names, models, advance)
        return measure_all(home, samples, names, models, place, advance)


def _show(home: Home, samples: Samples, measures: Measures, wanted: Wanted, page: Path | None, as_json: bool) -> None:
    """Say how what was measured is spread, and what the bounds would drop."""
    from curator.filter_examples import sections, with_examples
    from curator.filtering import summary_rows

    rows = summary_rows(measures, wanted)
    shown = sections(samples, measures, wanted) if wanted or page else []
    if page is not None:
        from curator.filter_page import write_filter_page

        write_filter_page(home, samples, shown, page)
    if as_json:
        print_json(with_examples(rows, shown) if wanted else rows)
    else:
        _print_measured(rows, shown if wanted else [])
        note(f"{samples.record.rows_out:,} samples of {samples.folder.name}")


def _print_measured(rows: list[dict[str, object]], sections: list[Section]) -> None:
    _print(rows, as_json=False)
    for section in sections:
        _print_examples(section)


def _print_examples(section: Section) -> None:
    """The samples that show what a bound does."""
    click.echo(f"\n{section.title}: {section.counts['dropped']:,} of {section.counts['samples']:,} samples would go")
    plain = [example.plain() for example in section.examples]
    texts = [f"{_shortened(one['request'])} / {_shortened(one['answer'])}" for one in plain]
    rows = [(one["says"], one["value"], one["source_id"], text) for one, text in zip(plain, texts, strict=True)]
    print_table(("", section.column, "row", "text"), rows)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _print(rows: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
