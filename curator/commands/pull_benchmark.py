"""``curator pull-benchmark``: the published tables of benchmarks, into the data home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import dry_run_option, home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="pull-benchmark")
@click.argument("benchmarks", nargs=-1, required=True, metavar="BENCHMARK...")
@click.option(
    "--from",
    "source",
    metavar="PLACE",
    help="Folder (such as LMUData) or address that has the tables under their published names.",
)
@dry_run_option
@json_option
@home_option
def command(benchmarks: tuple[str, ...], source: str | None, dry_run: bool, as_json: bool, home: Path) -> None:
    r"""Bring the published tables of BENCHMARKs into the data home, where 'curator score' finds them.

    A table is compared with the md5 of the published one, and a download that broke off is continued.

    \b
    Examples:
      curator pull-benchmark mme pope
      curator pull-benchmark mmbench_dev_en --from ~/LMUData
    """
    from curator.benchmark_tables import addresses, pull_table
    from curator.output import print_json, print_table
    from registry.benchmark import load_benchmark
    from registry.store import Home

    rows: list[dict[str, object]] = []
    for name, published in [(name, load_benchmark(name).TABLE) for name in dict.fromkeys(benchmarks)]:
        if dry_run:
            places = addresses(published, source) if published is not None else ()
            rows.append({"benchmark": name, "from": places[0] if places else source})
            continue
        found = pull_table(Home(home), name, source)
        state = "was there" if found.was_there else "pulled"
        rows.append({"benchmark": name, "state": state, "bytes": found.bytes, "path": str(found.path)})
    if as_json:
        print_json(rows)
        return
    print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
