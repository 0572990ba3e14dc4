"""``curator watch``: what goes on in a data home, from another shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="watch")
@click.argument("words", required=False, default="")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Look once and stop; so it is where there is no terminal.")
@json_option
@home_option
def command(words: str, every: float, once: bool, as_json: bool, home: Path) -> None:
    r"""Show what is being trained in a data home, and the scores of every mix so far, best first.

    With WORDS, only trials and mixes that have them in their name. It looks at the data home alone, so it may be run
    in another shell, or on another machine that sees the same folder. Interrupt it (Ctrl-C) to end it.

    \b
    Examples:
      curator watch
      curator watch demo-baseline --every 10
      curator watch --json
    """
    import sys

    from curator.output import note_absent, print_json
    from curator.ui.watching import look, print_state, watch
    from registry.store import Home

    opened = Home.default(home)
    note_absent(opened.path)
    if as_json:
        print_json(look(opened, words).plain())
    elif once or not sys.stdout.isatty():
        print_state(look(opened, words))
    else:
        watch(opened, words, every)
