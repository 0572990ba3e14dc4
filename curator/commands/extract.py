"""``curator extract``: nested subsets of metadata tables, and their pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import (
    dry_run_option,
    fetch_options,
    fetch_options_in,
    home_option,
    json_option,
    place_options,
    seed_option,
)
from curator.output import note, print_fields, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.addresses import Fetching
    from curator.extract.arrive import Arrived
    from curator.extract.sources import Pool
    from curator.extract.subsets import Extracted, Request
    from curator.runner import Place
    from registry.store import Home

STRATEGIES = ("hash", "balance", "top")


@click.command(name="extract")
@click.argument("name")
@click.option(
    "--source",
    "sources",
    multiple=True,
    required=True,
    metavar="PATTERN",
    help="Parquet files of metadata (repeat): a path or pattern, http(s)://, hf://org/name/*.parquet, s3://.",
)
@click.option("--sizes", required=True, metavar="N,N,...", help="Rows of the subsets, as in 1M,2M,5M,10M.")
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="COLUMN=MIN:MAX",
    help="What a column or measure must be (repeat); leave MIN or MAX out.",
)
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Only this language (repeat).")
@click.option("--where", metavar="SQL", help="Only rows for which this predicate is true.")
@click.option(
    "--draw",
    "strategy",
    type=click.Choice(STRATEGIES),
    default="hash",
    show_default=True,
    help="Every row alike, so many of each concept, or the best by a column.",
)
@click.option("--by", metavar="COLUMN", help="What --draw top orders by: similarity, aesthetic, or any number.")
@click.option("--cap", type=click.IntRange(1, 65_535), metavar="N", help="Rows of one concept at most. [default: 100]")
@click.option(
    "--exchanged/--as-named",
    default=None,
    help="Whether width and height are exchanged in the files; default: told by their columns.",
)
@fetch_options
@click.option(
    "--reserve",
    type=click.FloatRange(min=0),
    metavar="SHARE",
    help="With --fetch: rows drawn beyond the largest subset, for addresses that are dead. [default: 1, as many]",
)
@click.option("--uids", is_flag=True, help="Also write each subset as DataComp's list of uids (.npy).")
@click.option("--endpoint", envvar="HF_ENDPOINT", show_envvar=True, metavar="URL", help="A Hub-compatible server.")
@seed_option()
@place_options
@home_option
@json_option
@dry_run_option
def command(place: Place, home: Path, as_json: bool, dry_run: bool, **given: Any) -> None:
    r"""Draw nested subsets called NAME from metadata with billions of rows, by one scan.

    A row's place in the draw depends on its url and caption alone, so subsets are the same whatever the order of
    files or rows, and each is a part of the next larger one. Columns are called url, caption, width, height,
    similarity, punsafe, pwatermark, language and aesthetic whatever the release calls them; short_side, long_side,
    aspect, characters, words, special_share, digit_share, capital_share, longest_special_run, odd_word_share and
    function_word_share (of the caption) are computed. A row without a value fails a test of it.

    With --fetch, dead addresses are replaced by the next of the order. Where the metadata has a column sha256 or md5
    of the pictures, one whose bytes are others does not count as arrived.

    Files of metadata are looked at one by one, each by all processors; with --on or --workers several at once. The
    files, like the data home, must lie where every node sees them.

    \b
    Examples:
      curator extract laion --source 'meta/*.parquet' --sizes 1M,2M,5M,10M,20M,50M,100M \
        --bound similarity=0.3: --bound short_side=200: --bound punsafe=:0.5 --language en
      curator extract best --source 'hf://laion/relaion2B-en-research-safe/*.parquet' --sizes 1M \
        --draw top --by similarity --where "caption NOT LIKE '%stock photo%'" --dry-run
    """
    from curator.arrow import import_arrow
    from curator.extract.sources import local_files, read_pool
    from registry.store import Home

    import_arrow()
    data_home = Home(home)
    fetching = _fetching(given)
    asked = _request(given)
    with local_files(data_home, given["sources"], given["endpoint"]) as files:
        pool = read_pool(files, exchanged=asked.exchanged)
        if dry_run:
            _print_estimate(data_home, asked, pool, as_json)
            return
        found = _extract(data_home, asked, pool, place)
    if given["uids"]:
        from curator.extract.uids import has_uids, write_uids

        write_uids(data_home, found)
        if not has_uids(found):
            note(
                "the source has no column uid: the lists hold keys of address and caption, which DataComp does not know"
            )
    arrived = None if fetching is None else _arrive(data_home, found, asked, fetching)
    _print(found, asked, arrived, as_json)


def _fetching(given: dict[str, Any]) -> Fetching | None:
    if not given["fetch"] and not fetch_options_in(given):
        return None  # and what fetches need not be imported
    from curator.addresses import fetching_of

    return fetching_of(given)


def _request(given: dict[str, Any]) -> Request:
    from curator.extract.order import Draw
    from curator.extract.subsets import Request
    from curator.extract.tiers import parse_sizes
    from curator.extract.wanted import Wanted, parse, parse_bounds
    from registry.discovery import checked_name
    from registry.errors import Refusal

    for option, strategy in (("by", "top"), ("cap", "balance")):
        if given[option] is not None and given["strategy"] != strategy:
            raise Refusal(f"--{option}", f"is for --draw {strategy}", "leave it out, or choose that draw")
    if given["strategy"] == "top" and given["by"] is None:
        raise Refusal("--draw top", "needs a column to order by", "add --by similarity, or another column")
    if given["where"] is not None:
        parse(given["where"])
    wanted = Wanted(parse_bounds(given["bounds"]), given["languages"], given["where"])
    draw = Draw(given["strategy"], given["seed"], given["by"], given["cap"])
    if given["reserve"] is not None and not given["fetch"]:
        raise Refusal("--reserve", "is for --fetch", "pass --fetch, or leave it out")
    sizes = parse_sizes(given["sizes"])
    share = (1.0 if given["reserve"] is None else given["reserve"]) if given["fetch"] else 0.0
    reserve = round(max(sizes.values()) * share)
    return Request(checked_name(given["name"], "name"), sizes, wanted, draw, reserve, given["exchanged"])


def _extract(home: Home, asked: Request, pool: Pool, place: Place) -> Extracted:
    from curator.extract.subsets import extract

    if any(table.layout.exchanged for table in pool.tables):
        note("width and height are exchanged, as they are in the original laion2B-en files (--as-named: they are not)")
    with progress(f"extract {asked.name}", pool.rows, "rows") as advance:
        found = extract(home, asked, pool, place=place, advance=advance)
    if found.already_there:
        note(f"{asked.name}: nothing to do, these subsets are here")
    return found


def _arrive(home: Home, found: Extracted, asked: Request, fetching: Fetching) -> Arrived:
    from curator.extract.arrive import arrive

    with progress(f"fetch {asked.name}", unit="pictures") as advance:
        return arrive(home, found, asked.name, fetching, advance)


def _print(found: Extracted, asked: Request, arrived: Arrived | None, as_json: bool) -> None:
    account = found.account
    subsets: list[dict[str, Any]] = [
        {"name": f"{asked.name}-{label}", "size": asked.sizes[label], "files": [str(path) for path in files]}
        for label, files in found.files().items()
    ]
    fetched = {} if arrived is None else _told(arrived)
    if as_json:
        told = {"subsets": subsets, "folder": str(found.folder), "digest": found.record.digest, **account}
        print_json({**told, **({"fetched": fetched} if fetched else {})})
        return
    print_fields([("folder", str(found.folder)), ("rows read", account["rows"]), ("scans", account["scans"])])
    print_table(("subset", "rows", "files"), [(one["name"], one["size"], len(one["files"])) for one in subsets])
    if fetched:
        print_fields([("samples", fetched["samples"]), ("realised", fetched["realised"])])
        sizes = [(name, one["planned"], one["walked"]) for name, one in fetched["account"]["sizes"].items()]
        print_table(("size", "arrived", "addresses walked"), sizes)
        print_table(("picture did not arrive", "addresses"), list(fetched["account"]["failed"].items()))


def _told(arrived: Arrived) -> dict[str, Any]:
    """What ``--json`` prints of the pictures."""
    from curator.fetch import REALISED

    return {
        "samples": str(arrived.samples.folder),
        "rows": arrived.samples.record.rows_out,
        "rejected": arrived.samples.record.rejected,
        "realised": str(arrived.fetched.folder / REALISED),
        "account": arrived.fetched.account,
    }


def _print_estimate(home: Home, asked: Request, pool: Pool, as_json: bool) -> None:
    from curator.extract.estimate import estimated
    from curator.extract.subsets import folder_of
    from registry.store import is_finished

    look = asked.look(pool)
    folder = folder_of(home, asked, pool)
    told = estimated(pool, look, asked.sizes)
    fields = {"folder": str(folder), "finished": is_finished(folder), "files": len(pool.tables), **told}
    if as_json:
        print_json(fields)
        return
    print_fields((name, value) for name, value in fields.items() if not isinstance(value, list))
    print_table(("filter", "share", "rows, about", "ruled out"), [tuple(row.values()) for row in told["filters"]])
    print_table(("size", "rows", "enough"), [tuple(row.values()) for row in told["subsets"]])
