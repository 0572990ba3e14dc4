"""``docs/cli.md`` is written from the commands themselves: ``python -m curator.cli_docs [--check] FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from curator.cli import COMMANDS, cli, with_blocks

WIDTH = 100
_HEAD = """# Command line

Written by `python -m curator.cli_docs docs/cli.md` from the commands' own help; a test compares the two.
"""


def page() -> str:
    """The whole page: the help of ``curator``, then of each command in the order of the work."""
    with_blocks(cli)
    top = top_context()
    sections = [_HEAD, "## curator", _block(cli.get_help(top))]
    for name in COMMANDS:
        command = cli.get_command(top, name)
        assert command is not None, name
        inner = click.Context(command, info_name=name, parent=top, terminal_width=WIDTH)
        sections += [f"## curator {name}", _block(command.get_help(inner))]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def top_context() -> click.Context:
    """The context in which ``curator`` runs, at a fixed width: with its own names of the help option."""
    names = cli.context_settings["help_option_names"]
    return click.Context(cli, info_name="curator", terminal_width=WIDTH, help_option_names=names)


def _block(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"```text\n{lines}\n```"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with the file (exit status 1 when they differ)."""
    check = "--check" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--check"]
    if len(paths) != 1:
        click.echo("usage: python -m curator.cli_docs [--check] FILE", err=True)
        return 2
    wanted = page()
    if not check:
        paths[0].write_text(wanted, encoding="utf-8")
        return 0
    if paths[0].is_file() and paths[0].read_text(encoding="utf-8") == wanted:
        return 0
    click.echo(f"{paths[0]} is not what the commands say: run 'make docs-write'", err=True)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
