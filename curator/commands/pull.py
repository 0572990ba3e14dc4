"""``curator pull``: bring a dataset and normalise it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from curator.options import PathValue, dry_run_option, fetch_options, home_option, json_option
from curator.output import Advance, note, print_fields, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.address import Remote
    from curator.addresses import Fetching
    from curator.normalise import Look, Normalised
    from curator.pull import Offer, Pulled
    from registry.card import Card
    from registry.store import Home

LEFT_OUT_NAMED = 5
POLICIES = ("any", "limit", "complete")


@click.command(name="pull")
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...")
@click.option(
    "--from",
    "source",
    metavar="PATH|URL",
    help="The published files as a folder, a data file, an archive, or the http(s) address of one; not the Hub.",
)
@click.option("--link", is_flag=True, help="Hard links instead of copies of local files: never edit those then.")
@click.option(
    "--images",
    type=PathValue(exists=True, file_okay=False),
    metavar="FOLDER",
    help="Pictures that the rows name and the dataset does not hold (it has e.g. coco/train2017/ in it).",
)
@fetch_options
@click.option("--repo", metavar="ORG/NAME", help="Another copy that the card names as an alternate.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit; default: the card's, else the newest.")
@click.option(
    "--endpoint", envvar="HF_ENDPOINT", show_envvar=True, metavar="URL", help="A Hub-compatible server to ask."
)
@click.option(
    "--limit", type=click.IntRange(1, 1 << 40), metavar="N", help="Normalise the first N rows only, for a look."
)
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="limit",
    show_default=True,
    help="How many rows may be unusable: any, at most 5 %, or none and all that are declared (complete).",
)
@home_option
@json_option
@dry_run_option
def command(datasets: tuple[str, ...], home: Path, as_json: bool, dry_run: bool, policy: str, **origin: Any) -> None:
    r"""Download DATASETs at a fixed revision and normalise them to samples.

    Rows that cannot be used are set aside with a reason, and a ledger says what was declared, found, kept and
    missing. What is done already is not done again; a run that was stopped is continued by the same command. A file
    at an address is taken to be the same while its server gives the same ETag (or date) and length.
    Gated datasets need HF_TOKEN. The repository ORG/NAME of a mix that 'curator publish' made is pulled too: it becomes
    a dataset of this home, with a recipe of its name that gives the same mix.

    \b
    Examples:
      curator pull tabmwp --dry-run
      curator pull openmoji --from ~/data/openmoji --json
      curator pull vsr sharegpt4v --images ~/pictures --limit 100
      curator pull laion-gpt4v --fetch --limit 500
      curator pull my-org/openmoji-tabmwp
    """
    from curator.addresses import fetching_of
    from curator.arrow import import_arrow
    from curator.normalise import Look
    from curator.options import FETCHING
    from registry.errors import Refusal
    from registry.store import Home

    import_arrow()
    if origin["source"] == "":
        raise click.UsageError("Invalid value for '--from': the path is empty, as that of a variable that is not set")
    given = [f"--{'from' if name == 'source' else name}" for name in ("source", "repo", "revision") if origin[name]]
    if given and len(datasets) > 1:
        raise Refusal(given[0], "is for one dataset", "name one dataset, or leave it out")
    look = Look(origin.pop("limit"), origin.pop("images"))
    fetching = fetching_of({name: origin.pop(name) for name in ("fetch", *FETCHING)})
    cards = [_card(Home(home), name, origin, dry_run) for name in datasets]
    results: list[dict[str, Any]] = []
    try:
        results.extend(_pull_one(Home(home), card, look, fetching, policy, dry_run, origin, as_json) for card in cards)
    finally:  # what was done is said, also where a later one is refused
        if as_json and (results or len(cards) > 1):
            print_json(results[0] if len(cards) == 1 else results)
    short = {name: told for name, result in zip(datasets, results, strict=True) if (told := _shortfalls(result))}
    if policy == "complete" and short and not dry_run:
        what = "; ".join(f"{name}: {', '.join(told)}" for name, told in short.items())
        raise Refusal("--policy complete", what, "see ledger.json beside the samples, or choose another policy")


def _card(home: Home, name: str, origin: dict[str, Any], dry_run: bool) -> Card:
    """The card of a dataset; a repository is a mix that somebody published, and its card is made."""
    from curator.published import is_repository
    from curator.pull_published import published_card
    from registry.card import load_card

    if not is_repository(name):
        return load_card(name, home)
    card = published_card(home, name, origin["revision"], origin["endpoint"], write=not dry_run)
    becomes = "would become" if dry_run else "is now"
    note(f"{name} is a published mix: '{card.name}' {becomes} a dataset here, and the recipe that builds it again")
    return card


def _pull_one(
    home: Home,
    card: Card,
    look: Look,
    fetching: Fetching | None,
    policy: str,
    dry_run: bool,
    origin: dict[str, Any],
    as_json: bool,
) -> dict[str, Any]:
    """Pull and normalise one dataset; what ``--json`` prints of it."""
    from curator.normalise import normalise
    from curator.pull import pull

    remote = _remote(origin)
    known = remote.known(home, card) if remote is not None else None
    if dry_run and remote is not None and known is None:
        return _print_remote(card, remote, as_json)
    with _offer(home, card, origin, remote, known) as offer:
        if dry_run:
            return _print_offer(home, card, offer, look, fetching, as_json)
        for link in offer.links:
            note(f"{card.name}: {link} is a link to a folder or out of this one, and is not followed")
        bar = progress(f"pull {card.name}", len(offer.files), "files") if offer.repo is None else _download(offer)
        with bar as advance:
            pulled = pull(home, offer, endpoint=origin["endpoint"], link=origin["link"], advance=advance)
        if remote is not None:
            remote.remember(home, card, pulled.folder)
    if fetching is not None:
        look = _fetch(home, card, pulled.folder, look, fetching)
    with progress(f"normalise {card.name}", look.limit, "rows") as advance:
        allow = policy == "any"
        made = normalise(home, card, pulled.folder, look=look, allow_rejected=allow, advance=advance)
    if made.already_there:
        done = "pictures that were missing were put back" if made.restored else "nothing to do, these samples are here"
        note(f"{card.name}: {done}")
    return _print_result(pulled, made, look, as_json)


def _remote(origin: dict[str, Any]) -> Remote | None:
    """What the server says of the address that ``--from`` names; None for anything else."""
    from curator.address import ask, is_address
    from curator.origin import READABLE
    from registry.errors import Refusal

    given = [f"--{name}" for name in ("repo", "revision") if origin[name]]
    if origin["source"] and given:
        raise Refusal("--from", f"has no {' and '.join(given)}", "leave one of them out")
    return ask(origin["source"], READABLE) if origin["source"] and is_address(origin["source"]) else None


@contextlib.contextmanager
def _offer(
    home: Home, card: Card, origin: dict[str, Any], remote: Remote | None, known: Path | None
) -> Iterator[Offer]:
    """What a pull would bring, from what ``--from`` names (in the raw folder ``known`` already) or from the Hub."""
    from curator.origin import local_copy
    from curator.pull import offer_from_folder, offer_from_hub, offer_from_raw

    if known is not None:
        yield offer_from_raw(known)
    elif origin["source"] is None:
        yield offer_from_hub(card, repo=origin["repo"], revision=origin["revision"], endpoint=origin["endpoint"])
    else:
        with local_copy(home, origin["source"], remote) as local:
            for name in local.left_out:
                note(f"{card.name}: {name} is a link to no file of the archive, or a device, and is left out")
            yield offer_from_folder(card, local.folder, local.only)


@contextlib.contextmanager
def _download(offer: Offer) -> Iterator[Advance]:
    """A download is shown by the Hub client's own bars; two kinds of bars would write over each other."""
    note(f"{offer.name}: {len(offer.files):,} files, {offer.size:,} bytes from {offer.repo} at {offer.commit}")
    yield lambda _files: None


