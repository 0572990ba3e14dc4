"""Options that many commands share, each defined once. Imports click and the standard library only.

They pass ``home: Path``, ``as_json: bool``, ``dry_run: bool`` and ``seed: int``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

Function = TypeVar("Function", bound=Callable[..., Any])


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
            type=click.IntRange(min=0),
            default=default,
            show_default=True,
            help="Seed of all draws.",
        )(function)

    return decorate


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
