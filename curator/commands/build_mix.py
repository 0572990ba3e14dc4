"""``curator build-mix``: filter, draw and order the samples that a recipe names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import dry_run_option, home_option, json_option, place_options
from curator.output import note, print_fields, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.contamination.questions import BenchmarkTable
    from curator.duplicates.scope import Scope
    from curator.resolve import Missing
    from curator.runner import Place
    from curator.samples import Samples
    from registry.mix import MixInfo
    from registry.store import Home


@click.command(name="build-mix")
@click.argument("recipe")
@place_options
@home_option
@json_option
@dry_run_option
def command(recipe: str, place: Place, home: Path, as_json: bool, dry_run: bool) -> None:
    r"""Build the mix of RECIPE: a name, or a .yaml file.

    The same recipe over the same samples gives the same bytes on any machine. A mix refers to samples and
    pictures and copies none. Measures that its filters need, and the search for duplicates and for questions of
    benchmarks if it asks for one, are made first, where nobody has made them yet: --workers, --on and --address
    say where.

    \b
    Examples:
      curator build-mix openmoji-tabmwp --dry-run
      curator build-mix mine.yaml --json
      curator build-mix mine.yaml --workers auto
    """
    from curator.arrow import import_arrow
    from curator.mix import build_mix, draw_mix
    from curator.resolve import Resolver, missing_clusters, missing_hits, missing_measures
    from registry.recipe import load_recipe
    from registry.store import Home

    import_arrow()
    data_home, wanted = Home(home), load_recipe(recipe, Home(home))
    group = Resolver(data_home, fetch=not dry_run).resolve(wanted)
    missing, scopes = missing_measures(data_home, group), missing_clusters(data_home, group)
    compared = missing_hits(data_home, group)
    if dry_run and (missing or scopes or compared):
        to_do = [{"dataset": s.card.name, "measure": name, "samples": s.record.rows_out} for s, name, *_ in missing]
        to_do += [
            {"dataset": s.card.name, "measure": f"contamination by {table.name}", "samples": s.record.rows_out}
            for s, table in compared
        ]
        to_do += [{"dataset": str(one), "measure": "duplicates", "samples": one.rows} for one in scopes]
        _print_missing(str(data_home.folder("mixes", wanted.name, group.digest())), to_do, as_json)
        return
    if dry_run:
        info, _ = draw_mix(data_home, group, group.digest())
        _print(data_home, data_home.folder("mixes", wanted.name, group.digest()), info, as_json)
        return
    _measure(data_home, missing, place)
    _compare(data_home, compared, place)
    _search(data_home, scopes, place)
    folder, info = build_mix(data_home, wanted)
    _print(data_home, folder, info, as_json)


def _measure(home: Home, missing: list[Missing], place: Place) -> None:
    """Make the measures that are missing, with a bar each."""
    from curator.categories.general import general
    from curator.measure import measure
    from curator.reclassify import NAME, labels

    for one in missing:
        with progress(f"{one.name} of {one.samples.card.name}", one.samples.record.rows_out, "samples") as advance:
            if one.name == NAME:
                labels(home, one.samples, advance, place)
            elif one.general is not None:
                general(home, one.samples, one.general, advance, place)
            else:
                measure(home, one.samples, one.name, advance, place, one.model)


def _compare(home: Home, compared: list[tuple[Samples, BenchmarkTable]], place: Place) -> None:
    """Compare with benchmarks what nobody has, with a bar each."""
    from curator.contamination.hits import hits

    for samples, table in compared:
        name = f"contamination of {samples.card.name} by {table.name}"
        with progress(name, samples.record.rows_out, "samples") as advance:
            hits(home, samples, table, advance, place)


def _search(home: Home, scopes: list[Scope], place: Place) -> None:
    """Search for duplicates where nobody has, with a bar each."""
    from curator.duplicates.clusters import clusters

    for scope in scopes:
        with progress(f"duplicates of {scope}", scope.to_fingerprint(home), "samples") as advance:
            clusters(home, scope, advance, place)


def _print_missing(path: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"path": path, "to_measure": rows})
        return
    print_table(("dataset", "to measure", "samples"), [list(row.values()) for row in rows])
    note("how many samples the mix holds is known once these are measured")


def _print(home: Home, folder: Path, info: MixInfo, as_json: bool) -> None:
    from curator.licences import terms_of

    if not info.samples:
        note(f"warning: the mix '{info.name}' is empty: its filters, quotas or draws leave nothing")

    composed = info.composition
    terms = terms_of(home, info.datasets, {one.dataset for one in composed if one.pictures})
    licences = {one.dataset: {"annotations": one.annotations, "images": one.images} for one in terms}
    if as_json:
        told = info.model_dump(mode="json", exclude={"recipe"})
        print_json({"path": str(folder), **told, "licences": licences})
        return
    print_fields(
        [
            ("path", str(folder)),
            ("samples", info.samples),
            ("images", info.images),
            ("recipe_digest", info.recipe_digest),
            ("content_digest", info.content_digest),
        ]
    )
    click.echo()
    print_table(
        ("dataset", "part", "category", "samples", "share", "pictures shown", "licence", "of its pictures"),
        [
            (
                *(one.dataset, one.part, one.category, one.rows),
                f"{one.rows / info.samples:.1%}",
                one.pictures,
                licences[one.dataset]["annotations"] or "not established",
                (licences[one.dataset]["images"] or "not established") if one.pictures else "",
            )
            for one in composed
        ],
    )
    click.echo()
    drawn = [(p.dataset, p.part, p.category, p.available, sum(p.dropped.values()), p.chosen) for p in info.parts]
    print_table(("part of the recipe", "part", "category", "available", "dropped", "in the mix"), drawn)
    dropped = [(p.dataset, p.part, reason, rows) for p in info.parts for reason, rows in p.dropped.items() if rows]
    if dropped:
        click.echo()
        print_table(("dataset", "part", "dropped by", "samples"), dropped)
    held = [(p.dataset, p.part, name, rows) for p in info.parts for name, rows in p.contamination.items()]
    if held:
        click.echo()
        print_table(("dataset", "part", "held of benchmarks", "samples"), held)
