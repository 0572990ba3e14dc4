"""``curator build-mix``: filter, draw and order the samples that a recipe names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import dry_run_option, home_option, json_option
from curator.output import note, print_fields, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.duplicates.scope import Scope
    from curator.resolve import Leaf
    from registry.mix import MixInfo
    from registry.store import Home


@click.command(name="build-mix")
@click.argument("recipe")
@home_option
@json_option
@dry_run_option
def command(recipe: str, home: Path, as_json: bool, dry_run: bool) -> None:
    r"""Build the mix of RECIPE: a name, or a .yaml file.

    The same recipe over the same samples gives the same bytes on any machine. A mix refers to samples and
    pictures and copies none. Measures that its filters need, and the search for duplicates if it asks for one, are
    made first, where nobody has made them yet.

    \b
    Examples:
      curator build-mix openmoji-tabmwp --dry-run
      curator build-mix mine.yaml --json
    """
    from curator.arrow import import_arrow
    from curator.mix import build_mix, draw_mix
    from curator.resolve import Resolver, missing_clusters, missing_measures
    from registry.recipe import load_recipe
    from registry.store import Home

    import_arrow()
    data_home, wanted = Home(home), load_recipe(recipe, Home(home))
    group = Resolver(data_home).resolve(wanted)
    missing, scopes = missing_measures(data_home, group), missing_clusters(data_home, group)
    if dry_run and (missing or scopes):
        to_do = [
            {"dataset": leaf.samples.card.name, "measure": name, "samples": leaf.samples.record.rows_out}
            for leaf, name in missing
        ]
        to_do += [{"dataset": str(one), "measure": "duplicates", "samples": one.rows} for one in scopes]
        _print_missing(str(data_home.folder("mixes", wanted.name, group.digest())), to_do, as_json)
        return
    if dry_run:
        info, _ = draw_mix(data_home, group, group.digest())
        _print(data_home.folder("mixes", wanted.name, group.digest()), info, as_json)
        return
    _measure(data_home, missing)
    _search(data_home, scopes)
    folder, info = build_mix(data_home, wanted)
    _print(folder, info, as_json)


def _measure(home: Home, missing: list[tuple[Leaf, str]]) -> None:
    """Make the measures that are missing, with a bar each."""
    from curator.categories.general import NAME as GENERAL
    from curator.categories.general import general
    from curator.measure import measure
    from curator.reclassify import NAME, labels

    for leaf, name in missing:
        samples = leaf.samples
        with progress(f"{name} of {samples.card.name}", samples.record.rows_out, "samples") as advance:
            if name == NAME:
                labels(home, samples, advance)
            elif leaf.general is not None and name == GENERAL:
                general(home, samples, leaf.general, advance)
            else:
                measure(home, samples, name, advance)


def _search(home: Home, scopes: list[Scope]) -> None:
    """Search for duplicates where nobody has, with a bar each."""
    from curator.duplicates.clusters import clusters

    for scope in scopes:
        with progress(f"duplicates of {scope}", scope.to_fingerprint(home), "samples") as advance:
            clusters(home, scope, advance)


def _print_missing(path: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"path": path, "to_measure": rows})
        return
    print_table(("dataset", "to measure", "samples"), [list(row.values()) for row in rows])
    note("how many samples the mix holds is known once these are measured")


def _print(folder: Path, info: MixInfo, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(folder), **info.model_dump(mode="json", exclude={"recipe"})})
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
    parts = [(p.dataset, p.part, p.available, sum(p.dropped.values()), p.chosen) for p in info.parts]
    print_table(("dataset", "part", "available", "dropped", "in the mix"), parts)
