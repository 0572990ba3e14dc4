"""Options that many commands share, each defined once. Imports click and the standard library only.

They pass ``home: Path``, ``as_json: bool``, ``dry_run: bool``, ``seed: int`` and ``place: Place``.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from pathlib import Path

Function = TypeVar("Function", bound=Callable[..., Any])

FETCHING = ("allow_private", "fetch_timeout", "retries", "retry_failed", "min_side")
"""Options of ``fetch_options`` that say how ``--fetch`` is done."""


class PathValue(click.Path):
    """``click.Path`` that gives a ``pathlib.Path`` and loads pathlib only when there is a value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Check the path as click does and wrap it."""
        from pathlib import Path

        if value == "":
            self.fail("the path is empty, as that of a variable that is not set", param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


def home_option(function: Function) -> Function:
    """``--home``: the data home, as ``home: Path`` (hand it to ``registry.store.Home``)."""
    return click.option(
        "--home",
        type=PathValue(file_okay=False),
        envvar="CURATOR_HOME",
        show_envvar=True,
        default="~/.vlm-curator",
        show_default=True,
        metavar="FOLDER",
        help="Data home: where everything pulled and made lies.",
    )(function)


def json_option(function: Function) -> Function:
    """``--json``: print JSON on stdout instead of text, as ``as_json: bool``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def dry_run_option(function: Function) -> Function:
    """``--dry-run``: say what would be done and what it costs, as ``dry_run: bool``; nothing is written."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")(function)


def seed_option(default: int = 0) -> Callable[[Function], Function]:
    """``--seed``: part of the identity of what is made, as ``seed: int``."""

    def decorate(function: Function) -> Function:
        return click.option(
            "--seed",
            type=click.IntRange(0, 2**63 - 1),
            default=default,
            show_default=True,
            help="Seed of all draws.",
        )(function)

    return decorate


class Workers(click.ParamType[int]):
    """A number of workers; ``auto`` is 0: as many as the place has processors."""

    name = "workers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A whole number from 0, or ``auto``."""
        return 0 if value == "auto" else click.IntRange(min=0).convert(value, param, ctx)


def place_options(function: Function) -> Function:
    """``--workers``, ``--on`` and ``--address``, as ``place: curator.runner.Place``; needs ``home_option`` too."""

    @functools.wraps(function)
    def with_place(*, workers: int, on: str, address: str | None, home: Path, **rest: Any) -> Any:
        from curator.runner import Place
        from registry.store import Home

        place = Place(workers, on, address, Home(home).path)
        place.check()
        return function(place=place, home=home, **rest)

    options = (
        click.option(
            "--workers",
            type=Workers(),
            default=1,
            show_default=True,
            metavar="N|auto",
            help="Files worked on at once; auto: as many as there are processors.",
        ),
        click.option(
            "--on",
            default="local",
            show_default=True,
            metavar="local|ray|slurm",
            help="Where they are worked on: processes of this machine, Ray or Slurm. The data home must lie where "
            "every node sees it. The result is the same to the last byte.",
        ),
        click.option(
            "--address",
            metavar="ADDRESS",
            help="Ray: auto, HOST:PORT or ray://HOST:PORT of a cluster; without it one is started here for the run. "
            "Slurm: 'local' tries it on this machine; SBATCH_PARTITION and the like say what to ask for.",
        ),
    )
    for option in reversed(options):
        with_place = option(with_place)
    return cast("Function", with_place)


def fetch_options_in(given: Mapping[str, Any]) -> list[str]:
    """Which options say how to fetch, as they are written."""
    named = [name for name in FETCHING if given[name] is not None and given[name] is not False]
    return [f"--{name.replace('_', '-')}" for name in named]


def fetch_options(function: Function) -> Function:
    """How pictures are fetched, as the values that ``curator.addresses.fetching_of`` takes."""
    options = (
        click.option("--fetch", is_flag=True, help="Download the pictures that rows name by address (img2dataset)."),
        click.option(
            "--allow-private",
            is_flag=True,
            help="Fetch from private networks and this machine too. Proxies of the environment are never used.",
        ),
        click.option(
            "--fetch-timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="S",
            help="Seconds that one picture may take; a third of it without a byte. [default: 30]",
        ),
        click.option(
            "--retries",
            type=click.IntRange(0, 20),
            metavar="N",
            help="Further attempts at a picture after a failure that may pass. [default: 1]",
        ),
        click.option("--retry-failed", is_flag=True, help="Fetch again what did not arrive in an earlier fetch."),
        click.option(
            "--min-side",
            type=click.IntRange(min=1),
            metavar="N",
            help="Set fetched pictures aside below N pixels.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function
