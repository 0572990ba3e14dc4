"""``curator pull``: bring a dataset and normalise it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from curator.options import PathValue, dry_run_option, home_option, json_option
from curator.output import Advance, note, print_fields, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.normalise import Normalised
    from curator.pull import Offer, Pulled


@click.command(name="pull")
@click.argument("dataset")
@click.option(
    "--source",
    type=PathValue(file_okay=False),
    metavar="FOLDER",
    help="A local copy of the published files instead of the Hub.",
)
@click.option("--link", is_flag=True, help="Hard links instead of copies of local files: never edit those then.")
@click.option("--repo", metavar="ORG/NAME", help="Another copy that the card names as an alternate.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit; default: the card's, else the newest.")
@click.option(
    "--endpoint", envvar="HF_ENDPOINT", show_envvar=True, metavar="URL", help="A Hub-compatible server to ask."
)
@click.option("--allow-rejected", is_flag=True, help="Go on when many rows cannot be used.")
@home_option
@json_option
@dry_run_option
def command(dataset: str, home: Path, as_json: bool, dry_run: bool, allow_rejected: bool, **origin: Any) -> None:
    r"""Download DATASET at a fixed revision and normalise it to samples.

    Rows that cannot be used are set aside with a reason. What is done already is not done again; a run that
    was stopped is continued by the same command. Gated datasets need HF_TOKEN.

    \b
    Examples:
      curator pull tabmwp --dry-run
      curator pull openmoji --source ~/data/openmoji --json
    """
    from curator.arrow import import_arrow
    from curator.normalise import normalise
    from curator.pull import make_offer, pull
    from registry.card import load_card
    from registry.store import Home

    import_arrow()
    data_home, card = Home(home), load_card(dataset, Home(home))
    link, endpoint = origin.pop("link"), origin["endpoint"]
    offer = make_offer(card, **origin)
    if dry_run:
        _print_offer(offer, offer.folder(data_home), as_json)
        return
    with progress(f"pull {dataset}", len(offer.files), "files") if offer.repo is None else _download(offer) as advance:
        pulled = pull(data_home, offer, endpoint=endpoint, link=link, advance=advance)
    with progress(f"normalise {dataset}", unit="rows") as advance:
        made = normalise(data_home, card, pulled.folder, allow_rejected=allow_rejected, advance=advance)
    if made.already_there:
        done = "pictures that were missing were put back" if made.restored else "nothing to do, these samples are here"
        note(f"{dataset}: {done}")
    _print_result(pulled, made, as_json)


@contextlib.contextmanager
def _download(offer: Offer) -> Iterator[Advance]:
    """A download is shown by the Hub client's own bars; two kinds of bars would write over each other."""
    note(f"{offer.name}: {len(offer.files):,} files, {offer.size:,} bytes from {offer.repo} at {offer.commit}")
    yield lambda _files: None


def _print_offer(offer: Offer, folder: Path, as_json: bool) -> None:
    fields = {
        "dataset": offer.name,
        "revision": offer.revision,
        "from": offer.repo or str(offer.source),
        "commit": offer.commit,
        "files": len(offer.files),
        "bytes": offer.size,
        "left_out": offer.left_out,
        "raw": str(folder),
    }
    print_json(fields) if as_json else print_fields(fields.items())


def _print_result(pulled: Pulled, made: Normalised, as_json: bool) -> None:
    record = made.record
    fields = {
        "raw": str(pulled.folder),
        "samples": str(made.folder),
        "rows_in": record.rows_in,
        "rows_out": record.rows_out,
        "rejected": sum(record.rejected.values()),
    }
    if as_json:
        print_json({**fields, "rejected": record.rejected, "digest": record.digest})
        return
    print_fields(fields.items())
    if record.rejected:
        click.echo()
        print_table(("reason", "rows"), sorted(record.rejected.items(), key=lambda item: -item[1]))
