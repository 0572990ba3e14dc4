"""``curator verify``: prove that a mix is what its recipe says, row by row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from curator.options import home_option, json_option
from curator.output import print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.verify import Check
    from registry.store import Home


@click.command(name="verify")
@click.argument("mix")
@click.option("--contents", is_flag=True, help="Leave the recipe out: only check that the mix is what it says it is.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit of a published mix; default: the newest.")
@click.option(
    "--endpoint", envvar="HF_ENDPOINT", show_envvar=True, metavar="URL", help="A Hub-compatible server to ask."
)
@home_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    mix: str,
    home: Path,
    as_json: bool,
    contents: bool,
    revision: str | None,
    endpoint: str | None,
) -> None:
    r"""Prove that MIX is what it says: order, samples, pictures, and that its recipe gives it again.

    MIX is a mix of the data home, a folder with a published one, or its repository ORG/NAME on the Hub. Every digest is
    computed anew, and the recipe is resolved and drawn with the datasets of this home; the first difference is named.
    Exit status 0: all is equal. 1: something differs, or the recipe's datasets are not here.

    \b
    Examples:
      curator verify openmoji-tabmwp
      curator verify my-org/openmoji-tabmwp --json
      curator verify ./downloaded --contents
    """
    from curator.arrow import import_arrow
    from curator.verify import Verdict, worst
    from registry.store import Home

    import_arrow()
    with _checks(Home(home), mix, contents, revision, endpoint) as checks:
        found = list(checks)
    verdict = worst(found)
    if as_json:
        rows = [{"check": c.name, "verdict": c.verdict, "checked": c.checked, "detail": c.detail} for c in found]
        print_json({"mix": mix, "verdict": verdict, "checks": rows})
    else:
        print_table(("check", "verdict", "checked", ""), [(c.name, c.verdict, c.checked, c.detail) for c in found])
    if verdict is not Verdict.EQUAL:
        ctx.exit(1)


@contextlib.contextmanager
def _checks(
    home: Home, mix: str, contents: bool, revision: str | None, endpoint: str | None
) -> Iterator[Iterator[Check]]:
    """The checks of whatever the name means, with a bar of the rows that are done."""
    from pathlib import Path

    from curator.published import PublishedFiles, fetch_published, forget, is_repository
    from curator.verify import check_mix, check_published
    from registry.mix import MixReader
    from registry.store import find_folder

    if Path(mix).is_dir():
        published = PublishedFiles.open(Path(mix))
        with progress(f"verify {mix}", published.info.samples, "rows") as advance:
            yield check_published(home, published, recipe=not contents, advance=advance)
    elif is_repository(mix):
        downloaded = fetch_published(home, mix, revision, endpoint)
        with progress(f"verify {mix}", downloaded.mix.info.samples, "rows") as advance:
            yield check_published(home, downloaded.mix, recipe=not contents, advance=advance)
        forget(downloaded)
    else:
        reader = MixReader(home, find_folder(home, "mixes", mix))
        with progress(f"verify {reader.folder.name}", reader.info.samples, "rows") as advance:
            yield check_mix(home, reader, recipe=not contents, advance=advance)