def _fetch(home: Home, card: Card, raw: Path, look: Look, fetching: Fetching) -> Look:
    """The look with the pictures that the rows name by address."""
    import os

    from curator.addresses import with_fetched

    if any(os.environ.get(name) for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")):
        note("--fetch uses no proxy: what connects through one cannot be kept out of private networks")

    @contextlib.contextmanager
    def told(addresses: int) -> Iterator[Advance]:
        note(f"{card.name}: {addresses:,} addresses")
        with progress(f"fetch {card.name}", addresses, "pictures") as advance:
            yield advance

    return with_fetched(home, card, raw, look, fetching, told)


def _print_remote(card: Card, remote: Remote, as_json: bool) -> dict[str, Any]:
    """What is known of an address before it is downloaded; its revision is a digest of what is there."""
    fields = {"dataset": card.name, "from": remote.address, "version": remote.version or None, "bytes": remote.size}
    if not as_json:
        print_fields(fields.items())
    return fields


def _print_offer(
    home: Home, card: Card, offer: Offer, look: Look, fetching: Fetching | None, as_json: bool
) -> dict[str, Any]:
    raw = offer.folder(home)
    fields: dict[str, Any] = {
        "dataset": offer.name,
        "revision": offer.revision,
        "from": offer.repo or str(offer.source),
        "commit": offer.commit,
        "files": len(offer.files),
        "bytes": offer.size,
        "left_out": offer.left_out,
        "raw": str(raw),
    }
    if fetching is not None:
        from curator.addresses import count_in_folder

        here = next((folder for folder in (raw, offer.source) if folder is not None and folder.is_dir()), None)
        names = [file.path for file in offer.files]
        fields["addresses"] = None if here is None else count_in_folder(card, here, names, look.limit)
        if here is None:
            note(f"{card.name}: how many addresses its rows name is known when its files are here")
    if not as_json:
        print_fields(fields.items())
    return fields


def _print_result(pulled: Pulled, made: Normalised, look: Look, as_json: bool) -> dict[str, Any]:
    from curator.ledger import read_ledger

    record = made.record
    fields: dict[str, Any] = {
        "raw": str(pulled.folder),
        "samples": str(made.folder),
        "rows_in": record.rows_in,
        "rows_out": record.rows_out,
        "rejected": sum(record.rejected.values()),
    }
    account = look.fetched.account if look.fetched else {}
    if look.fetched:
        fields |= {"fetched": str(look.fetched.folder), "addresses": account["planned"], "arrived": account["arrived"]}
    ledger = read_ledger(made.folder)
    left_out = pulled.record.settings.get("left_out", [])
    if left_out:
        named = ", ".join(left_out[:LEFT_OUT_NAMED]) + (" …" if len(left_out) > LEFT_OUT_NAMED else "")
        note(f"{ledger['dataset']}: {len(left_out):,} files are not asked for by the card, and were left out: {named}")
    if not as_json:
        print_fields(fields.items())
        _print_ledger(ledger)
        _print_account(account)
    told = {"account": account} if account else {}
    return {**fields, "rejected": record.rejected, "digest": record.digest, "ledger": ledger, **told}


def _print_ledger(ledger: dict[str, Any]) -> None:
    """What differs from what was declared, and why rows were set aside."""
    declared, found = ledger["declared"], ledger["found"]
    if declared["rows"] is not None and declared["rows"] != found:
        note(f"{ledger['dataset']}: {declared['rows']:,} rows declared, {found:,} found")
    if len(ledger["parts"]) > 1:
        click.echo()
        parts = [(p["part"], p["category"], p["declared"] or "-", p["kept"]) for p in ledger["parts"]]
        print_table(("part", "category", "declared", "kept"), parts)
    if ledger["rejected"]:
        click.echo()
        why = ledger["expected_rejections"]
        rows = [(reason, count, why.get(reason, "")) for reason, count in ledger["rejected"].items()]
        print_table(("reason", "rows", "expected because"), sorted(rows, key=lambda row: -row[1]))
    if ledger["missing_images"]:
        click.echo()
        print_table(("folder of missing pictures", "rows"), list(ledger["missing_images"].items()))


def _print_account(account: dict[str, Any]) -> None:
    """What became of addresses that gave no picture, and at which hosts."""
    if account.get("failed"):
        click.echo()
        print_table(("picture did not arrive", "addresses"), sorted(account["failed"].items(), key=lambda row: -row[1]))
        click.echo()
        print_table(("host", "addresses"), list(account["hosts"].items()))


def _shortfalls(result: dict[str, Any]) -> list[str]:
    from curator.ledger import shortfalls

    return shortfalls(result["ledger"]) if "ledger" in result else []
