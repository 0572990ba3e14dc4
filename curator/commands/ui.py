"""``curator ui``: the data home in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import home_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="ui")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: any that is free.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Listen there. Whoever reaches it from elsewhere needs the token in the address that is printed.",
)
@click.option("--name", "names", multiple=True, metavar="NAME", help="A further host name people reach it by (repeat).")
@click.option("--token", is_flag=True, help="Ask for the token on this machine too: others may be logged in.")
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@home_option
def command(port: int, host: str, names: tuple[str, ...], token: bool, show: bool, home: Path) -> None:
    r"""Look at the data home in a browser: datasets, samples, mixes, trials, decisions, SQL.

    Nothing can be changed there. It listens on this machine alone, asks no other server for anything, and shows what
    is in datasets as text: nothing of it runs. Interrupt it (Ctrl-C) to end it.

    \b
    Examples:
      curator ui --open
      curator ui --port 0
      ssh -L 8765:127.0.0.1:8765 gpu-machine curator ui
      curator ui --host 0.0.0.0 --name gpu-machine.example.org
    """
    from curator.output import note
    from curator.ui.serving import Listening, serve
    from registry.store import Home

    opened = Home.default(home)
    if not opened.path.is_dir():
        note(f"there is no data home at {opened.path} yet")

    def announce(address: str) -> None:
        click.echo(address)
        note(f"showing {opened.path}, until it is interrupted (Ctrl-C)")
        if show:
            click.launch(address)

    serve(opened, Listening(host, port, names, token), announce)
